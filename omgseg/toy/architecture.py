"""The toy CLIP's architecture: an open_clip model whose image tower is a small ConvNeXt of timm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import open_clip
from timm.models import ConvNeXt, build_model_with_cfg, is_model, register_model

MODEL_NAME = "omgseg_toy"
"""Name of the open_clip model; its configuration is the JSON file of this name next to this file."""
TRUNK_NAME = "omgseg_toy_convnext"
"""Name of the timm model inside it."""


def omgseg_toy_convnext(pretrained: bool = False, **kwargs: Any) -> ConvNeXt:
    """A ConvNeXt whose last features have stride 8, as things of the toy world are 24 to 64 pixels large.

    Kernels shrink with depth: what a position sees must not reach far beyond a thing, since a thing's embedding is
    the mean over its mask.
    """
    kwargs["pretrained_cfg"] = {"num_classes": 0, "first_conv": "stem.0", "classifier": "head.fc"}
    return build_model_with_cfg(
        ConvNeXt,
        TRUNK_NAME,
        pretrained,
        feature_cfg={"out_indices": (0, 1, 2, 3), "flatten_sequential": True},
        **{
            **dict(depths=(2, 2, 1, 1), dims=(32, 48, 64, 96), kernel_sizes=(7, 7, 3, 1), output_stride=8),
            **kwargs,
        },
    )


def register() -> None:
    """Make the model known to timm and open_clip; calling it again changes nothing."""
    if not is_model(TRUNK_NAME):
        register_model(omgseg_toy_convnext)
    if MODEL_NAME not in open_clip.list_models():
        open_clip.add_model_config(Path(__file__).with_name(f"{MODEL_NAME}.json"))
