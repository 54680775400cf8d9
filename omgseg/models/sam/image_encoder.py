"""SAM's image encoder: a plain vision transformer with windows, global layers and decomposed relative positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import ConvNormAct, LayerNorm2d
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from omgseg.registry import MODELS


@MODELS.register_module()
class SamImageEncoder(nn.Module):
    """Images to one embedding of stride 16 (arXiv:2304.02643, section 3; arXiv:2203.16527 for the backbone).

    Parameters have the names of the published checkpoints.

    With `trained_size` it takes larger images than its weights were trained with; the arguments after it are those of
    BA-SAM (arXiv:2401.02317), each by itself. See projects/ba_sam/README.md.

    Args:
        image_size: side of the padded square input, in pixels.
        patch_size: side of a patch, which is the stride of the embedding.
        width: channels of the transformer.
        depth, num_heads: of the transformer.
        mlp_ratio: hidden size of a block's MLP, in units of `width`.
        window_size: side of a window of the layers that attend locally.
        global_layers: numbers of the layers that attend to the whole image.
        embed_dim: channels of the embedding.
        stem: channels of 3x3 convolutions of stride 2 before the patches, each with batch norm and GELU. Published SAMs
            have none; a small SAM that is trained from nothing learns much faster with them (arXiv:2106.14881).
        with_checkpoint: recompute the activations of each block in the backward pass.
        trained_size: side of the images that the weights were trained with; positions are interpolated. None:
            `image_size`.
        scale_attention: multiply the products of queries and keys in global layers by :func:`attention_growth`.
        distance_penalty: global layers get a learned penalty of the attention logits for each cell of distance, which
            starts at this value; see :class:`GridAttention`. None: there is no penalty.
        position_coefficient: all layers get a learned factor of their relative positions, which starts at this value.
            None: there is no factor.
        absolute_positions: add a learned position to each token.
        attention: config of what takes the place of :class:`GridAttention` in all layers: a module that maps tokens
            (B, H, W, C) to tokens, built with its `width`, `num_heads` and `size` besides. The arguments of BA-SAM go
            to it where they are given.
    """

    stride: int

    def __init__(
        self,
        image_size: int = 1024,
        patch_size: int = 16,
        width: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        window_size: int = 14,
        global_layers: Sequence[int] = (2, 5, 8, 11),
        embed_dim: int = 256,
        stem: Sequence[int] = (),
        with_checkpoint: bool = False,
        trained_size: int | None = None,
        scale_attention: bool = False,
        distance_penalty: float | None = None,
        position_coefficient: float | None = None,
        absolute_positions: bool = True,
        attention: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        trained_size = trained_size or image_size
        for name, size in (("image_size", image_size), ("trained_size", trained_size)):
            if size < patch_size:
                raise ValueError(f"{name}={size} is smaller than a patch (patch_size={patch_size})")
        self.image_size = image_size
        self.stride = patch_size
        self.embed_dim = embed_dim
        self.with_checkpoint = with_checkpoint
        self.grid, grid = image_size // patch_size, trained_size // patch_size
        growth = attention_growth(self.grid**2, grid**2) if scale_attention else None
        self.patch_embed = make_patch_embed(patch_size, width, stem)
        self.pos_embed = None
        if absolute_positions:
            self.pos_embed = nn.Parameter(torch.zeros(1, grid, grid, width))
            nn.init.trunc_normal_(self.pos_embed, std=0.02)
        local = {**(attention or {}), **_given(position_coefficient=position_coefficient)}
        wide = {**local, **_given(growth=growth, distance_penalty=distance_penalty)}
        self.blocks = nn.ModuleList()
        for layer in range(depth):
            window, options = (0, wide) if layer in global_layers else (window_size, local)
            self.blocks.append(Block(width, num_heads, int(width * mlp_ratio), grid, window, **options))
        self.neck = make_neck(width, embed_dim)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, S, S), padded to `image_size`, to embeddings (B, E, S / stride, S / stride)."""
        tokens = self.patch_embed(images).permute(0, 2, 3, 1)
        if self.pos_embed is not None:
            tokens = tokens + resized_positions(self.pos_embed, self.grid)
        for block in self.blocks:
            if self.with_checkpoint and self.training:
                tokens = checkpoint(block, tokens, use_reentrant=False)
            else:
                tokens = block(tokens)
        return self.neck(tokens.permute(0, 3, 1, 2))


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def make_patch_embed(patch_size: int, width: int, stem: Sequence[int]) -> nn.Sequential:
    """Images (B, 3, S, S) to patches (B, width, S / patch_size, S / patch_size), see :class:`SamImageEncoder`.

    Raises:
        ValueError: a patch is smaller than the stride of the stem.
    """
    widths, patch = [3, *stem], patch_size // 2 ** len(stem)
    if patch_size % 2 ** len(stem):
        raise ValueError(
            f"a stem of {len(stem)} convolutions of stride 2 does not fit patch_size={patch_size}"
        )
    embed = nn.Sequential()
    if stem:
        convolutions = (ConvNormAct(*pair, 3, stride=2, act_layer=nn.GELU) for pair in pairwise(widths))
        embed.add_module("stem", nn.Sequential(*convolutions))
    embed.add_module("proj", nn.Conv2d(widths[-1], width, patch, patch))
    return embed


