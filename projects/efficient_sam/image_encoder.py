"""A plain ViT in the place of SAM's image encoder."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from omgseg.models.sam.image_encoder import make_neck
from omgseg.registry import MODELS


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
        tokens = self.attend(self.embed_patches(images))
        return self.neck(tokens.transpose(1, 2).unflatten(2, (self.grid, self.grid)))

    def embed_patches(self, images: Tensor) -> Tensor:
        """Images to tokens (B, cells, C) with their positions, row by row."""
        return self.patch_embed.proj(images).flatten(2).transpose(1, 2) + self.positions()

    def positions(self) -> Tensor:
        """(1, cells, C): the table, resized to the grid (bicubic)."""
        table = self.pos_embed[:, 1:]
        if self.grid == self.position_grid:
            return table
        table = table.transpose(1, 2).unflatten(2, (self.position_grid, self.position_grid))
        resized = F.interpolate(table, (self.grid, self.grid), mode="bicubic", align_corners=False)
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
