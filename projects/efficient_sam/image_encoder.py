"""A plain ViT in the place of SAM's image encoder; and in that of OMG-Seg's, with a pyramid of four features."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import LayerNorm2d
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from omgseg.models.checkpoints.loading import CheckpointError, load_state, read_checkpoint
from omgseg.models.sam.image_encoder import make_neck
from omgseg.models.sam.model import PIXEL_MEAN, PIXEL_STD
from omgseg.registry import MODELS

PREFIX = "image_encoder."
"""Of the image encoder's tensors in a checkpoint."""


@MODELS.register_module()
class EfficientSamImageEncoder(nn.Module):
    """A ViT with global attention in all blocks and without relative positions, and SAM's neck (arXiv:2312.00863).

    Parameters have the names of the published checkpoints. The defaults are those of EfficientSAM-Ti.

    Args:
        image_size: side of the square input, in pixels.
        patch_size: side of a patch, which is the stride of the embedding.
        width: channels of the transformer.
        depth, num_heads: of the transformer.
        mlp_ratio: hidden size of a block's MLP, in units of `width`.
        position_grid: side of the grid that the table of positions is for; other grids interpolate it. The published
            ones are of the pre-training, at 224 pixels.
        embed_dim: channels of the embedding.
        with_checkpoint: recompute the activations of each block in the backward pass.
        attention: config of what takes the place of the attention in all blocks: a module that maps tokens
            (B, H, W, C) to tokens, built with its `width`, `num_heads` and `size` besides, as in
            :class:`~omgseg.models.sam.image_encoder.SamImageEncoder`. It needs all tokens of an image, which masked
            pre-training does not give.
    """

    def __init__(
        self,
        image_size: int = 1024,
        patch_size: int = 16,
        width: int = 192,
        depth: int = 12,
        num_heads: int = 3,
        mlp_ratio: float = 4.0,
        position_grid: int = 14,
        embed_dim: int = 256,
        with_checkpoint: bool = False,
        attention: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if image_size % patch_size:
            raise ValueError(f"image_size={image_size} is no multiple of patch_size={patch_size}")
        self.image_size = image_size
        self.stride = patch_size
        self.width = width
        self.embed_dim = embed_dim
        self.grid = image_size // patch_size
        self.position_grid = position_grid
        self.with_checkpoint = with_checkpoint
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, width, patch_size, patch_size)
        # the first position is that of a class token, which is not there
        self.pos_embed = nn.Parameter(
            nn.init.trunc_normal_(torch.empty(1, 1 + position_grid**2, width), std=0.02)
        )
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.blocks = nn.ModuleList(
            Block(width, num_heads, mlp_ratio, qkv_bias=True, norm_layer=norm) for _ in range(depth)
        )
        if attention is not None:
            sizes = dict(width=width, num_heads=num_heads, size=self.grid)
            for block in self.blocks:
                block.attn = OnGrid(MODELS.build({**sizes, **attention}), self.grid)
        self.neck = make_neck(width, embed_dim)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, S, S) to embeddings (B, E, S / stride, S / stride)."""
        return self.neck(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W) of whole patches, of any size, to (B, C, H / stride, W / stride), without the
        neck."""
        grid = [side // self.stride for side in images.shape[-2:]]
        return self.attend(self.embed_patches(images)).transpose(1, 2).unflatten(2, grid)

    def embed_patches(self, images: Tensor) -> Tensor:
        """Images to tokens (B, cells, C) with their positions, row by row."""
        patches = self.patch_embed.proj(images)
        return patches.flatten(2).transpose(1, 2) + self.positions(patches.shape[-2:])

    def positions(self, grid: Sequence[int]) -> Tensor:
        """(1, cells, C): the table, resized to a grid (rows, columns), bicubic."""
        table, side = self.pos_embed[:, 1:], self.position_grid
        if tuple(grid) == (side, side):
            return table
        table = table.transpose(1, 2).unflatten(2, (side, side))
        resized = F.interpolate(table, tuple(grid), mode="bicubic", align_corners=False)
        return resized.flatten(2).transpose(1, 2)

    def attend(self, tokens: Tensor) -> Tensor:
        """Any of the tokens (B, N, C) after all blocks, before the neck."""
        for block in self.blocks:
            if self.with_checkpoint and self.training:
                tokens = checkpoint(block, tokens, use_reentrant=False)
            else:
                tokens = block(tokens)
        return tokens


class OnGrid(nn.Module):
    """Attention on a grid (B, H, W, C) in the place of timm's, which takes tokens (B, N, C).

    Raises:
        ValueError: the tokens are not those of a whole grid.
    """

    def __init__(self, attention: nn.Module, side: int) -> None:
        super().__init__()
        self.attention = attention
        self.side = side

    def forward(self, tokens: Tensor, attn_mask: None = None, is_causal: bool = False) -> Tensor:
        """(B, N, C) -> (B, N, C); the other arguments are timm's, with the only values that its ViT gives here."""
        if tokens.shape[1] != self.side**2:
            raise ValueError(
                f"{type(self.attention).__name__} needs all {self.side**2} tokens of an image, not {tokens.shape[1]}; "
                "leave the option attention of the encoder out for masked pre-training"
            )
        return self.attention(tokens.unflatten(1, (self.side, self.side))).flatten(1, 2)


def load_pretrained(encoder: EfficientSamImageEncoder, file: str) -> None:
    """Load the image encoder of a pre-training (SAMI, MAE), or of an EfficientSAM, ours or published, without its neck.

    Args:
        encoder: without a neck.
        file: see :func:`read_checkpoint`.

    Raises:
        FileNotFoundError, CheckpointError: see :func:`read_checkpoint`.
        CheckpointError: the file holds another image encoder, or none.
    """
    held = read_checkpoint(file)["state_dict"]
    weights = {name.removeprefix(PREFIX): value for name, value in held.items() if name.startswith(PREFIX)}
    weights = {name: value for name, value in weights.items() if not name.startswith("neck.")}
    report = load_state(encoder, weights, strict=False)
    faults = [f"{name} is {found}, not {wanted}" for name, (found, wanted) in report.mismatched.items()]
    faults += [f"{name} has {reason}" for name, reason in report.unusable.items()]
    faults += [f"there is no {name}" for name in report.missing]
    faults += [f"{name} is not known" for name in report.unexpected]
    if faults:
        raise CheckpointError(
            f"{file} does not hold the ViT of this config (width {encoder.width}, {len(encoder.blocks)} blocks): "
            f"{len(faults)} of its tensors {PREFIX}* do not fit; the first: {faults[0]}"
        )


@MODELS.register_module()
class VitPyramidEncoder(nn.Module):
    """A plain ViT as image encoder of OMG-Seg: its one feature becomes four (ViTDet's simple feature pyramid,
    arXiv:2203.16527, section 3) by transposed convolutions and pooling.

    ViTDet projects each of the four by two convolutions more. Here OMG-Seg's pixel decoder projects what it takes.

    Args:
        vit: config of :class:`EfficientSamImageEncoder`, of stride 16; its neck is left out.
        pretrained: see :func:`load_pretrained`. Read when a training starts; None: random weights.

    Attributes:
        channels, strides: of the four features.
        mean, std: (3,) of pixel values in 0..1.

    Raises:
        ValueError: the ViT has another stride.
    """

    strides = (4, 8, 16, 32)
    mean = tuple(value / 255 for value in PIXEL_MEAN)
    std = tuple(value / 255 for value in PIXEL_STD)

    def __init__(self, vit: dict[str, Any], pretrained: str | None = None) -> None:
        super().__init__()
        self.vit = MODELS.build(vit)
        if self.vit.stride != 16:
            raise ValueError(f"the pyramid is made of patches of 16 pixels, not {self.vit.stride}")
        self.vit.neck = nn.Identity()
        self.pretrained = pretrained
        width = self.vit.width
        self.channels = [width // 4, width // 2, width, width]
        self.to_quarters = nn.Sequential(
            nn.ConvTranspose2d(width, width // 2, 2, 2),
            LayerNorm2d(width // 2, eps=1e-6),
            nn.GELU(),
            nn.ConvTranspose2d(width // 2, width // 4, 2, 2),
        )
        self.to_eighths = nn.ConvTranspose2d(width, width // 2, 2, 2)

    def init_weights(self) -> None:
        """The runner calls it before a training.

        Raises:
            FileNotFoundError, CheckpointError: see :func:`load_pretrained`.
        """
        if self.pretrained is not None:
            load_pretrained(self.vit, self.pretrained)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Normalised images (B, 3, H, W) to features (B, channels[i], H / strides[i], W / strides[i]).

        H and W are multiples of 32.
        """
        feature = self.vit.features(images)
        return self.to_quarters(feature), self.to_eighths(feature), feature, F.max_pool2d(feature, 2)
