"""Where people click."""

from __future__ import annotations

import cv2
import numpy as np


def depth_map(mask: np.ndarray) -> np.ndarray:
    """Distance of every pixel of a mask to the nearest pixel outside of it, float32 (H, W); 0 outside.

    Args:
        mask: bool or 0/1 (H, W); what lies beyond the image's border is outside.
    """
    padded = np.pad(mask, 1).astype(np.uint8)
    return cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]


def innermost_point(mask: np.ndarray) -> tuple[int, int]:
    """(x, y) of the pixel of a mask (H, W) that is farthest from its edge; the image's border is an edge."""
    depth = depth_map(mask)
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return int(x), int(y)
