"""Video consistency VC_n: do predictions stay as they are where the ground truth does?

Miao et al., VSPW: A Large-scale Dataset for Video Scene Parsing in the Wild, CVPR 2021, with the rules of the
official script (VC_perclip.py of https://github.com/sssdddwww2/CVPR2021_VSPW_Implement): whether a
prediction is correct plays no role, void is a label like any other, and the last full clip is not used.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from omgseg.evaluation.functional.label_map import check_same_size

CLIP_LENGTHS = (8, 16)


class VideoConsistency:
    """Clip values of one video, collected a frame at a time; only the last frame is kept.

    Args:
        lengths: clip lengths n in frames, each at least 1.

    Attributes:
        clips: for each n the values of the clips that start at frame 0, 1, ..., T - n - 1 (none where T <= n):
            of the pixels whose ground truth does not change within the clip, the share whose prediction
            does not either; NaN where every pixel changes.
    """

    def __init__(self, lengths: Sequence[int] = CLIP_LENGTHS) -> None:
        if not lengths or min(lengths) < 1:
            raise ValueError(f"clip lengths must be at least 1 frame, got {tuple(lengths)}")
        self.clips: dict[int, list[float]] = {length: [] for length in lengths}
        self._last: tuple[np.ndarray, np.ndarray] | None = None
        self._since: tuple[np.ndarray, np.ndarray] | None = None
        self._num_frames = 0

    def add_frame(self, ground_truth: np.ndarray, predicted: np.ndarray, where: str = "frame") -> None:
        """Take the next frame: integers (H, W) each; `where` names it in errors.

        Raises:
            ValueError: the maps differ in size, or the frame differs from those before it.
        """
        check_same_size(ground_truth, predicted, where)
        if self._last is None:
            self._since = (np.zeros(ground_truth.shape, np.int32), np.zeros(ground_truth.shape, np.int32))
        else:
            self._check_size(ground_truth, where)
            self._count_clips()
            for since, before, now in zip(self._since, self._last, (ground_truth, predicted), strict=True):
                since[before != now] = self._num_frames
        self._last = (np.array(ground_truth), np.array(predicted))
        self._num_frames += 1

    def _check_size(self, ground_truth: np.ndarray, where: str) -> None:
        if ground_truth.shape != self._last[0].shape:
            raise ValueError(
                f"{where}: the frame has size {ground_truth.shape}, those before it {self._last[0].shape}"
            )

    def _count_clips(self) -> None:
        """The clips that end with the last frame, now that another follows."""
        gt_since, pred_since = self._since
        for length, values in self.clips.items():
            start = self._num_frames - length
            if start >= 0:
                still = gt_since <= start
                count = np.count_nonzero(still)
                both = np.count_nonzero(still & (pred_since <= start))
                values.append(both / count if count else float("nan"))


def summarize_consistency(videos: Iterable[dict[int, list[float]]]) -> dict[str, float]:
    """``VC<n>``: the mean over all clips of all videos that have a value; NaN where no clip has one.

    Args:
        videos: `clips` of each video, all of the same lengths.
    """
    videos = list(videos)
    result = {}
    for length in videos[0] if videos else ():
        defined = [value for clips in videos for value in clips[length] if not math.isnan(value)]
        result[f"VC{length}"] = math.fsum(defined) / len(defined) if defined else float("nan")
    return result
