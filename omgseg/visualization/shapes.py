"""Masks as the renderer needs them: the few pixels around each one, and which of them is on top where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

NOTHING = -1


@dataclass(frozen=True)
class Shape:
    """One mask, cropped.

    Attributes:
        index: its place in the result.
        x, y: pixels of the crop's upper left corner in the image.
        mask: uint8 0/1 (h, w), contiguous; every border of the crop touches the mask.
        area: pixels of the mask.
    """

    index: int
    x: int
    y: int
    mask: np.ndarray
    area: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(x1, y1, x2, y2) in pixels of the image, the last ones exclusive."""
        height, width = self.mask.shape
        return self.x, self.y, self.x + width, self.y + height

    def crop_of(self, array: np.ndarray) -> np.ndarray:
        """The part of an image-sized array under the crop, as a view."""
        x1, y1, x2, y2 = self.box
        return array[y1:y2, x1:x2]


def read_shapes(rles: Sequence[dict[str, Any]], wanted: Sequence[int]) -> list[Shape]:
    """Decode masks, the largest first; empty ones are left out.

    Args:
        rles: COCO's compressed run lengths.
        wanted: indices of the masks to decode. Among equal areas, earlier ones come last.
    """
    shapes = []
    for index in wanted:
        rle = rles[index]
        x, y, width, height = (int(value) for value in coco_mask.toBbox(rle))
        if width and height:
            mask = np.ascontiguousarray(coco_mask.decode(rle)[y : y + height, x : x + width])
            shapes.append(Shape(index, x, y, mask, int(coco_mask.area(rle))))
    return sorted(reversed(shapes), key=lambda shape: -shape.area)


def top_map(shapes: Sequence[Shape], size: tuple[int, int]) -> np.ndarray:
    """Which mask shows where: int32 (H, W) of indices, :data:`NOTHING` where there is none; later shapes are on top."""
    top = np.full(size, NOTHING, np.int32)
    for shape in shapes:
        np.copyto(shape.crop_of(top), shape.index, where=shape.mask.view(bool))
    return top


def visible_part(shape: Shape, top: np.ndarray) -> np.ndarray:
    """uint8 0/1 (h, w): the pixels of a shape's crop that :func:`top_map` gave to it."""
    return (shape.crop_of(top) == shape.index).view(np.uint8)
