"""Clicks and boxes of users."""

from __future__ import annotations

import cv2
import numpy as np

from omgseg.visualization.paint import line_width
from omgseg.visualization.palette import identity_color

_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_BITS = 4  # OpenCV draws between pixels when coordinates are given in sixteenths


def draw_clicks(image: np.ndarray, points: np.ndarray, palette: str = "default") -> np.ndarray:
    """Draw clicks as discs with a white rim.

    Args:
        image: uint8 RGB (H, W, 3), not changed.
        points: (N, 2) pixels (x, y); the i-th gets the colour of identity i + 1, as the mask of the i-th prompt does.
        palette: of the identities.

    Returns:
        uint8 RGB (H, W, 3).
    """
    picture = image.copy()
    radius = max(3.0, 0.014 * min(image.shape[:2]))
    for index, (x, y) in enumerate(np.asarray(points, float).reshape(-1, 2)):
        color = identity_color(index + 1, palette)
        for size, ink in ((radius + 2, _BLACK), (radius + 1, _WHITE), (radius - 0.5, color)):
            cv2.circle(picture, _fixed(x, y), round(size * 2**_BITS), ink, -1, cv2.LINE_AA, _BITS)
    return picture


def draw_boxes(image: np.ndarray, boxes: np.ndarray, palette: str = "default") -> np.ndarray:
    """Draw boxes, the i-th in the colour of identity i + 1, with a dark rim.

    Args:
        image: uint8 RGB (H, W, 3), not changed.
        boxes: (N, 4) pixels (x1, y1, x2, y2).
        palette: of the identities.

    Returns:
        uint8 RGB (H, W, 3).
    """
    picture = image.copy()
    width = line_width(*image.shape[:2]) + 1
    for index, (x1, y1, x2, y2) in enumerate(np.asarray(boxes, float).reshape(-1, 4)):
        for thickness, color in ((width + 2, _BLACK), (width, identity_color(index + 1, palette))):
            cv2.rectangle(picture, _fixed(x1, y1), _fixed(x2, y2), color, thickness, cv2.LINE_AA, _BITS)
    return picture


def _fixed(x: float, y: float) -> tuple[int, int]:
    return round(x * 2**_BITS), round(y * 2**_BITS)