def attention_growth(tokens: float, trained_tokens: float) -> float:
    """BA-SAM's new scaling factor (arXiv:2401.02317), relative to the usual one: the logarithm of the number of tokens,
    to the base of that of the training. 1 where both are equal.

    Raises:
        ValueError: a number is too small for a logarithm that is not 0.
    """
    if min(tokens, trained_tokens) < 2:
        raise ValueError(f"the scaling factor needs at least 2 tokens, not {tokens} after {trained_tokens}")
    return math.log(tokens) / math.log(trained_tokens)


def resized_positions(table: Tensor, grid: int) -> Tensor:
    """Positions (1, g, g, C) of the cells of another grid (1, grid, grid, C), bicubic."""
    if table.shape[1] == grid:
        return table
    resized = F.interpolate(table.permute(0, 3, 1, 2), (grid, grid), mode="bicubic", align_corners=False)
    return resized.permute(0, 2, 3, 1)


def make_neck(width: int, embed_dim: int) -> nn.Sequential:
    """SAM's neck: features (B, width, h, w) to embeddings (B, E, h, w)."""
    return nn.Sequential(
        nn.Conv2d(width, embed_dim, 1, bias=False),
        LayerNorm2d(embed_dim, eps=1e-6),
        nn.Conv2d(embed_dim, embed_dim, 3, padding=1, bias=False),
        LayerNorm2d(embed_dim, eps=1e-6),
    )


class Block(nn.Module):
    """A transformer block on a grid of tokens (B, H, W, C).

    Args:
        grid: side of the grid that the relative positions of a global layer are for.
        window_size: of local attention; 0: global.
        attention: ``type`` of a module in the place of :class:`GridAttention`, and further arguments of either.
    """

    def __init__(
        self, width: int, num_heads: int, hidden: int, grid: int, window_size: int, **attention: Any
    ) -> None:
        super().__init__()
        self.window_size = window_size
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        sizes = dict(width=width, num_heads=num_heads, size=window_size or grid)
        self.attn = MODELS.build({"type": GridAttention, **sizes, **attention})
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Module()
        self.mlp.lin1 = nn.Linear(width, hidden)
        self.mlp.lin2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        normed = self.norm1(tokens)
        if self.window_size:
            windows = to_windows(normed, self.window_size)
            attended = from_windows(self.attn(windows), self.window_size, tokens.shape[:3])
        else:
            attended = self.attn(normed)
        tokens = tokens + attended
        return tokens + self.mlp.lin2(F.gelu(self.mlp.lin1(self.norm2(tokens))))


