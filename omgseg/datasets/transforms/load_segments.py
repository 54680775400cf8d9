"""Reading the masks of a clip, aligned over its frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from omgseg.datasets.segments import Segments, read_segments
from omgseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadSegments(BaseTransform):
    """Read the masks of a clip; row i is the same object in all frames.

    Adds ``gt_masks`` uint8 (N, T, H, W) (an absent object is empty in that frame), ``gt_labels`` int64 (N,)
    and ``gt_instance_ids`` int64 (N,), in order of first appearance. Crowd regions are left out.

    The two options read what a tracker may see of a test video:

    Args:
        first_frame_only: the first frame alone, T = 1 (DAVIS).
        first_masks_only: each object in the first frame that has a mask of it, and nowhere else (YouTube-VOS).
            Only such frames are kept: T is their number, and ``gt_frames`` (T indices) says which they are.
            Frames without a mask file count as frames without a mask.

    Raises:
        FileNotFoundError, OSError, ValueError: see :func:`omgseg.datasets.segments.read_segments`.
    """

    def __init__(self, first_frame_only: bool = False, first_masks_only: bool = False) -> None:
        if first_frame_only and first_masks_only:
            raise ValueError("LoadSegments: choose one of first_frame_only and first_masks_only")
        self.first_frame_only = first_frame_only
        self.first_masks_only = first_masks_only

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        if self.first_masks_only:
            segments, results["gt_frames"] = _first_masks(results)
        else:
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


def _first_masks(results: dict[str, Any]) -> tuple[list[Segments], list[int]]:
    """The segments of the frames that show new ones, these only, and the numbers of the frames."""
    found, numbers = [], []
    seen = np.zeros(0, np.int64)
    for number, frame in enumerate(results["frames"]):
        if "seg_map_path" not in frame:
            continue
        segments = read_segments(frame, results)
        new = ~np.isin(segments.ids, seen)
        if new.any():
            found.append(Segments(*(values[new] for values in segments)))
            numbers.append(number)
            seen = np.union1d(seen, segments.ids)
    if not found:
        raise ValueError(
            f"video {results['video_id']!r}: none of its masks holds an object; see "
            f"data/README.md#{results['readme_anchor']}"
        )
    return found, numbers


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
