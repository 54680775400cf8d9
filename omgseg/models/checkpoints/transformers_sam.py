"""The key layout of SAM's checkpoints in transformers (``SamModel``)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

POSITIONS = (
    "shared_image_embedding.positional_embedding",
    "prompt_encoder.shared_embedding.positional_embedding",
)
"""Names of one tensor. Files hold it under the first one, some under both."""
PATCHES = "vision_encoder.patch_embed.projection.weight"

NAMES = (
    (r"^vision_encoder\.patch_embed\.projection\.", "image_encoder.patch_embed.proj."),
    (r"^vision_encoder\.layers\.", "image_encoder.blocks."),
    (r"^vision_encoder\.neck\.conv1\.", "image_encoder.neck.0."),
    (r"^vision_encoder\.neck\.layer_norm1\.", "image_encoder.neck.1."),
    (r"^vision_encoder\.neck\.conv2\.", "image_encoder.neck.2."),
    (r"^vision_encoder\.neck\.layer_norm2\.", "image_encoder.neck.3."),
    (r"^vision_encoder\.", "image_encoder."),
    (
        rf"^({'|'.join(map(re.escape, POSITIONS))})$",
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
    ),
    (r"\.point_embed\.", ".point_embeddings."),
    (r"\.mask_embed\.conv1\.", ".mask_downscaling.0."),
    (r"\.mask_embed\.layer_norm1\.", ".mask_downscaling.1."),
    (r"\.mask_embed\.conv2\.", ".mask_downscaling.3."),
    (r"\.mask_embed\.layer_norm2\.", ".mask_downscaling.4."),
    (r"\.mask_embed\.conv3\.", ".mask_downscaling.6."),
    (r"\.layer_norm(\d|_final_attn)\.", r".norm\1."),
    (r"\.upscale_conv1\.", ".output_upscaling.0."),
    (r"\.upscale_layer_norm\.", ".output_upscaling.1."),
    (r"\.upscale_conv2\.", ".output_upscaling.3."),
    (r"(iou_prediction_head|mlps\.\d+)\.proj_out\.", r"\1.layers.2."),
    (r"(iou_prediction_head|mlps\.\d+)\.layers\.0\.", r"\1.layers.1."),
    (r"(iou_prediction_head|mlps\.\d+)\.proj_in\.", r"\1.layers.0."),
)
"""Regular expressions of transformers' names, and the published ones, which are ours; applied in this order."""


def is_transformers_layout(names: Iterable[str]) -> bool:
    """Are these the names of ``SamModel``? Its relatives (SAM 2, SAM-HQ) share some of them, and have others."""
    return {POSITIONS[0], PATCHES} <= set(names)


def published_name(name: str) -> str:
    """The published name of a tensor of ``SamModel``; others keep theirs."""
    for pattern, replacement in NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def from_transformers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of ``SamModel`` by the published names, which are those of :class:`~omgseg.models.sam.SAM`."""
    return {published_name(name): tensor for name, tensor in weights.items()}
