"""omgseg: segmentation models for all tasks behind one interface.

The names below are imported when they are first used, so ``import omgseg`` loads neither torch nor mmcv::

    import omgseg

    model = omgseg.load("omg-seg-convnext-l")
    seg = omgseg.OMGSegInferencer("work_dirs/demo/train")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from omgseg import compat

if TYPE_CHECKING:
    from omgseg.inference import (
        InteractivePredictor,
        InteractiveVideo,
        OMGSegInferencer,
        SegmentationResult,
        UnreadableInputs,
        VideoResult,
        load,
        open_source,
        read_image,
    )
    from omgseg.model_table import find_model, list_models
    from omgseg.protocols import Abilities, MaskSet, PromptableModel, Prompts, Request, Segmenter, VideoModel
    from omgseg.structures import Category, Segments, Task, Vocabulary

__version__ = "0.1.0"

_HOMES = {
    "omgseg.inference": (
        "InteractivePredictor",
        "InteractiveVideo",
        "OMGSegInferencer",
        "SegmentationResult",
        "UnreadableInputs",
        "VideoResult",
        "load",
        "open_source",
        "read_image",
    ),
    "omgseg.model_table": ("find_model", "list_models"),
    "omgseg.protocols": (
        "Abilities",
        "MaskSet",
        "PromptableModel",
        "Prompts",
        "Request",
        "Segmenter",
        "VideoModel",
    ),
    "omgseg.structures": ("Category", "Segments", "Task", "Vocabulary"),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Abilities",
    "Category",
    "InteractivePredictor",
    "InteractiveVideo",
    "MaskSet",
    "OMGSegInferencer",
    "PromptableModel",
    "Prompts",
    "Request",
    "SegmentationResult",
    "Segmenter",
    "Segments",
    "Task",
    "UnreadableInputs",
    "VideoModel",
    "VideoResult",
    "Vocabulary",
    "find_model",
    "list_models",
    "load",
    "open_source",
    "read_image",
]

compat.install()


def __getattr__(name: str) -> Any:
    """Import a public name from its module, once."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
