"""Reading the masks of a clip, aligned over its frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from omgseg.datasets.segments import read_segments
from omgseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadSegments(BaseTransform):
    """Read the masks of a clip; row i is the same object in all frames.

    Adds ``gt_masks`` uint8 (N, T, H, W) (an absent object is empty in that frame), ``gt_labels`` int64 (N,)
    and ``gt_instance_ids`` int64 (N,), in order of first appearance. Crowd regions are left out.

    Args:
        first_frame_only: read the first frame alone, T = 1: all that a tracker may see of a test video.

    Raises:
        FileNotFoundError, OSError, ValueError: see :func:`omgseg.datasets.segments.read_segments`.
    """

    def __init__(self, first_frame_only: bool = False) -> None:
        self.first_frame_only = first_frame_only

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        frames = results["frames"][:1] if self.first_frame_only else results["frames"]
        segments = [read_segments(frame, results) for frame in frames]
        masks, ids = align_rows([(frame.masks, frame.ids) for frame in segments])
        labels = dict(
            zip(np.concatenate([s.ids for s in segments]), np.concatenate([s.labels for s in segments]))
        )
        results["gt_masks"] = masks
        results["gt_instance_ids"] = ids
        results["gt_labels"] = np.array([labels[index] for index in ids], np.int64)
        return results


def align_rows(frames: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Stack the masks of frames so that a row is one object.

    Args:
        frames: T pairs of masks uint8 (n_t, H, W) and ids int64 (n_t,).

    Returns:
        masks uint8 (N, T, H, W) and ids int64 (N,), in order of first appearance.
    """
    if len(frames) == 1:
        return frames[0][0][:, None], frames[0][1]
    ids = np.array(list(dict.fromkeys(index for _, own in frames for index in own.tolist())), np.int64)
    row = {index: position for position, index in enumerate(ids.tolist())}
    masks = np.zeros((len(ids), len(frames), *frames[0][0].shape[1:]), np.uint8)
    for t, (own_masks, own_ids) in enumerate(frames):
        masks[[row[index] for index in own_ids.tolist()], t] = own_masks
    return masks, ids
