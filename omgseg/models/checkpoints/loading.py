"""Loading weights into a model with a full account of what did not fit; mmengine's own loading goes the same way."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from omgseg.files import parse_json
from omgseg.model_table import recognise
from omgseg.models.checkpoints.hub import SCHEME
from omgseg.models.checkpoints.published import to_names_of
from omgseg.models.checkpoints.reading import read_file, tensors_of
from omgseg.models.checkpoints.transformers_sam import from_transformers, is_transformers_layout
from omgseg.registry import MODELS
from omgseg.structures import Vocabulary

VOCABULARY_KEY = "train_vocabulary"
"""In the ``meta`` of our checkpoints: the words of the training, as JSON."""


@dataclass
class LoadReport:
    """What did not fit when weights were loaded.

    Attributes:
        missing: keys of the model that the weights lack.
        unexpected: keys of the weights that the model lacks.
        mismatched: key to (shape in the weights, shape in the model).
        unusable: key to what is wrong with its values.
        loaded: how many tensors were loaded.
    """

    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)
    loaded: int = 0

    @property
    def is_clean(self) -> bool:
        return not (self.missing or self.unexpected or self.mismatched or self.unusable)

    def __str__(self) -> str:
        lines = [f"{self.loaded} tensors loaded"]
        for title, entries in (
            ("missing in the weights", self.missing),
            ("unexpected in the weights", self.unexpected),
            (
                "of another shape",
                [f"{key}: weights {a}, model {b}" for key, (a, b) in self.mismatched.items()],
            ),
            ("with unusable values", [f"{key}: {reason}" for key, reason in self.unusable.items()]),
        ):
            lines += [
                f"{len(entries)} keys {title}{':' if entries else ''}",
                *(f"  {entry}" for entry in entries),
            ]
        return "\n".join(lines)


def load_state(model: nn.Module, state_dict: Mapping[str, Tensor], strict: bool = True) -> LoadReport:
    """Load weights, in our layout or the published one, and account for every key.

    Args:
        model: any module with our names.
        state_dict: name to tensor.
        strict: raise when anything does not fit; else load what fits.

    Returns:
        What did not fit.

    Raises:
        ValueError: `strict`, and a key is missing, unexpected, of another shape or of unusable values; the message
            lists all of them. The model is then partly loaded.
    """
    weights = to_names_of(model, state_dict)
    targets = {
        **dict(model.named_parameters(remove_duplicate=False)),
        **dict(model.named_buffers(remove_duplicate=False)),
    }
    mismatched = {
        key: (tuple(value.shape), tuple(targets[key].shape))
        for key, value in weights.items()
        if key in targets and value.shape != targets[key].shape
    }
    unusable = {
        key: reason
        for key, value in weights.items()
        if key in targets and key not in mismatched and (reason := _fault_of(value, targets[key]))
    }
    fitting = {key: value for key, value in weights.items() if key not in mismatched | unusable}
    result = model.load_state_dict(fitting, strict=False)
    report = LoadReport(
        missing=[key for key in result.missing_keys if key not in mismatched | unusable],
        unexpected=list(result.unexpected_keys),
        mismatched=mismatched,
        unusable=unusable,
        loaded=len(fitting) - len(result.unexpected_keys),
    )
    if strict and not report.is_clean:
        raise ValueError(f"the weights do not fit the model:\n{report}")
    return report


def _fault_of(value: Tensor, target: Tensor) -> str | None:
    """Why these values cannot be those of the model's tensor; None if they can."""
    if value.is_floating_point() != target.is_floating_point() or value.is_complex():
        return f"{value.dtype}, the model's are {target.dtype}"
    if value.is_floating_point() and value.isnan().any():
        return "some are not numbers (NaN)"
    return None


class CheckpointError(ValueError):
    """A file is not a checkpoint, or not one of this model."""