class GridAttention(nn.Module):
    """Self-attention on a grid, with a learned bias for the row distance and one for the column distance.

    The biases of all pairs would take heads x (H W)^2 numbers, 800 MB for ViT-B at 1024 pixels. Instead, queries carry
    their biases to each row and each column, and keys say where they are: the product adds the two. Exact, but for
    rounding.

    Distances are measured along the axes, rows plus columns: so a penalty for them goes the same way.

    Args:
        size: side of the grid that the tables of relative positions are for; other grids interpolate them.
        growth: factor of the products of queries and keys.
        distance_penalty: start of the learned ``distance_penalty``, which is taken from the logits of a query and a key
            for each cell between them (linear, as in ALiBi, arXiv:2108.12409). None: there is none.
        position_coefficient: start of the learned ``coefficient`` of both biases. None: there is none.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        size: int,
        growth: float = 1.0,
        distance_penalty: float | None = None,
        position_coefficient: float | None = None,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.scale = (width // num_heads) ** -0.5 * growth
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * size - 1, width // num_heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * size - 1, width // num_heads))
        learned = {"distance_penalty": distance_penalty, "coefficient": position_coefficient}
        for name, start in learned.items():
            self.register_parameter(name, None if start is None else nn.Parameter(torch.full((1,), start)))
        self._register_load_state_dict_pre_hook(self._keep_starts)

    def _keep_starts(self, state_dict: dict[str, Tensor], prefix: str, *_: Any) -> None:
        """The weights of a plain SAM leave the learned numbers where they start."""
        for name in ("distance_penalty", "coefficient"):
            if getattr(self, name) is not None and f"{prefix}qkv.weight" in state_dict:
                state_dict.setdefault(prefix + name, getattr(self, name).detach())

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        batch, height, width, channels = tokens.shape
        qkv = self.qkv(tokens).view(batch, height, width, 3, self.num_heads, -1)
        q, k, v = qkv.permute(3, 0, 4, 1, 2, 5)  # (B, heads, H, W, d) each
        by_row = relative_positions(self.rel_pos_h, height, height).to(q.dtype)
        by_column = relative_positions(self.rel_pos_w, width, width).to(q.dtype)
        row_bias = torch.einsum("bnhwd,hkd->bnhwk", q, by_row)  # of the unscaled queries
        column_bias = torch.einsum("bnhwd,wkd->bnhwk", q, by_column)
        if self.coefficient is not None:
            coefficient = self.coefficient.to(q.dtype)
            row_bias, column_bias = row_bias * coefficient, column_bias * coefficient
        if self.distance_penalty is not None:
            row_bias = row_bias - (self.distance_penalty * distances(height, q.device)).to(q.dtype).unsqueeze(
                1
            )
            column_bias = column_bias - (self.distance_penalty * distances(width, q.device)).to(q.dtype)
        queries = torch.cat([q * self.scale, row_bias, column_bias], dim=-1)
        row = torch.eye(height, dtype=k.dtype, device=k.device).unsqueeze(1).expand(-1, width, -1)
        column = torch.eye(width, dtype=k.dtype, device=k.device).expand(height, -1, -1)
        place = torch.cat([row, column], dim=-1).expand(*k.shape[:2], -1, -1, -1)
        keys = torch.cat([k, place], dim=-1)
        attended = self.attend(*(part.flatten(2, 3) for part in (queries, keys, v)))
        return self.proj(attended.transpose(1, 2).reshape(batch, height, width, channels))

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Values (B, heads, N, d), mixed by the softmax of the products of queries and keys (B, heads, N, D)."""
        channels = values.shape[-1]
        values = F.pad(values, (0, queries.shape[-1] - channels))  # kernels want one width
        return F.scaled_dot_product_attention(queries, keys, values, scale=1.0)[..., :channels]


def relative_positions(table: Tensor, q_size: int, k_size: int) -> Tensor:
    """Embeddings (q_size, k_size, d) of the distances on one axis.

    Args:
        table: (2 size - 1, d), from the most negative distance to the most positive one; interpolated linearly if it
            is of another length than the sizes need. Where the sizes differ, positions of the shorter axis are spread.
    """
    distances = 2 * max(q_size, k_size) - 1
    if len(table) != distances:
        table = F.interpolate(table.t().unsqueeze(0), size=distances, mode="linear")[0].t()
    q = torch.arange(q_size, device=table.device).unsqueeze(1) * max(k_size / q_size, 1.0)
    k = torch.arange(k_size, device=table.device) * max(q_size / k_size, 1.0)
    return table[(q - k + (k_size - 1) * max(q_size / k_size, 1.0)).long()]


def distances(size: int, device: torch.device) -> Tensor:
    """(size, size): how many cells lie between two of an axis, 0 on the diagonal."""
    places = torch.arange(size, device=device)
    return (places.unsqueeze(1) - places).abs()


def to_windows(tokens: Tensor, size: int) -> Tensor:
    """(B, H, W, C) to windows (B * n, size, size, C), padded with zeros at the right and the bottom."""
    height, width = tokens.shape[1:3]
    tokens = F.pad(tokens, (0, 0, 0, -width % size, 0, -height % size))
    windows = tokens.unflatten(2, (-1, size)).unflatten(1, (-1, size))
    return windows.transpose(2, 3).reshape(-1, size, size, tokens.shape[-1])


def from_windows(windows: Tensor, size: int, shape: Sequence[int]) -> Tensor:
    """The reverse of :func:`to_windows`; `shape` is (B, H, W)."""
    batch, height, width = shape
    rows, columns = -(-height // size), -(-width // size)
    grid = windows.view(batch, rows, columns, size, size, -1).transpose(2, 3)
    return grid.reshape(batch, rows * size, columns * size, -1)[:, :height, :width]
