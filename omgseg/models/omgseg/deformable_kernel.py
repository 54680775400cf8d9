"""Multi-scale deformable attention (Deformable DETR, arXiv:2010.04159, section 4.1) as Triton kernels.

They are compiled when they run first, so nothing is built at installation. Numbers are float32 inside, whatever the
tensors hold. ``TRITON_INTERPRET=1`` runs them on CPUs, for tests.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

ROWS = 32
"""Pairs of a query and a head that one program works on."""


@triton.jit
def _rows(num_rows, ROWS: tl.constexpr, WIDTH: tl.constexpr, CHANNELS: tl.constexpr):
    """This program's rows, pairs of a query and a head, and which exist; its channels; where results are, and which."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    valid = row < num_rows
    channel = tl.arange(0, WIDTH)
    whole = valid[:, None] & (channel < CHANNELS)[None, :]
    return row, valid, channel, whole, row[:, None] * CHANNELS + channel[None, :]


@triton.jit
def _corners(locations, weights, place, valid, height, width):
    """A sampling point of each row: its left and top cell, its shares to the right and below, and its weight."""
    x = tl.load(locations + 2 * place, mask=valid, other=0.0).to(tl.float32) * width - 0.5
    y = tl.load(locations + 2 * place + 1, mask=valid, other=0.0).to(tl.float32) * height - 0.5
    # what lies far outside stays outside, and fits an integer
    x = tl.minimum(tl.maximum(x, -2.0), width + 1.0)
    y = tl.minimum(tl.maximum(y, -2.0), height + 1.0)
    left = tl.floor(x)
    top = tl.floor(y)
    weight = tl.load(weights + place, mask=valid, other=0.0).to(tl.float32)
    return left.to(tl.int32), top.to(tl.int32), x - left, y - top, weight


@triton.jit
def _corner(
    base,
    left,
    top,
    right_share,
    bottom_share,
    height,
    width,
    channel,
    valid,
    CORNER: tl.constexpr,
    STRIDE: tl.constexpr,
):
    """A corner of each row's point: offsets (rows, channels) of its cell, whether it exists, and its shares."""
    column = left + CORNER % 2
    line = top + CORNER // 2
    inside = valid & (column >= 0) & (column < width) & (line >= 0) & (line < height)
    offsets = base + (line * width + column).to(tl.int64) * STRIDE
    share_x = right_share if CORNER % 2 else 1 - right_share
    share_y = bottom_share if CORNER // 2 else 1 - bottom_share
    return offsets[:, None] + channel[None, :], inside, share_x, share_y


@triton.jit
def _level(shapes, starts, level, row, num_queries, num_keys, HEADS: tl.constexpr, CHANNELS: tl.constexpr):
    """Height and width of a level, and where each row's head has its first cell."""
    height = tl.load(shapes + 2 * level).to(tl.int32)
    width = tl.load(shapes + 2 * level + 1).to(tl.int32)
    first_key = row // (num_queries * HEADS) * num_keys + tl.load(starts + level)
    return height, width, (first_key * HEADS + row % HEADS) * CHANNELS


