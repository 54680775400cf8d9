"""A plain ViT in the place of SAM's image encoder."""

from __future__ import annotations

from functools import partial

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
