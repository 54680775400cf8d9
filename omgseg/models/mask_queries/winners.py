"""Masks at the original size, a rectangle at a time, and which query wins each pixel there.

A pixel's mask logit is a weighted mean of the cells around it, so within a group of cells it lies between the least
and the greatest cell there. A query whose greatest possible score x mask probability is below another query's least
possible one wins no pixel of that group, and is left out exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from omgseg.models.geometry import MaskGeometry, interpolate

BLOCK = 128
"""Side of a block in pixels, about: small enough for caches and for few masks to meet in it."""


@dataclass(frozen=True)
class _Span:
    """A block along one axis.

    Attributes:
        result: the pixels of the result.
        cells: the cells of the masks that they depend on.
        resized: size of these cells after the first resizing, to the padded input.
        pixels: which of them the block needs.
        source: where the result's pixels lie in `pixels`, fractional; None where the two are the same.
    """

    result: slice
    cells: slice
    resized: int
    pixels: slice
    source: Tensor | None


@dataclass(frozen=True)
class Block:
    """A rectangle of the result.

    Attributes:
        result: its index in a map of the original size.
        cells: index of the mask cells that it depends on.
    """

    rows: _Span
    columns: _Span

    @property
    def result(self) -> tuple[slice, slice]:
        return self.rows.result, self.columns.result

    @property
    def cells(self) -> tuple[slice, slice]:
        return self.rows.cells, self.columns.cells

    def resize(self, logits: Tensor, chosen: Tensor | slice) -> Tensor:
        """The `chosen` (N,) of the masks (K, h, w) -> (N, rows, columns) of the block.

        Bit for bit what :meth:`MaskGeometry.resize` has there if the original is as large as the image (and the
        masks' stride is a power of two); equal to rounding otherwise.
        """
        cells = logits[(slice(None), *self.cells)][chosen]
        pixels = interpolate(cells, (self.rows.resized, self.columns.resized))
        pixels = pixels[:, self.rows.pixels, self.columns.pixels]
        return _sample(_sample(pixels, self.rows.source, 1), self.columns.source, 2)


def blocks(geometry: MaskGeometry, cells: tuple[int, int]) -> Iterator[Block]:
    """The blocks that make up the original image.

    Args:
        geometry: sizes.
        cells: height and width of the masks.
    """
    rows, columns = (
        list(_spans(*sizes))
        for sizes in zip(cells, geometry.padded, geometry.image, geometry.original, strict=True)
    )
    for row in rows:
        for column in columns:
            yield Block(row, column)


def _spans(cells: int, padded: int, image: int, original: int) -> Iterator[_Span]:
    """Cut one axis into equal parts."""
    stride, rest = divmod(padded, cells)
    count = -(-max(image, original) // BLOCK)
    for index in range(count):
        result = slice(original * index // count, original * (index + 1) // count)
        if image == original:
            first, end, source = result.start, result.stop, None
        else:
            source = (torch.arange(result.start, result.stop) + 0.5) * (image / original) - 0.5
            source = source.clamp(min=0)
            first, end = int(source[0]), min(int(source[-1]) + 2, image)
            source = source - first
        if rest:
            window = slice(0, cells)
            resized = padded
        else:
            # a pixel lies between its own cell and one of the neighbours
            window = slice(max(first // stride - 1, 0), min((end - 1) // stride + 2, cells))
            resized = (window.stop - window.start) * stride
            first, end = first - window.start * stride, end - window.start * stride
        yield _Span(result, window, resized, slice(first, end), source)


def _sample(maps: Tensor, source: Tensor | None, dim: int) -> Tensor:
    """Linear interpolation along one axis."""
    if source is None:
        return maps
    source = source.to(maps.device)
    low = source.long()
    high = (low + 1).clamp(max=maps.shape[dim] - 1)
    share = (source - low).to(maps.dtype)
    share = share.unsqueeze(-1) if dim == 1 else share
    return torch.lerp(maps.index_select(dim, low), maps.index_select(dim, high), share)


GROUP = 4
"""Side of a group of cells, over which masks are bounded."""
_REACH = 1
"""Cells beyond a group that its pixels may depend on."""
_SLACK = 1e-3
"""More than rounding can move a value across a bound."""
_AT_A_TIME = 16
"""Masks whose bounds are computed together: few enough for caches."""


def winning_queries(
    logits: Tensor,
    scores: Tensor,
    geometry: MaskGeometry,
    activation: Callable[[Tensor], Tensor] = torch.sigmoid,
) -> tuple[Tensor, Tensor]:
    """The query with the highest score x mask probability at each pixel; the first one of equals.

    Args:
        logits: (K, h, w), mask logits.
        scores: (K,), above 0.
        geometry: sizes.
        activation: makes probabilities of resized logits; elementwise, rising, not below 0.

    Returns:
        Row of the winner, int32 (H, W), and whether the pixel lies in the winner's own mask, bool (H, W).
    """
    scores = scores.view(-1, 1, 1)
    if not saves_by_block(logits):
        return _winners_of_whole_maps(logits, scores, geometry, activation)
    least, greatest = _bounds(logits)
    reached = (scores * activation(least)).amax(0)
    possible = scores * activation(greatest) * (1 + _SLACK) >= reached
    rows = torch.empty(geometry.original, dtype=torch.int32, device=logits.device)
    inside = torch.empty(geometry.original, dtype=torch.bool, device=logits.device)
    for block in blocks(geometry, logits.shape[-2:]):
        candidates = possible[(slice(None), *_groups(block))].flatten(1).any(1).nonzero().squeeze(1)
        probability = activation(block.resize(logits, candidates))
        _, row = (probability * scores[candidates]).max(0)
        rows[block.result] = candidates[row].int()
        inside[block.result] = probability.gather(0, row.unsqueeze(0)).squeeze(0) >= 0.5
    return rows, inside


def saves_by_block(logits: Tensor) -> bool:
    """Whether queries are left out block by block: on CPUs. Of another device the host would have to learn which ones
    for each block, and wait for it."""
    return logits.is_cpu


def _winners_of_whole_maps(
    logits: Tensor, scores: Tensor, geometry: MaskGeometry, activation: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """:func:`winning_queries` of all queries, a few whole masks at a time; equal to rounding."""
    best = logits.new_full(geometry.original, -1.0)
    winner = torch.zeros_like(best, dtype=torch.int32)
    inside = torch.zeros_like(best, dtype=torch.bool)
    for rows, resized in geometry.resized_chunks(logits):
        probability = activation(resized)
        highest, row = (probability * scores[rows]).max(0)
        own = probability.gather(0, row.unsqueeze(0)).squeeze(0) >= 0.5
        better = highest > best
        best = torch.where(better, highest, best)
        winner = torch.where(better, row.int() + rows.start, winner)
        inside = torch.where(better, own, inside)
    return winner, inside


def mask_areas(
    logits: Tensor, geometry: MaskGeometry, activation: Callable[[Tensor], Tensor] = torch.sigmoid
) -> Tensor:
    """Pixels (K,) where the mask probability is at least one half; see :func:`winning_queries`."""
    if not saves_by_block(logits):
        chunks = geometry.resized_chunks(logits)
        return torch.cat([(activation(resized) >= 0.5).flatten(1).sum(1) for _, resized in chunks])
    least, greatest = _bounds(logits)
    areas = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    for block in blocks(geometry, logits.shape[-2:]):
        groups = _groups(block)
        full = activation(least[(slice(None), *groups)].flatten(1).amin(1)) >= 0.5
        empty = activation(greatest[(slice(None), *groups)].flatten(1).amax(1)) < 0.5 - _SLACK
        partial = (~(full | empty)).nonzero().squeeze(1)
        size = [index.stop - index.start for index in block.result]
        areas += full * (size[0] * size[1])
        areas[partial] += (activation(block.resize(logits, partial)) >= 0.5).flatten(1).sum(1)
    return areas


def _bounds(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Least and greatest logit (K, h / GROUP, w / GROUP) that any pixel of a group of cells can have."""
    height, width = logits.shape[-2:]
    borders = (_REACH, _REACH + -width % GROUP, _REACH, _REACH + -height % GROUP)
    window = GROUP + 2 * _REACH
    bounds = ([], [])
    for maps in logits.split(_AT_A_TIME):
        maps = F.pad(maps, borders, mode="replicate")
        for bound, extreme in zip(bounds, (torch.amin, torch.amax), strict=True):
            rows = extreme(maps.unfold(1, window, GROUP), -1)
            bound.append(extreme(rows.unfold(2, window, GROUP), -1))
    return torch.cat(bounds[0]), torch.cat(bounds[1])


def _groups(block: Block) -> tuple[slice, slice]:
    """The groups that hold a block's cells."""
    return tuple(slice(cells.start // GROUP, -(-cells.stop // GROUP)) for cells in block.cells)
