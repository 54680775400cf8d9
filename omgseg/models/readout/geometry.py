"""From the decoder's masks back to the pixels of the original image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

CHUNK = 8
"""Masks that exist at full resolution at a time: small enough for caches, large enough to keep kernels busy."""


@dataclass(frozen=True)
class MaskGeometry:
    """Sizes (height, width) on the way from the input to the result.

    Attributes:
        padded: the batch that the model saw.
        image: the part of it that is image.
        original: the image as it lies on disk, where results live.
    """

    padded: tuple[int, int]
    image: tuple[int, int]
    original: tuple[int, int]

    def resize(self, logits: Tensor) -> Tensor:
        """Masks (K, h, w) -> (K, H, W) at the original size, bilinear."""
        resized = interpolate(logits, self.padded)[:, : self.image[0], : self.image[1]]
        return interpolate(resized, self.original)

    def resized_chunks(self, logits: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Full-size masks a few at a time: pairs of rows of `logits` and (k, H, W)."""
        for start in range(0, len(logits), CHUNK):
            rows = slice(start, min(start + CHUNK, len(logits)))
            yield rows, self.resize(logits[rows])


def interpolate(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps (K, h, w) -> (K, *size), bilinear."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    if not len(maps):
        return maps.new_empty(0, *size)
    return F.interpolate(maps.unsqueeze(0), size, mode="bilinear", align_corners=False).squeeze(0)
