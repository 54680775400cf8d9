"""Objects that a model is asked to follow through a video."""

from __future__ import annotations

import numpy as np

LARGEST_ID = 2**31 - 1
"""Ids of followed objects are the values of int32 maps."""


def check_objects(masks: np.ndarray, ids: np.ndarray) -> None:
    """Raises ValueError unless there is one id, 1 or higher and different from the others, for each mask."""
    if masks.ndim != 3 or np.shape(ids) != masks.shape[:1]:
        raise ValueError(f"masks are (N, H, W) and ids (N,), got {masks.shape} and {np.shape(ids)}")
    if len(ids) and not 1 <= np.min(ids) <= np.max(ids) <= LARGEST_ID:
        raise ValueError(f"ids are numbers from 1 to {LARGEST_ID}; 0 is the background; got {list(ids)}")
    if len(np.unique(ids)) < len(ids):
        raise ValueError(f"ids {list(ids)} are not all different")
