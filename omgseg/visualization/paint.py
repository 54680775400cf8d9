"""Tinting of masks and drawing of their outlines."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from omgseg.visualization.palette import Color
from omgseg.visualization.shapes import NOTHING, Shape, visible_part

_SUBPIXEL_BITS = 4  # OpenCV draws between pixels when coordinates are given in sixteenths


def tint(image: np.ndarray, top: np.ndarray, colors: Sequence[Color], opacity: float) -> np.ndarray:
    """A copy of an image in which each pixel is mixed with the colour of the mask on top of it.

    Args:
        image: uint8 RGB (H, W, 3).
        top: int32 (H, W) of mask indices, :data:`~omgseg.visualization.shapes.NOTHING` stays as it is.
        colors: of the masks.
        opacity: share of the colour in 0..1.
    """
    table = np.array([*colors, (0, 0, 0)], np.uint8)  # the last row, which -1 takes, is replaced below
    overlay = table[top]
    np.copyto(overlay, image, where=(top == NOTHING)[..., None])
    return cv2.addWeighted(image, 1 - opacity, overlay, opacity, 0)


def outline(picture: np.ndarray, shape: Shape, top: np.ndarray, color: Color, width: int) -> None:
    """Draw the smooth border, holes included, of what is visible of a shape, into `picture`."""
    contours, _ = cv2.findContours(visible_part(shape, top), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    scaled = [_smooth(contour[:, 0], width) for contour in contours if len(contour) > 2 * width]
    lines = [
        np.round((line + (shape.x, shape.y)) * 2**_SUBPIXEL_BITS).astype(np.int32)[:, None] for line in scaled
    ]
    cv2.polylines(picture, lines, True, color, width, cv2.LINE_AA, _SUBPIXEL_BITS)


def line_width(height: int, width: int) -> int:
    """Pixels; 1 for small photos, 2 for 720p, 6 for 4K."""
    return max(1, round(min(height, width) / 340))


def _smooth(line: np.ndarray, radius: int) -> np.ndarray:
    """A closed line (N, 2) without the stairs of pixels: a running mean over its points."""
    if len(line) < 6 * radius:
        return line.astype(float)
    window = 2 * radius + 1
    around = np.concatenate([line[-radius:], line, line[:radius]]).astype(float)
    sums = np.cumsum(np.concatenate([np.zeros((1, 2)), around]), axis=0)
    return (sums[window:] - sums[:-window]) / window
