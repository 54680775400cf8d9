"""BA-SAM's scaling factor for MobileSAM; that for SAM is an option of its image encoder."""

from __future__ import annotations

from typing import Any

from timm.models.tiny_vit import Attention

from omgseg.models.sam.image_encoder import attention_growth
from omgseg.projects.mobile_sam import MobileSamImageEncoder
from omgseg.registry import MODELS

TRAINED_TOKENS = 38**2
"""The base of the released code for TinyViT at 1024 pixels."""


@MODELS.register_module()
class LargerMobileSamImageEncoder(MobileSamImageEncoder):
    """MobileSAM's TinyViT, whose attention is scaled as in the released code: every layer, although all are windowed.

    Args:
        image_size: side of the padded square input, in pixels.
        trained_size: that of the images that the weights were trained with.
        kwargs: see :class:`~omgseg.projects.mobile_sam.MobileSamImageEncoder`.
    """

    def __init__(self, image_size: int = 2048, trained_size: int = 1024, **kwargs: Any) -> None:
        super().__init__(image_size, **kwargs)
        growth = attention_growth(TRAINED_TOKENS * (image_size / trained_size) ** 2, TRAINED_TOKENS)
        for module in self.trunk.modules():
            if isinstance(module, Attention):
                scale_attention(module, growth)


def scale_attention(layer: Attention, growth: float) -> None:
    """Multiply the products of queries and keys of timm's layer."""
    layer.scale *= growth
    layer.fused_attn = False  # its fused attention does not look at `scale`
