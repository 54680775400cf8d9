"""RepViT in the place of SAM's image encoder, with the last two stages fused."""

from __future__ import annotations

import re
from typing import Any

import timm
import torch.nn.functional as F
from torch import Tensor, nn

from omgseg.models.sam.image_encoder import make_neck
from omgseg.registry import MODELS


@MODELS.register_module()
class EdgeSamImageEncoder(nn.Module):
    """RepViT (arXiv:2307.09283); stage 3 (stride 32) is upsampled and added to stage 2 (stride 16); SAM's neck.

    Args:
        image_size: side of the padded square input, in pixels; a multiple of 32.
        embed_dim: channels of the embedding.
        trunk: name of timm's RepViT.
        trunk_options: further keyword arguments of it, to build smaller ones.
        upsample: mode of the interpolation, ``"bicubic"`` (published) or ``"bilinear"``.
    """

    stride = 16

    def __init__(
        self,
        image_size: int = 1024,
        embed_dim: int = 256,
        trunk: str = "repvit_m1",
        trunk_options: dict[str, Any] | None = None,
        upsample: str = "bicubic",
    ) -> None:
        super().__init__()
        self.image_size = image_size
        self.embed_dim = embed_dim
        self.upsample = upsample
        self.trunk = timm.create_model(trunk, pretrained=False, num_classes=0, **(trunk_options or {}))
        self.trunk.head = nn.Identity()
        widths = [stage.blocks[-1].channel_mixer.conv2.c.out_channels for stage in self.trunk.stages]
        self.fuse_stage2 = nn.Conv2d(widths[2], embed_dim, 1, bias=False)
        self.fuse_stage3 = nn.Conv2d(widths[3], embed_dim, 1, bias=False)
        self.neck = make_neck(embed_dim, embed_dim)
        self._register_load_state_dict_pre_hook(self._rename_published)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, S, S) to embeddings (B, E, S / 16, S / 16)."""
        return self.fuse(self.stages(images))

    def fuse(self, stages: list[Tensor]) -> Tensor:
        """The embeddings of what :meth:`stages` gives."""
        *_, stage2, stage3 = stages
        coarse = F.interpolate(
            self.fuse_stage3(stage3), stage2.shape[-2:], mode=self.upsample, align_corners=False
        )
        return self.neck(self.fuse_stage2(stage2) + coarse)

    def stages(self, images: Tensor) -> list[Tensor]:
        """The features of the four stages, strides 4, 8, 16 and 32.

        timm begins a stage with a block at the stride before; that block ends the stage here, as published.
        """
        x = self.trunk.stem(images)
        features = []
        for stage in self.trunk.stages:
            down = stage.downsample
            if not isinstance(down, nn.Identity):
                x = down.pre_block(x)
                features.append(x)
                x = down.channel_downsample(down.spatial_downsample(x))
                x = x + down.ffn(x)
            x = stage.blocks(x)
        return [*features, x]

    def _rename_published(self, state_dict: dict[str, Tensor], prefix: str, *_: Any) -> None:
        """The published names of this module's tensors become ours, in place."""
        if not any(name.startswith(f"{prefix}features.") for name in state_dict):
            return
        places = self._published_places()
        for name in [name for name in state_dict if name.startswith(prefix)]:
            ours = name.removeprefix(prefix)
            ours = re.sub(r"^fuse_stage3\.op_list\.0\.", "fuse_stage3.", ours)
            for pattern, replacement in places:
                ours = re.sub(pattern, replacement, ours)
            state_dict[prefix + ours] = state_dict.pop(name)

    def _published_places(self) -> list[tuple[str, str]]:
        """Regular expressions of published names, and ours: published blocks are numbered through, the stem is 0."""
        mixer = r"channel_mixer\.m"
        places = [(r"^features\.0\.0\.", "trunk.stem.conv1."), (r"^features\.0\.2\.", "trunk.stem.conv2.")]
        number = 0

        def add_block(path: str) -> None:
            nonlocal number
            number += 1
            at = rf"^features\.{number}\."
            places.extend(
                [
                    (at + r"token_mixer\.0\.", f"{path}.token_mixer."),
                    (at + r"token_mixer\.1\.", f"{path}.se."),
                    (at + mixer + r"\.0\.", f"{path}.channel_mixer.conv1."),
                    (at + mixer + r"\.2\.", f"{path}.channel_mixer.conv2."),
                ]
            )

        for index, stage in enumerate(self.trunk.stages):
            path = f"trunk.stages.{index}"
            if not isinstance(stage.downsample, nn.Identity):
                add_block(f"{path}.downsample.pre_block")
                number += 1
                at = rf"^features\.{number}\."
                places += [
                    (at + r"token_mixer\.0\.", f"{path}.downsample.spatial_downsample."),
                    (at + r"token_mixer\.2\.", f"{path}.downsample.channel_downsample."),
                    (at + mixer + r"\.0\.", f"{path}.downsample.ffn.conv1."),
                    (at + mixer + r"\.2\.", f"{path}.downsample.ffn.conv2."),
                ]
            for block in range(len(stage.blocks)):
                add_block(f"{path}.blocks.{block}")
        return places
