"""Paints on images: tints and outlines of masks, clicks and boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from omgseg.visualization.palette import Color, identity_color

NOTHING = -1


@dataclass(frozen=True)
class Shape:
    """One mask, cropped to its bounding box.

    Attributes:
        index: its index in the result.
        x, y: upper left corner of the crop, in pixels of the image.
        mask: uint8 0/1 (h, w), contiguous.
        area: number of pixels in the mask.
    """

    index: int
    x: int
    y: int
    mask: np.ndarray
    area: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(x1, y1, x2, y2) in pixels of the image; x2 and y2 are exclusive."""
        height, width = self.mask.shape
        return self.x, self.y, self.x + width, self.y + height

    def crop_of(self, array: np.ndarray) -> np.ndarray:
        """The crop of an array (H, W, ...), as a view."""
        x1, y1, x2, y2 = self.box
        return array[y1:y2, x1:x2]


def read_shapes(rles: Sequence[dict[str, Any]], wanted: Sequence[int]) -> list[Shape]:
    """Decode masks, the largest first; empty ones are left out.

    Args:
        rles: COCO's compressed run lengths.
        wanted: indices of the masks to decode. Of masks with equal areas, earlier ones come last.
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
    """Index of the topmost mask per pixel, int32 (H, W), :data:`NOTHING` without a mask; later shapes are on top."""
    top = np.full(size, NOTHING, np.int32)
    for shape in shapes:
        np.copyto(shape.crop_of(top), shape.index, where=shape.mask.view(bool))
    return top


def visible_part(shape: Shape, top: np.ndarray) -> np.ndarray:
    """uint8 0/1 (h, w): the pixels of a shape that are on top in a :func:`top_map`."""
    return (shape.crop_of(top) == shape.index).view(np.uint8)


_NEAR = 3  # shapes with a smaller distance, in line widths, count as touching
_SUBPIXEL_BITS = 4  # OpenCV draws between pixels when coordinates are given in sixteenths


def tint(image: np.ndarray, top: np.ndarray, colors: Sequence[Color], opacity: float) -> np.ndarray:
    """A copy of an image in which each pixel is mixed with the colour of the mask on top of it.

    Args:
        image: uint8 RGB (H, W, 3).
        top: int32 (H, W), see :func:`top_map`; pixels with :data:`NOTHING` are not changed.
        colors: colours by mask index.
        opacity: share of the colour in 0..1.
    """
    table = np.array([*colors, (0, 0, 0)], np.uint8)  # the last row, which -1 takes, is replaced below
    overlay = table[top]
    np.copyto(overlay, image, where=(top == NOTHING)[..., None])
    return cv2.addWeighted(image, 1 - opacity, overlay, opacity, 0)


def draw_outlines(
    picture: np.ndarray,
    shapes: Sequence[Shape],
    top: np.ndarray,
    colors: Sequence[Color],
    width: int,
    zoom: int = 1,
) -> None:
    """Draw the smooth borders of the visible parts of shapes into `picture`, including those of holes.

    Where two shapes touch or nearly touch, only the border of the upper one is drawn, as two lines side by side look
    like a gap.

    Args:
        picture: uint8 RGB (H, W, 3), changed.
        shapes: the shapes, lower ones first.
        top: their :func:`top_map`.
        colors: colours of the lines, by :attr:`Shape.index`.
        width: width of the lines in pixels.
        zoom: how many times larger the masks are than they were found; gaps between them grew as much.
    """
    reach = _NEAR * width * zoom
    ranks = np.full(max((shape.index for shape in shapes), default=0) + 2, NOTHING, np.int32)
    for rank, shape in enumerate(shapes):
        ranks[shape.index] = rank  # the last entry is for NOTHING, below all shapes
    for rank, shape in enumerate(shapes):
        contours, _ = cv2.findContours(visible_part(shape, top), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        meets = _near_upper(shape, top, ranks > rank, reach)
        for contour in contours:
            points = contour[:, 0]
            if len(points) <= 2 * width:
                continue
            line = _smooth(points, width) + (shape.x, shape.y)
            for part, closed in _runs(line, meets[points[:, 1], points[:, 0]], reach):
                fixed = np.round(part * 2**_SUBPIXEL_BITS).astype(np.int32)[:, None]
                cv2.polylines(
                    picture, [fixed], closed, colors[shape.index], width, cv2.LINE_AA, _SUBPIXEL_BITS
                )


def _near_upper(shape: Shape, top: np.ndarray, is_upper: np.ndarray, reach: int) -> np.ndarray:
    """uint8 0/1 (h, w): the pixels of a shape's crop within `reach` of a shape for which `is_upper` is true."""
    x1, y1, x2, y2 = shape.box
    left, above = max(0, x1 - reach), max(0, y1 - reach)
    around = is_upper[top[above : y2 + reach, left : x2 + reach]].astype(np.uint8)
    near = cv2.dilate(around, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    return near[y1 - above : y2 - above, x1 - left : x2 - left]


def _runs(line: np.ndarray, left_out: np.ndarray, reach: int) -> Iterator[tuple[np.ndarray, bool]]:
    """The parts of a closed line (N, 2) without some of its points, each with whether it is closed.

    Parts are extended by `reach` points at both ends, up to the line that they meet; parts that are not longer than
    `reach` are left out.
    """
    if not left_out.any():
        yield line, True
        return
    start = int(left_out.argmax())
    line, kept = np.roll(line, -start, axis=0), ~np.roll(left_out.astype(bool), -start)
    bounds = np.flatnonzero(np.diff(np.concatenate([[False], kept, [False]])))
    for first, end in bounds.reshape(-1, 2):
        if end - first > reach:
            yield line.take(range(first - reach, end + reach), axis=0, mode="wrap"), False


def line_width(height: int, width: int) -> int:
    """Width of lines in pixels, by the size of the image: 1 for small photos, 2 for 720p, 6 for 4K."""
    return max(1, round(min(height, width) / 340))


def _smooth(line: np.ndarray, radius: int) -> np.ndarray:
    """A closed line (N, 2), smoothed by a running mean over its points."""
    if len(line) < 6 * radius:
        return line.astype(float)
    window = 2 * radius + 1
    around = np.concatenate([line[-radius:], line, line[:radius]]).astype(float)
    sums = np.cumsum(np.concatenate([np.zeros((1, 2)), around]), axis=0)
    return (sums[window:] - sums[:-window]) / window


_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)


