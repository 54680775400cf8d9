"""The pixel decoder of Mask2Former (arXiv:2112.01527, section 3.2).

Its multi-scale deformable attention also runs, and runs fast, without compiled operators, and the host does not wait
for the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmcv.ops.multi_scale_deform_attn import (
    MultiScaleDeformableAttention,
    MultiScaleDeformableAttnFunction,
    multi_scale_deformable_attn_pytorch,
)
from mmdet.models.layers import MSDeformAttnPixelDecoder
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from omgseg.compat import has_compiled_ops
from omgseg.registry import MODELS

WIDE_HEAD = 32
"""Channels of a head from which the gather's backward pass is faster than that of ``grid_sample``, on CPUs."""


def deformable_attention_gather(
    value: Tensor, spatial_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """Deformable attention as one weighted gather per image over the corners of all sampling points.

    Equal to the usual ``grid_sample`` form; two to three times as fast on CPUs without gradient. The images come one
    after the other, as the corners of one take half a gigabyte at 1280x720.

    Args:
        value: (B, K, heads, d), the levels one after another; K is the sum of h * w.
        spatial_shapes: (h, w) of each level.
        locations: (B, N, heads, levels, points, 2), x and y in 0..1 of a level.
        weights: (B, N, heads, levels, points).

    Returns:
        (B, N, heads * d).
    """
    images = zip(value, locations, weights, strict=True)
    return torch.stack([_gather(of_image, spatial_shapes, *points) for of_image, *points in images])


def _gather(
    value: Tensor, spatial_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """Of one image: (K, heads, d), (N, heads, levels, points, 2), (N, heads, levels, points) -> (N, heads * d)."""
    _, heads, channels = value.shape
    num_queries, _, _, points = weights.shape
    indices, factors = [], []
    start = 0
    for level, (height, width) in enumerate(spatial_shapes):
        x = locations[:, :, level, :, 0] * width - 0.5
        y = locations[:, :, level, :, 1] * height - 0.5
        left, top = x.floor(), y.floor()
        right_share, bottom_share = x - left, y - top
        for column, share_x in ((left, 1 - right_share), (left + 1, right_share)):
            for row, share_y in ((top, 1 - bottom_share), (top + 1, bottom_share)):
                inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
                cell = row.clamp(0, height - 1).int() * width + column.clamp(0, width - 1).int()
                indices.append(cell + start)
                factors.append(share_x * share_y * inside * weights[:, :, level])
        start += height * width
    bags = len(indices) * points
    index = torch.stack(indices, dim=-1).view(num_queries, heads, bags)
    head = torch.arange(heads, dtype=index.dtype, device=value.device).view(1, -1, 1)
    index = index.mul_(heads).add_(head)
    factor = torch.stack(factors, dim=-1).view(-1, bags)
    table = value.reshape(-1, channels)
    gathered = F.embedding_bag(
        index.view(-1, bags), table, per_sample_weights=factor.to(table.dtype), mode="sum"
    )
    return gathered.view(num_queries, heads * channels)


class _LightAttention(torch.autograd.Function):
    """Keeps its inputs only, and computes what the backward pass needs again: a seventh of the memory."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        value: Tensor,
        spatial_shapes: list[tuple[int, int]],
        locations: Tensor,
        weights: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(value, locations, weights)
        ctx.spatial_shapes = spatial_shapes
        return deformable_attention_gather(value, spatial_shapes, locations, weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None, Tensor, Tensor]:
        form = deformable_attention_gather if grad.is_cpu else multi_scale_deformable_attn_pytorch
        gradients = []
        for *image, to_image in zip(*ctx.saved_tensors, grad, strict=True):
            value, locations, weights = (x[None].detach().requires_grad_() for x in image)
            with torch.enable_grad():
                attended = form(value, ctx.spatial_shapes, locations, weights)
            gradients.append(torch.autograd.grad(attended, (value, locations, weights), to_image[None]))
        to_value, to_locations, to_weights = (torch.cat(parts) for parts in zip(*gradients, strict=True))
        return to_value, None, to_locations, to_weights


@cache
def _triton_form() -> Callable[..., Tensor] | None:
    """The attention as Triton kernels; None where PyTorch comes without Triton, as on some systems."""
    try:
        from omgseg.models.omgseg.deformable_kernel import TritonDeformableAttention
    except ImportError:
        return None
    return TritonDeformableAttention.apply


class Levels(NamedTuple):
    """The maps whose cells are the keys, one after another.

    Attributes:
        sizes: height and width of each, known to the host.
        shapes: the same, int64 (levels, 2), on the device.
        starts: int64 (levels,), the first key of each, on the device.
    """

    sizes: list[tuple[int, int]]
    shapes: Tensor
    starts: Tensor

    @classmethod
    def of(cls, maps: Sequence[Tensor]) -> Levels:
        """Those of maps (B, C, h, w); the host does not wait for the device."""
        sizes = [tuple(level.shape[-2:]) for level in maps]
        shapes = _on_device([side for size in sizes for side in size], maps[0].device).view(-1, 2)
        return cls(sizes, shapes, shapes.prod(1).cumsum(0) - shapes.prod(1))


def _on_device(numbers: Sequence[int], device: torch.device) -> Tensor:
    """int64 (n,), written by the device: it would have to be waited for if it copied them."""
    return torch.cat([torch.full((1,), number, dtype=torch.int64, device=device) for number in numbers])


class DeformableAttention(MultiScaleDeformableAttention):
    """mmcv's module with another forward: same parameters, same result.

    Uses mmcv's compiled operator on GPUs where it is there and takes the type, else our Triton kernels; on CPUs a
    weighted gather, and for narrow heads with gradient the ``grid_sample`` form (each the fastest of its case).
    ``batch_first`` is required.
    """

    def forward(
        self,
        query: Tensor,
        value: Tensor | None = None,
        identity: Tensor | None = None,
        query_pos: Tensor | None = None,
        reference_points: Tensor | None = None,
        levels: Levels | None = None,
        **_: object,
    ) -> Tensor:
        """Attend from every query to its sampling points.

        Args:
            query: (B, N, C).
            value: (B, K, C), the flattened levels; `query` where None.
            identity: (B, N, C), what the result is added to; `query` where None.
            query_pos: (B, N, C), added to the query.
            reference_points: (B, N, levels, 2), in 0..1.
            levels: what the K keys are of.

        Returns:
            (B, N, C).
        """
        value = query if value is None else value
        identity = query if identity is None else identity
        query = query if query_pos is None else query + query_pos
        batch, num_queries, _ = query.shape
        grid = (self.num_heads, self.num_levels, self.num_points)

        value = self.value_proj(value).view(batch, value.shape[1], self.num_heads, -1)
        offsets = self.sampling_offsets(query).view(batch, num_queries, *grid, 2)
        weights = self.attention_weights(query).view(batch, num_queries, self.num_heads, -1).softmax(-1)
        weights = weights.view(batch, num_queries, *grid)
        size = levels.shapes.flip(-1)[None, None, None, :, None, :]
        locations = reference_points[:, :, None, :, None, :] + offsets / size

        triton_form = _triton_form() if value.is_cuda else None
        if has_compiled_ops() and not value.is_cpu and value.dtype != torch.bfloat16:
            attended = MultiScaleDeformableAttnFunction.apply(
                value, levels.shapes, levels.starts, locations, weights, self.im2col_step
            )
        elif triton_form is not None:
            attended = triton_form(value, levels.shapes, levels.starts, locations, weights)
        elif torch.is_grad_enabled() and value.shape[-1] < WIDE_HEAD:
            attended = multi_scale_deformable_attn_pytorch(value, levels.sizes, locations, weights)
        else:
            attended = _LightAttention.apply(value, levels.sizes, locations, weights)
        return self.dropout(self.output_proj(attended)) + identity


@MODELS.register_module()
class PixelDecoder(MSDeformAttnPixelDecoder):
    """mmdet's pixel decoder with our deformable attention; same arguments and the same state keys.

    ``forward(features)`` takes the encoder's four maps (N, C_i, h_i, w_i) and returns the mask features (N, D, h, w)
    of the finest stride, and three maps (N, D, h_i, w_i) from coarse to fine.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        attention = dict(kwargs["encoder"]["layer_cfg"]["self_attn_cfg"], batch_first=True)
        for layer in self.encoder.layers:
            layer.self_attn = DeformableAttention(**attention)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """As mmdet's, which waits for the device to learn the sizes of maps: 15 times, and in each layer once more."""
        coarse = list(features)[::-1][: self.num_encoder_levels]
        levels = Levels.of(coarse)
        maps = [convolution(level) for convolution, level in zip(self.input_convs, coarse, strict=True)]
        query = torch.cat([level.flatten(2).transpose(1, 2) for level in maps], dim=1)
        places = torch.cat([_centres(size, query.device) for size in levels.sizes])
        memory = self.encoder(
            query=query,
            query_pos=torch.cat([self._positions(index, level) for index, level in enumerate(maps)], dim=1),
            key_padding_mask=None,
            spatial_shapes=None,
            level_start_index=None,
            valid_ratios=None,
            reference_points=places[None, :, None].expand(len(query), -1, len(maps), -1),
            levels=levels,
        )
        counts = [height * width for height, width in levels.sizes]
        parts = memory.transpose(1, 2).split(counts, dim=-1)
        outs = [part.unflatten(-1, size) for part, size in zip(parts, levels.sizes, strict=True)]
        for index in reversed(range(self.num_input_levels - self.num_encoder_levels)):
            lateral = self.lateral_convs[index](features[index])
            above = F.interpolate(outs[-1], lateral.shape[-2:], mode="bilinear", align_corners=False)
            outs.append(self.output_convs[index](lateral + above))
        return self.mask_feature(outs[-1]), outs[: self.num_outs]

    def _positions(self, index: int, level: Tensor) -> Tensor:
        """Position and level encoding (1, h * w, C) of a map (B, C, h, w), the same for all images: none is padded."""
        positions = self.postional_encoding(level.new_zeros((1, *level.shape[-2:]), dtype=torch.bool))
        return positions.flatten(2).transpose(1, 2) + self.level_encoding.weight[index]


def _centres(size: tuple[int, int], device: torch.device) -> Tensor:
    """x and y of the cells of a map in 0..1, float32 (h * w, 2), row by row."""
    y, x = ((torch.arange(side, dtype=torch.float32, device=device) + 0.5) / side for side in size)
    return torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), dim=-1).flatten(0, 1)
