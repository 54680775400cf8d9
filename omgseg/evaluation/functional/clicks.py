"""Simulated clicks: where somebody who sees both masks would click next."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from omgseg.structures.prompts import depth_map


class Click(NamedTuple):
    """A click: column and row of its pixel, and whether it says "this belongs to the object" or the opposite."""

    x: int
    y: int
    positive: bool


def next_click(ground_truth: np.ndarray, predicted: np.ndarray) -> Click | None:
    """The click that corrects the largest error: the point farthest from the edge of what is missing, or of what is
    too much, whichever is deeper (the usual protocol: Sofiiuk et al., RITM, arXiv:2102.06583, section 4).

    Args:
        ground_truth, predicted: bool (H, W).

    Returns:
        None where the masks are equal.
    """
    ground_truth, predicted = np.asarray(ground_truth, bool), np.asarray(predicted, bool)
    missing, excess = depth_map(ground_truth & ~predicted), depth_map(predicted & ~ground_truth)
    positive = missing.max(initial=0) >= excess.max(initial=0)
    depth = missing if positive else excess
    if not depth.any():
        return None
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return Click(int(x), int(y), bool(positive))