@triton.jit
def _attend(
    value,
    shapes,
    starts,
    locations,
    weights,
    attended,
    num_rows,
    num_queries,
    num_keys,
    HEADS: tl.constexpr,
    CHANNELS: tl.constexpr,
    LEVELS: tl.constexpr,
    POINTS: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    row, valid, channel, whole, places = _rows(num_rows, ROWS, WIDTH, CHANNELS)
    total = tl.zeros([ROWS, WIDTH], dtype=tl.float32)
    for level in range(LEVELS):
        height, width, base = _level(shapes, starts, level, row, num_queries, num_keys, HEADS, CHANNELS)
        for point in range(POINTS):
            place = (row * LEVELS + level) * POINTS + point
            left, top, right_share, bottom_share, weight = _corners(
                locations, weights, place, valid, height, width
            )
            for corner in tl.static_range(4):
                offsets, inside, share_x, share_y = _corner(
                    base,
                    left,
                    top,
                    right_share,
                    bottom_share,
                    height,
                    width,
                    channel,
                    valid,
                    corner,
                    HEADS * CHANNELS,
                )
                exists = inside[:, None] & (channel < CHANNELS)[None, :]
                cells = tl.load(value + offsets, mask=exists, other=0.0).to(tl.float32)
                total += cells * (share_x * share_y * weight)[:, None]
    tl.store(attended + places, total.to(attended.dtype.element_ty), whole)


@triton.jit
def _attend_backward(
    to_attended,
    value,
    shapes,
    starts,
    locations,
    weights,
    to_value,
    to_locations,
    to_weights,
    num_rows,
    num_queries,
    num_keys,
    HEADS: tl.constexpr,
    CHANNELS: tl.constexpr,
    LEVELS: tl.constexpr,
    POINTS: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    row, valid, channel, whole, places = _rows(num_rows, ROWS, WIDTH, CHANNELS)
    grad = tl.load(to_attended + places, mask=whole, other=0.0).to(tl.float32)
    for level in range(LEVELS):
        height, width, base = _level(shapes, starts, level, row, num_queries, num_keys, HEADS, CHANNELS)
        for point in range(POINTS):
            place = (row * LEVELS + level) * POINTS + point
            left, top, right_share, bottom_share, weight = _corners(
                locations, weights, place, valid, height, width
            )
            to_x = tl.zeros([ROWS], dtype=tl.float32)
            to_y = tl.zeros([ROWS], dtype=tl.float32)
            to_weight = tl.zeros([ROWS], dtype=tl.float32)
            for corner in tl.static_range(4):
                offsets, inside, share_x, share_y = _corner(
                    base,
                    left,
                    top,
                    right_share,
                    bottom_share,
                    height,
                    width,
                    channel,
                    valid,
                    corner,
                    HEADS * CHANNELS,
                )
                exists = inside[:, None] & (channel < CHANNELS)[None, :]
                cells = tl.load(value + offsets, mask=exists, other=0.0).to(tl.float32)
                agreement = tl.sum(cells * grad, axis=1)
                to_weight += agreement * share_x * share_y
                to_x += agreement * share_y * (2 * (corner % 2) - 1)
                to_y += agreement * share_x * (2 * (corner // 2) - 1)
                tl.atomic_add(to_value + offsets, grad * (share_x * share_y * weight)[:, None], mask=exists)
            tl.store(to_weights + place, to_weight.to(to_weights.dtype.element_ty), valid)
            along_x = (to_x * weight * width).to(to_locations.dtype.element_ty)
            along_y = (to_y * weight * height).to(to_locations.dtype.element_ty)
            tl.store(to_locations + 2 * place, along_x, valid)
            tl.store(to_locations + 2 * place + 1, along_y, valid)


class TritonDeformableAttention(torch.autograd.Function):
    """The form of mmcv's operator, with the same arguments and result.

    ``apply(value, spatial_shapes, level_start_index, locations, weights)`` takes (B, K, heads, d), the levels one after
    another; int64 (levels, 2), height and width; int64 (levels,); (B, N, heads, levels, points, 2), x and y in 0..1 of
    a level; (B, N, heads, levels, points). It returns (B, N, heads * d). The gradient of `value` is summed in float32,
    in an order that is not the same each time.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        value: Tensor,
        spatial_shapes: Tensor,
        level_start_index: Tensor,
        locations: Tensor,
        weights: Tensor,
    ) -> Tensor:
        value, locations, weights = value.contiguous(), locations.contiguous(), weights.contiguous()
        attended = value.new_empty(*weights.shape[:2], value.shape[2] * value.shape[3])
        inputs = (value, spatial_shapes, level_start_index, locations, weights)
        _attend[_programs(weights)](*inputs, attended, *_sizes(value, weights))
        ctx.save_for_backward(*inputs)
        return attended

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None, None, Tensor, Tensor]:
        value, _, _, locations, weights = ctx.saved_tensors
        to_value = torch.zeros_like(value, dtype=torch.float32)
        to_locations, to_weights = torch.empty_like(locations), torch.empty_like(weights)
        outputs = (to_value, to_locations, to_weights)
        sizes = _sizes(value, weights)
        _attend_backward[_programs(weights)](grad.contiguous(), *ctx.saved_tensors, *outputs, *sizes)
        return to_value.to(value.dtype), None, None, to_locations, to_weights


def _programs(weights: Tensor) -> tuple[int]:
    batch, queries, heads = weights.shape[:3]
    return (triton.cdiv(batch * queries * heads, ROWS),)


def _sizes(value: Tensor, weights: Tensor) -> tuple[int, ...]:
    """The last arguments of both kernels."""
    batch, queries, heads, levels, points = weights.shape
    _, keys, _, channels = value.shape
    width = triton.next_power_of_2(channels)
    return batch * queries * heads, queries, keys, heads, channels, levels, points, ROWS, width
