"""Several clicks on one object: each corrects the mask near the place that was clicked."""

from __future__ import annotations

import cv2
import numpy as np

REACH = 2.0
"""A click changes the mask up to this many times its distance from the mask's edge."""
SAME_OBJECT = 0.8
"""Above this IoU the click's own mask is the object that is being corrected, and cannot tell its excess."""


def refine_mask(
    mask: np.ndarray, click_mask: np.ndarray, point: tuple[int, int], positive: bool
) -> np.ndarray:
    """The mask after one more click.

    The model gives each click a mask of its own, which is right about what is there, but not about how much of it the
    user means: a click into a gap may find a neighbour, a click on an excess may find the whole object. Clicks are made
    in the middle of an error, so its size is about the click's distance from the mask's edge; the click's own mask
    counts within `REACH` times that distance. The disc up to the edge changes in any case: the user has said so.

    Args:
        mask: bool (H, W), so far.
        click_mask: bool (H, W), the model's mask of this click alone.
        point: x and y of the click.
        positive: does the place belong to the object?

    Returns:
        bool (H, W); the same mask where it already agrees with the click.
    """
    x, y = point
    if mask[y, x] == positive:
        return mask
    side = mask if mask[y, x] else ~mask
    rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
    away = (rows - y) ** 2 + (columns - x) ** 2  # squared: exact, and no roots of a million pixels
    border = min(x + 1, y + 1, mask.shape[1] - x, mask.shape[0] - y)
    distance = int(away.min(where=~side, initial=border**2))
    change = away < distance
    if positive or _iou(mask, click_mask) <= SAME_OBJECT:
        change |= _component_at(side & click_mask, point) & (away <= REACH**2 * distance)
    return mask | change if positive else mask & ~change


def _component_at(region: np.ndarray, point: tuple[int, int]) -> np.ndarray:
    """The connected part of a region that holds a point; empty where the point is outside of it."""
    x, y = point
    if not region[y, x]:
        return np.zeros_like(region)
    filled = region.astype(np.uint8)
    cv2.floodFill(filled, None, point, 2, flags=4)
    return filled == 2


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    return np.count_nonzero(a & b) / max(np.count_nonzero(a | b), 1)
