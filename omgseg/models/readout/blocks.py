"""Masks at the original size, one rectangle of the result at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from omgseg.models.readout.geometry import MaskGeometry, interpolate

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

    def resize(self, logits: Tensor, chosen: Tensor) -> Tensor:
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
