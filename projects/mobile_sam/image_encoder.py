"""TinyViT in the place of SAM's image encoder."""

from __future__ import annotations

import re
from typing import Any

import timm
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from omgseg.models.sam.image_encoder import make_neck
from omgseg.registry import MODELS

PUBLISHED_NAMES = (
    (r"^(norm_head|head)\..*", ""),  # an unused classifier
    (r"\.(conv[123]?|local_conv)\.c\.", r".\1.conv."),
    (r"^patch_embed\.seq\.0\.c\.", "trunk.patch_embed.conv1.conv."),
    (r"^patch_embed\.seq\.0\.", "trunk.patch_embed.conv1."),
    (r"^patch_embed\.seq\.2\.c\.", "trunk.patch_embed.conv2.conv."),
    (r"^patch_embed\.seq\.2\.", "trunk.patch_embed.conv2."),
    (r"^layers\.(\d+)\.blocks\.", r"trunk.stages.\1.blocks."),
    (r"^layers\.0\.downsample\.", "trunk.stages.1.downsample."),
    (r"^layers\.1\.downsample\.", "trunk.stages.2.downsample."),
    (r"^layers\.2\.downsample\.", "trunk.stages.3.downsample."),
)
"""Regular expressions of the published names, and timm's; applied in this order."""


@MODELS.register_module()
class MobileSamImageEncoder(nn.Module):
    """TinyViT-5M (arXiv:2207.10666) with a last stage of stride 16, and SAM's neck.

    Args:
        image_size: side of the padded square input, in pixels; a multiple of 16.
        embed_dim: channels of the embedding.
        trunk: keyword arguments of timm's TinyViT, to build smaller ones.
        with_checkpoint: recompute the activations of each stage in the backward pass.
    """

    stride = 16

    def __init__(
        self,
        image_size: int = 1024,
        embed_dim: int = 256,
        trunk: dict[str, Any] | None = None,
        with_checkpoint: bool = False,
    ) -> None:
        super().__init__()
        self.image_size = image_size
        self.embed_dim = embed_dim
        self.with_checkpoint = with_checkpoint
        self.trunk = timm.create_model("tiny_vit_5m_224", pretrained=False, num_classes=0, **(trunk or {}))
        self.trunk.head = nn.Identity()
        self.trunk.stages[-1].downsample.conv2.conv.stride = (1, 1)
        width = self.trunk.num_features
        self.neck = make_neck(width, embed_dim)
        self._register_load_state_dict_pre_hook(_rename_published)
        self.register_load_state_dict_post_hook(_forget_biases)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, S, S) to embeddings (B, E, S / 16, S / 16)."""
        x = self.trunk.patch_embed(images)
        for stage in self.trunk.stages:
            x = (
                checkpoint(stage, x, use_reentrant=False)
                if self.with_checkpoint and self.training
                else stage(x)
            )
        return self.neck(x)


def _rename_published(state_dict: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """The published names of this module's tensors become ours, in place."""
    if not any(name.startswith(f"{prefix}layers.") for name in state_dict):
        return
    for name in [name for name in state_dict if name.startswith(prefix)]:
        ours = name.removeprefix(prefix)
        for pattern, replacement in PUBLISHED_NAMES:
            ours = re.sub(pattern, replacement, ours)
        tensor = state_dict.pop(name)
        if ours:
            state_dict[prefix + ours] = tensor


def _forget_biases(module: nn.Module, _: Any) -> None:
    """timm keeps the biases that it looked up in eval mode; a change of mode drops them."""
    module.train(module.training)
