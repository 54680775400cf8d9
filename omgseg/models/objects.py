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


def check_given(frame: int, shape: tuple[int, int], num_frames: int, size: tuple[int, int]) -> None:
    """Raises ValueError unless objects that were given fit the clip that is pushed.

    Args:
        frame: that shows them, in the clip.
        shape: (height, width) of their masks.
        num_frames: of the clip.
        size: (height, width) of its frames.
    """
    if not 0 <= frame < num_frames:
        raise ValueError(
            f"objects were given in frame {frame} of a clip of {num_frames} frames; add them before the clip that has "
            "this frame, which is counted from the clip's first one, 0"
        )
    if shape != size:
        raise ValueError(f"the masks of the objects are {shape}, the frames {size} (height, width)")