def read_checkpoint(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint of this package, of mmengine, or bare weights.

    Args:
        path: a local ``.pth`` (any name but ``.safetensors``) or ``.safetensors`` file, or
            ``hf://owner/repository/file[@revision]``, which is downloaded unless the cache has it.
        map_location: where the tensors go, as in ``torch.load``.

    Returns:
        Dictionary with at least ``state_dict`` (name to tensor); bare weights are put under that key, those of SAM in
        transformers with the published names. A training
        checkpoint also has ``meta``, ``message_hub``, ``optimizer`` and ``param_schedulers``.

    Raises:
        FileNotFoundError: there is no such file, or it cannot be downloaded.
        CheckpointError: the file is damaged, holds objects that are not allowed, or holds no weights.
    """
    if "://" in str(path) and not str(path).startswith(SCHEME):
        raise CheckpointError(
            f"{path} is neither a local file nor hf://owner/repository/file; download it, check its source, and name "
            "the local path"
        )
    try:
        content = read_file(path, map_location or "cpu")
        tensors = tensors_of(content, path)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    if not isinstance(content, Mapping) or "state_dict" not in content:
        content = {"state_dict": content}
    if is_transformers_layout(tensors):
        tensors = from_transformers(tensors)
    return {**content, "state_dict": tensors}


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], source: str, strict: bool = True) -> None:
    """Load named tensors into a model.

    The published layout is accepted, and what the model leaves out of its checkpoints (a frozen encoder) is not
    missing in them.

    Args:
        model: any module, not wrapped.
        weights: name to tensor, as :func:`read_checkpoint` gives them.
        source: the file, for messages.
        strict: if False, missing and unexpected keys are accepted as long as some key fits.

    Raises:
        CheckpointError: keys are missing or unexpected, shapes differ, values are unusable (NaN, integers for real
            numbers), or nothing fits. Names the model of the table whose weights they are, or lists all of them.
    """
    try:
        report = load_state(model, weights, strict=False)
    except RuntimeError as error:  # of torch, where shapes differ under names that the model translates
        message = _of_another(model, weights, source) or f"{source} does not fit the model: {error}"
        raise CheckpointError(message) from error
    if report.mismatched or report.unusable or not report.loaded or (strict and not report.is_clean):
        raise CheckpointError(
            _of_another(model, weights, source) or f"{source} does not fit the model:\n{report}"
        )


def _of_another(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> str | None:
    """One sentence about weights that are those of another model of the table; None if they are not."""
    held, wanted = (
        recognise({name: tuple(tensor.shape) for name, tensor in tensors.items()})
        for tensors in (weights, model.state_dict())
    )
    if held is None or (wanted is not None and held.config == wanted.config):
        return None
    here = "another model" if wanted is None else wanted.name
    return f"{source} holds {held.name}, the config is that of {here}: use {held.config}"


def leave_out_of_checkpoints(module: nn.Module) -> None:
    """Make `module` omit its weights from state dicts while it can supply them itself.

    The module has an attribute ``has_own_source`` (bool): its weights are those of the source it is built
    from. While that is true, ``state_dict()`` of any model around it holds nothing of the module, and loading
    such a state dict leaves the module as it is, without a report of missing keys. A state dict that does
    hold weights of the module is loaded as usual; from then on the weights may differ from the source, so
    they are written again.
    """
    module.register_state_dict_post_hook(_omit)
    module.register_load_state_dict_pre_hook(_supply)


def _omit(module: nn.Module, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any]) -> None:
    if module.has_own_source:
        for name in [name for name in state_dict if name.startswith(prefix)]:
            del state_dict[name]


def _supply(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    if not module.has_own_source:
        return
    if any(name.startswith(prefix) for name in state_dict):
        module.has_own_source = False
        return
    module.has_own_source = False
    state_dict.update(module.state_dict(prefix=prefix, keep_vars=True))
    module.has_own_source = True


def guard_mmengine_loading() -> None:
    """Route every file that mmengine loads by itself (``init_cfg=dict(type="Pretrained")``) through our reader."""

    def load_from_checked(filename: str, map_location: Any = None) -> dict[str, Any]:
        return read_checkpoint(filename, map_location)

    CheckpointLoader.register_scheme(list(CheckpointLoader._schemes), load_from_checked, force=True)


def words_of(checkpoint: Mapping[str, Any]) -> Vocabulary | None:
    """The words of the training that a checkpoint holds; None if it holds none."""
    words = (checkpoint.get("meta") or {}).get(VOCABULARY_KEY)
    return Vocabulary.from_dict(parse_json(words)) if words else None


def build_for_prediction(
    config: Mapping[str, Any], weights: str | Path | None
) -> tuple[nn.Module, dict[str, Any]]:
    """Build a model and load its weights.

    Args:
        config: the config's ``model``.
        weights: see :func:`read_checkpoint`. None: random weights, the same every time, with a warning.

    Returns:
        The model in eval mode, on the CPU; and the checkpoint, empty without weights.

    Raises:
        FileNotFoundError, CheckpointError: see :func:`read_checkpoint` and :func:`load_weights`.
    """
    if weights is None:
        with random_weights():
            return MODELS.build(dict(config)).eval(), {}
    loaded = read_checkpoint(weights)
    with _same_every_time():
        model = MODELS.build(dict(config))
    load_weights(model, loaded["state_dict"], str(weights))
    return model.eval(), loaded


@contextmanager
def random_weights() -> Iterator[None]:
    """For a model that is built without a checkpoint: the same weights every time, and a warning."""
    print_log(
        "NO CHECKPOINT: all weights are random. Masks and labels mean nothing; give a checkpoint for real results",
        logger="current",
        level=logging.WARNING,
    )
    with _same_every_time():
        yield


@contextmanager
def _same_every_time() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
