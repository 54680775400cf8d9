"""Loads a guest: a network of transformers from a local folder, without pickles, remote code or connections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from omgseg.files import parse_json
from omgseg.guests.guest import Loaded
from omgseg.messages import did_you_mean
from omgseg.models.checkpoints.loading import CheckpointError, random_weights
from omgseg.registry import SEGMENTERS

GUESTS = {
    "CLIPSegForImageSegmentation": "omgseg.guests.clipseg.CLIPSegGuest",
    "EdgeTamModel": "omgseg.guests.promptable.Sam2Guest",
    "EdgeTamVideoModel": "omgseg.guests.object_streams.TrackingGuest",
    "EomtDinov3ForUniversalSegmentation": "omgseg.guests.mask_queries.EomtGuest",
    "EomtForUniversalSegmentation": "omgseg.guests.mask_queries.EomtGuest",
    "Mask2FormerForUniversalSegmentation": "omgseg.guests.mask_queries.Mask2FormerGuest",
    "MaskFormerForInstanceSegmentation": "omgseg.guests.mask_queries.MaskFormerGuest",
    "OneFormerForUniversalSegmentation": "omgseg.guests.mask_queries.OneFormerGuest",
    "Sam2Model": "omgseg.guests.promptable.Sam2Guest",
    "Sam2VideoModel": "omgseg.guests.object_streams.TrackingGuest",
    "Sam3LiteTextModel": "omgseg.guests.sam3.Sam3Guest",
    "Sam3Model": "omgseg.guests.sam3.Sam3Guest",
    "Sam3TrackerModel": "omgseg.guests.promptable.Sam2Guest",
    "Sam3TrackerVideoModel": "omgseg.guests.object_streams.TrackingGuest",
    "Sam3VideoModel": "omgseg.guests.sam3_video.Sam3VideoGuest",
    "SamHQModel": "omgseg.guests.promptable.SamHQGuest",
    "SamModel": "omgseg.guests.promptable.SamGuest",
    "SegGptForImageSegmentation": "omgseg.guests.examples.SegGPTGuest",
    "SegformerForSemanticSegmentation": "omgseg.guests.class_maps.ClassMapGuest",
    "VideomtForUniversalSegmentation": "omgseg.guests.videos.VideomtGuest",
}
"""Adapters by the class of transformers that a ``config.json`` names in its ``architectures``."""


@SEGMENTERS.register_module()
def load_guest(
    config: Mapping[str, Any], weights: str | Path | None, device: torch.device, dtype: torch.dtype
) -> Any:
    """Load a guest.

    Args:
        config: read from the ``config.json`` of the guest's folder, which also has the files of its processor.
        weights: a folder with safetensors. None: random weights, the same every time, with a warning.
        device: where to compute.
        dtype: of the computation; float32, or a shorter type through autocast.

    Raises:
        ImportError: transformers is not installed.
        FileNotFoundError: the folder has no files of a processor.
        CheckpointError: the folder holds no safetensors, or those of another network.
        ValueError: ``config.json`` cannot be read, or names an unknown architecture.
    """
    transformers = _transformers()
    if not getattr(config, "filename", None):
        raise ValueError("load_guest reads a folder: name it, or hf:owner/name, instead of a config")
    folder = Path(config.filename).parent
    architecture = _architecture(Path(config.filename))
    module, _, adapter = GUESTS[architecture].rpartition(".")
    with _quiet(transformers):
        network = _network(getattr(transformers, architecture), folder, weights)
        loaded = Loaded(network.eval().to(device), folder, _name(folder), device, dtype)
        try:
            return getattr(import_module(module), adapter)(loaded)
        except OSError as error:
            raise FileNotFoundError(
                f"{folder} lacks files of the processor of {architecture} (preprocessor_config.json and, where it "
                "reads words, those of the tokenizer); save the processor into it with save_pretrained"
            ) from error


def _transformers() -> ModuleType:
    try:
        return import_module("transformers")
    except ImportError as error:
        raise ImportError(
            "this model comes from transformers, which is not installed: pip install 'omgseg[guests]'"
        ) from error


def _architecture(file: Path) -> str:
    """The class of transformers that a ``config.json`` names.

    Raises:
        ValueError: it is not JSON, names no class, or one that is no guest.
    """
    try:
        architectures = parse_json(file.read_text(encoding="utf-8")).get("architectures")
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{file} is not a config of transformers: {error}") from error
    for name in architectures or ():
        if name in GUESTS:
            return name
    name = ", ".join(architectures or ()) or "no architecture"
    raise ValueError(
        f"{file} names {name}, which is not a guest{did_you_mean(name, GUESTS)}; the guests are {', '.join(GUESTS)}"
    )


def _network(kind: type[nn.Module], folder: Path, weights: str | Path | None) -> nn.Module:
    """Build a network, and read its weights; see :func:`load_guest`."""
    config = kind.config_class.from_pretrained(folder, local_files_only=True)
    if weights is None:
        with random_weights():
            return kind(config)
    if not any(Path(weights).glob("*.safetensors")):
        raise CheckpointError(
            f"{weights} holds no *.safetensors, and pickled weights are not read: get the whole model "
            "(weights='hf:owner/name' downloads it), or write safetensors with save_pretrained of transformers"
        )
    try:
        network, report = kind.from_pretrained(
            weights,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (
        Exception
    ) as error:  # transformers and safetensors raise many types for damaged files and other shapes
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise CheckpointError(
            f"the weights in {weights} cannot be read as {kind.__name__}: {reason}"
        ) from error
    if missing := sorted(report["missing_keys"]):
        raise CheckpointError(
            f"the weights in {weights} lack {len(missing)} tensors of {kind.__name__}, {missing[0]} among them: they "
            "are those of another model"
        )
    return network


def _name(folder: Path) -> str:
    """The hub's name of a folder in its cache (``models--owner--name/snapshots/...``), else that of the folder."""
    names = (part for part in folder.absolute().parts if part.startswith("models--"))
    return next(names, folder.absolute().name)


@contextmanager
def _quiet(transformers: ModuleType) -> Iterator[None]:
    """Neither progress bars nor advice on the user's screen, which shows our own messages."""
    log = transformers.utils.logging
    verbosity, had_bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if had_bars:
            log.enable_progress_bar()