def draw_clicks(image: np.ndarray, points: np.ndarray, palette: str = "default") -> np.ndarray:
    """Draw clicks as discs with a white rim.

    Args:
        image: uint8 RGB (H, W, 3), not changed.
        points: (N, 2), x and y in pixels; the i-th has the colour of id i + 1, like the mask of the i-th prompt.
        palette: "default" or "colorblind".

    Returns:
        uint8 RGB (H, W, 3).
    """
    picture = image.copy()
    radius = max(3.0, 0.014 * min(image.shape[:2]))
    for index, (x, y) in enumerate(np.asarray(points, float).reshape(-1, 2)):
        color = identity_color(index + 1, palette)
        for size, ink in ((radius + 2, _BLACK), (radius + 1, _WHITE), (radius - 0.5, color)):
            cv2.circle(
                picture, _fixed(x, y), round(size * 2**_SUBPIXEL_BITS), ink, -1, cv2.LINE_AA, _SUBPIXEL_BITS
            )
    return picture


def draw_boxes(image: np.ndarray, boxes: np.ndarray, palette: str = "default") -> np.ndarray:
    """Draw boxes with a dark rim, the i-th in the colour of id i + 1.

    Args:
        image: uint8 RGB (H, W, 3), not changed.
        boxes: (N, 4), x1, y1, x2 and y2 in pixels.
        palette: "default" or "colorblind".

    Returns:
        uint8 RGB (H, W, 3).
    """
    picture = image.copy()
    width = line_width(*image.shape[:2]) + 1
    for index, (x1, y1, x2, y2) in enumerate(np.asarray(boxes, float).reshape(-1, 4)):
        for thickness, color in ((width + 2, _BLACK), (width, identity_color(index + 1, palette))):
            cv2.rectangle(
                picture, _fixed(x1, y1), _fixed(x2, y2), color, thickness, cv2.LINE_AA, _SUBPIXEL_BITS
            )
    return picture


def _fixed(x: float, y: float) -> tuple[int, int]:
    return round(x * 2**_SUBPIXEL_BITS), round(y * 2**_SUBPIXEL_BITS)
