"""Checkpoints: read without running code from the file, loaded with every difference named."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from omgseg.models.checkpoint_io import read_file, tensors_of
from omgseg.models.convert import load_state
from omgseg.models.hub import SCHEME


class CheckpointError(ValueError):
    """A file is not a checkpoint, or not one of this model."""


def read_checkpoint(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint of this package, of mmengine, or bare weights.

    Args:
        path: a local ``.pth`` (any name but ``.safetensors``) or ``.safetensors`` file, or
            ``hf://owner/repository/file[@revision]``, which is downloaded unless the cache has it.
        map_location: where the tensors go, as in ``torch.load``.

    Returns:
        Dictionary with at least ``state_dict`` (name to tensor); bare weights are put under that key. A training
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
            numbers), or nothing fits. Lists all of them.
    """
    report = load_state(model, weights, strict=False)
    if report.mismatched or report.unusable or not report.loaded or (strict and not report.is_clean):
        raise CheckpointError(f"{source} does not fit the model:\n{report}")


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
