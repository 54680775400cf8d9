"""Which published checkpoint of the SAM family a file is, told from its tensors."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

VIT_CONFIGS = {
    768: ("SAM ViT-B", "configs/sam/sam_vit_b.py"),
    1024: ("SAM ViT-L", "configs/sam/sam_vit_l.py"),
    1280: ("SAM ViT-H", "configs/sam/sam_vit_h.py"),
}
"""By the width of the image encoder."""
RELATIVES = {
    "image_encoder.patch_embed.seq.0.c.weight": ("MobileSAM", "projects/mobile_sam/configs/mobile_sam.py"),
    "image_encoder.features.0.0.c.weight": ("EdgeSAM", "projects/edge_sam/configs/edge_sam.py"),
}
"""By the name of a tensor that no other has."""


def recognise(tensors: Mapping[str, Tensor]) -> tuple[str, str] | None:
    """The name and the config of a published checkpoint; None if it is none of them.

    Args:
        tensors: a state dict with the published names.
    """
    for name, known in RELATIVES.items():
        if name in tensors:
            return known
    positions = tensors.get("image_encoder.pos_embed")
    return None if positions is None else VIT_CONFIGS.get(positions.shape[-1])
