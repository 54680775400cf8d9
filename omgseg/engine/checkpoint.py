"""Checkpoints: read without running code from the file, loaded with every difference named."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.runner.checkpoint import CheckpointLoader
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from omgseg.compat.safe_globals import training_state_globals

_LISTED = 20  # keys of each kind that an error spells out


class CheckpointError(ValueError):
    """A file is not a checkpoint, or not one of this model."""


def read_checkpoint(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint of this package, of mmengine, or bare weights.

    Args:
        path: a local ``.pth`` (any name but ``.safetensors``) or ``.safetensors`` file.
        map_location: where the tensors go, as in ``torch.load``.

    Returns:
        Dictionary with at least ``state_dict`` (name to tensor); bare weights are put under that key. A training
        checkpoint also has ``meta``, ``message_hub``, ``optimizer`` and ``param_schedulers``.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file is damaged, holds objects that are not allowed, or holds no weights.
    """
    if "://" in str(path):
        raise CheckpointError(
            f"{path} is not a local file; download it, check its source, and name the local path"
        )
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint {path} not found")
    content = _read_file(path, map_location)
    if isinstance(content, Mapping) and "state_dict" not in content:
        content = {"state_dict": content}
    weights = content["state_dict"] if isinstance(content, Mapping) else None
    if (
        not isinstance(weights, Mapping)
        or not weights
        or not all(isinstance(v, Tensor) for v in weights.values())
    ):
        raise CheckpointError(
            f"{path} is not a checkpoint: expected a mapping of names to tensors, maybe under 'state_dict'"
        )
    return dict(content)


def _read_file(path: Path, map_location: Any) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path, device=str(map_location or "cpu"))
        with training_state_globals():
            return torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is not a PyTorch file, or holds Python objects that are never loaded, as they could run code. "
            f"Where the file is trusted, save its tensors alone, best as safetensors. ({_refusal(error)})"
        ) from error
    except (RuntimeError, EOFError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} is damaged or not a checkpoint: {(str(error) or type(error).__name__).splitlines()[0]}"
        ) from error


def _refusal(error: Exception) -> str:
    """What the file held, without torch's advice to load it all the same."""
    lines = [line.strip() for line in str(error).splitlines()]
    reasons = [line for line in lines if line and not line.startswith("Check the documentation")]
    return reasons[-1].removeprefix("WeightsUnpickler error: ").split(" Please use ")[0]


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], source: str, strict: bool = True) -> None:
    """Load named tensors into a model.

    A model may rename keys (``register_load_state_dict_pre_hook``), and need not save all its weights (a frozen encoder
    that overrides ``state_dict``): what it does not save is not missing.

    Args:
        model: any module, not wrapped.
        weights: name to tensor; a leading ``module.`` (a data-parallel wrapper) is removed.
        source: the file, for messages.
        strict: if False, missing and unexpected keys are accepted as long as some key fits.

    Raises:
        CheckpointError: keys are missing or unexpected, shapes differ, or nothing fits. Lists all of them.
    """
    if all(name.startswith("module.") for name in weights):
        weights = {name.removeprefix("module."): value for name, value in weights.items()}
    own = model.state_dict()
    mismatched = [
        f"{name}: {tuple(value.shape)} in the file, {tuple(own[name].shape)} in the model"
        for name, value in weights.items()
        if name in own and own[name].shape != value.shape
    ]
    if mismatched:
        missing = [name for name in own if name not in weights]
        unexpected = [name for name in weights if name not in own]
        raise CheckpointError(_difference(source, missing, unexpected, mismatched))
    try:
        result = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:  # shapes that differ after the model renamed its keys
        raise CheckpointError(f"{source} does not fit the model: {error}") from error
    missing = [name for name in result.missing_keys if name in own]
    unexpected = list(result.unexpected_keys)
    nothing_fits = bool(own) and len(missing) == len(own)
    if nothing_fits or (strict and (missing or unexpected)):
        raise CheckpointError(_difference(source, missing, unexpected, []))


def _difference(source: str, missing: list[str], unexpected: list[str], mismatched: list[str]) -> str:
    parts = [f"{source} does not fit the model"]
    for title, keys in (
        ("missing in the file", missing),
        ("unexpected in the file", unexpected),
        ("of another shape", mismatched),
    ):
        if keys:
            more = [f"... and {len(keys) - _LISTED} more"] if len(keys) > _LISTED else []
            parts.append(f"{len(keys)} {title}:\n    " + "\n    ".join([*keys[:_LISTED], *more]))
    return "\n  ".join(parts)


def replace_file(temporary: Path, final: Path) -> None:
    """Give a completely written file its name; readers see the old content or the new one, also after a crash."""
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, final)


def guard_mmengine_loading() -> None:
    """Route every file that mmengine loads by itself (``init_cfg=dict(type="Pretrained")``) through our reader."""

    def load_from_checked(filename: str, map_location: Any = None) -> dict[str, Any]:
        return read_checkpoint(filename, map_location)

    CheckpointLoader.register_scheme(list(CheckpointLoader._schemes), load_from_checked, force=True)
