"""The key layout of the published OMG-Seg checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

PREFIXES: tuple[tuple[str, str], ...] = (
    ("backbone.stem.", "image_encoder.stem."),
    ("backbone.layer1.", "image_encoder.stages.0."),
    ("backbone.layer2.", "image_encoder.stages.1."),
    ("backbone.layer3.", "image_encoder.stages.2."),
    ("backbone.layer4.", "image_encoder.stages.3."),
    ("backbone.norm_pre.", "image_encoder.norm_pre."),
    ("backbone.head.0.", "image_encoder.pooling_head."),
    ("backbone.head.1.", "image_encoder.projection."),
    ("panoptic_head.pixel_decoder.", "pixel_decoder."),
    ("panoptic_head.transformer_decoder.", "query_decoder."),
    ("panoptic_head.query_embed.", "query_decoder.query_embed."),
    ("panoptic_head.query_feat.", "query_decoder.query_feat."),
    ("panoptic_head.level_embed.", "query_decoder.level_embed."),
    ("panoptic_head.mask_embed.", "query_decoder.mask_embed."),
    ("panoptic_head.iou_embed.", "query_decoder.objectness."),
    ("panoptic_head.cls_proj.", "classifier.projection."),
    ("panoptic_head.mask_pooling_proj.", "classifier.mask_pooling."),
    ("panoptic_head.mask_tokens.", "prompt_encoder.mask_tokens."),
    ("panoptic_head.pb_embedding.", "prompt_encoder.kind_embed."),
    ("panoptic_head.pos_linear.", "prompt_encoder.position_proj."),
)
"""(published, ours): the first prefix that fits replaces the start of a key; what follows it is the same in
both."""


class PublishedModel(NamedTuple):
    """One of the published sizes: the config that builds it, open_clip's name and weights of its image encoder."""

    config: str
    image_encoder: str
    pretrained: str


PUBLISHED_MODELS: dict[int, PublishedModel] = {
    1536: PublishedModel("omg_convnext_l", "convnext_large_d_320", "laion2b_s29b_b131k_ft_soup"),
    3072: PublishedModel("omg_convnext_xxl", "convnext_xxlarge", "laion2b_s34b_b82k_augreg_soup"),
}
"""By the channels of the image encoder's last feature, which the pixel decoder takes in."""

_LAST_FEATURE = "pixel_decoder.input_convs.0.conv.weight"
_ROOTS = ("backbone.", "panoptic_head.")
_LOGIT_SCALE = "image_encoder.logit_scale"
_PUBLISHED_LOGIT_SCALE = (
    100.0  # not stored; all published weights sit on CLIPs whose learned scale is at its clamp
)


def is_published_layout(state_dict: Mapping[str, Any]) -> bool:
    """Does any key start as in the published checkpoints (``backbone.``, ``panoptic_head.``)?"""
    return any(key.startswith(_ROOTS) for key in state_dict)


def convert_state_dict(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the keys of a published checkpoint to ours.

    Keys that the table does not know keep their name, so that loading reports them as unexpected. CLIP's
    scale of similarities is added when the image encoder is there: published checkpoints do not store it.
    """
    converted = rename(published, PREFIXES)
    has_encoder = any(key.startswith("backbone.") for key in published)
    if has_encoder:
        converted.setdefault(_LOGIT_SCALE, torch.tensor(_PUBLISHED_LOGIT_SCALE))
    return converted


def rename(state_dict: Mapping[str, Tensor], prefixes: tuple[tuple[str, str], ...]) -> dict[str, Tensor]:
    """Replace the start of each key by the first prefix that fits; see :data:`PREFIXES`. Others stay as they are."""
    return {_rename(key, prefixes): value for key, value in state_dict.items()}


def _rename(key: str, prefixes: tuple[tuple[str, str], ...]) -> str:
    for published, ours in prefixes:
        if key.startswith(published):
            return ours + key[len(published) :]
    return key


def layout_of(model: Any) -> tuple[tuple[str, str], ...]:
    """The published names of a model or of its class: :data:`PREFIXES`, or a table of its own under the attribute
    ``published_prefixes``."""
    return getattr(model, "published_prefixes", PREFIXES)


def to_names_of(model: Any, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights in any layout of a model or of its class, under the model's names: a copy; see :func:`layout_of`."""
    layout = layout_of(model)
    if layout is not PREFIXES:
        return rename(state_dict, layout)
    return convert_state_dict(state_dict) if is_published_layout(state_dict) else dict(state_dict)


def unknown_keys(published: Mapping[str, Any], layout: tuple[tuple[str, str], ...] = PREFIXES) -> list[str]:
    """Keys that a table does not know."""
    known = tuple(prefix for prefix, _ in layout)
    return [key for key in published if not key.startswith(known)]


def holds_image_encoder(converted: Mapping[str, Any]) -> bool:
    """Are the image encoder's weights among these, in our layout? The published files leave them to open_clip."""
    return any(key.startswith("image_encoder.") for key in converted)


def identify(converted: Mapping[str, Tensor]) -> PublishedModel | None:
    """Which published size do weights in our layout have, by the shape of the pixel decoder's first layer?"""
    weight = converted.get(_LAST_FEATURE)
    return None if weight is None or weight.ndim != 4 else PUBLISHED_MODELS.get(weight.shape[1])


def published_to_ours_inplace(
    module: nn.Module, state_dict: dict[str, Any], prefix: str = "", *_: Any
) -> None:
    """Rename the module's published keys under `prefix` in place (:func:`to_names_of`); leaves others alone.

    Its signature is that of ``nn.Module.register_load_state_dict_pre_hook``: registered on the segmentor, the
    published layout is accepted wherever weights are loaded, mmengine's ``load_from`` included.
    """
    inside = {key[len(prefix) :]: value for key, value in state_dict.items() if key.startswith(prefix)}
    named = to_names_of(module, inside)
    if set(named) == set(inside):
        return
    for key in inside:
        del state_dict[prefix + key]
    state_dict.update({prefix + key: value for key, value in named.items()})
