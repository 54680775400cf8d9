"""Video panoptic quality: panoptic quality of tubes, over windows of several lengths.

Kim et al., Video Panoptic Segmentation, CVPR 2020, with the rules of VIPSeg's evaluation: windows of k
consecutive annotated frames at every position, each window one volume; counts are summed over all windows of
all videos.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from omgseg.evaluation.functional.label_map import check_same_size, index_of, overlap_table, unique_index
from omgseg.evaluation.functional.panoptic import PanopticStat, Segments, match_segments

WINDOWS = (1, 2, 4, 6, 8)


class VideoOverlap:
    """Overlaps of the tubes of one video, collected a frame at a time; frames themselves are not kept.

    A tube is a (class, instance) pair. :mod:`stq` works on the same overlaps.

    Args:
        num_classes: classes are 0..num_classes - 1.
        void: the class value of void, in ground truth and prediction.
    """

    def __init__(self, num_classes: int, void: int = 255) -> None:
        self.num_classes, self.void = num_classes, void
        self._frames: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add_frame(
        self,
        gt_class: np.ndarray,
        gt_instance: np.ndarray,
        pred_class: np.ndarray,
        pred_instance: np.ndarray,
        where: str = "frame",
    ) -> None:
        """Count one frame; all maps are integers (H, W), instances 0 for stuff. `where` names it in errors.

        Raises:
            ValueError: the sizes differ, or a class is out of range.
        """
        check_same_size(gt_class, pred_class, where)
        gt_tubes, gt_index = unique_index(self._tube_ids(gt_class, gt_instance))
        pred_tubes, pred_index = unique_index(self._tube_ids(pred_class, pred_instance))
        self._frames.append(
            (gt_tubes, pred_tubes, overlap_table(gt_index, pred_index, len(gt_tubes), len(pred_tubes)))
        )

    def first_tubes(self) -> np.ndarray:
        """Ground-truth tubes of the first frame that has any, ascending, int64 (N,)."""
        present = (tubes[tubes > 0] for tubes, _, _ in self._frames)
        return next((tubes for tubes in present if len(tubes)), np.zeros(0, np.int64))

    def stats(self, windows: Sequence[int] = WINDOWS) -> dict[int, PanopticStat]:
        """Counts of each window length; all zero where the video is shorter than the window."""
        gt_tubes, pred_tubes, tables = self.tables()
        until = (
            np.concatenate([np.zeros_like(tables[:1]), np.cumsum(tables, axis=0)]) if len(tables) else None
        )
        result = {}
        for length in windows:
            result[length] = PanopticStat.zeros(self.num_classes)
            for start in range(len(tables) - length + 1):
                volume = until[start + length] - until[start]
                result[length] += self._match(volume, gt_tubes, pred_tubes)
        return result

    def _tube_ids(self, classes: np.ndarray, instances: np.ndarray) -> np.ndarray:
        """One number a tube: 0 for void, else instance * num_classes + class + 1."""
        classes, instances = np.asarray(classes), np.asarray(instances, dtype=np.int64)
        void = classes == self.void
        if (((classes < 0) | (classes >= self.num_classes)) & ~void).any():
            raise ValueError(f"classes must lie in [0, {self.num_classes}) or be void ({self.void})")
        return np.where(void, 0, instances * self.num_classes + classes + 1)

    def tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All tubes of the video, void (0) first, and their overlaps by frame, int64 (T, G + 1, P + 1)."""

        def union(position: int) -> np.ndarray:
            return np.unique(np.concatenate([np.zeros(1, np.int64)] + [f[position] for f in self._frames]))

        gt_tubes, pred_tubes = union(0), union(1)
        tables = np.zeros((len(self._frames), len(gt_tubes), len(pred_tubes)), dtype=np.int64)
        for table, (gt_present, pred_present, counts) in zip(tables, self._frames, strict=True):
            table[np.ix_(index_of(gt_present, gt_tubes), index_of(pred_present, pred_tubes))] = counts
        return gt_tubes, pred_tubes, tables

    def _match(self, volume: np.ndarray, gt_tubes: np.ndarray, pred_tubes: np.ndarray) -> PanopticStat:
        # Tubes that do not enter the window are neither missed nor wrong.
        rows, columns = volume.sum(axis=1) > 0, volume.sum(axis=0) > 0
        rows[0] = columns[0] = True
        present = volume[np.ix_(rows, columns)]
        return match_segments(
            present,
            Segments(self.class_of(gt_tubes[rows][1:]), present[1:].sum(axis=1)),
            Segments(self.class_of(pred_tubes[columns][1:]), present[:, 1:].sum(axis=0)),
            self.num_classes,
        )

    def class_of(self, tubes: np.ndarray) -> np.ndarray:
        """Classes of tubes other than void, int64 (N,)."""
        return (tubes - 1) % self.num_classes

    def instance_of(self, tubes: np.ndarray) -> np.ndarray:
        """Instance numbers of tubes other than void, int64 (N,)."""
        return (tubes - 1) // self.num_classes


def video_stats(
    gt_class: np.ndarray,
    gt_instance: np.ndarray,
    pred_class: np.ndarray,
    pred_instance: np.ndarray,
    num_classes: int,
    windows: Sequence[int] = WINDOWS,
    void: int = 255,
) -> dict[int, PanopticStat]:
    """Counts of one whole video: maps are integers (T, H, W); see :class:`VideoOverlap`."""
    overlap = VideoOverlap(num_classes, void)
    for frame in zip(gt_class, gt_instance, pred_class, pred_instance, strict=True):
        overlap.add_frame(*frame)
    return overlap.stats(windows)


def summarize_vpq(stats: dict[int, PanopticStat], thing_mask: np.ndarray) -> dict[str, float]:
    """VPQ from the summed counts of each window length.

    Args:
        stats: counts of all videos by window length.
        thing_mask: bool (C,).

    Returns:
        Fractions: ``VPQ``, ``VPQ_th``, ``VPQ_st``, the plain means over the window lengths, and ``VPQ_<k>``.
        A length that fits into no video, or where no class occurs, is NaN and does not enter the means.
    """
    thing_mask = np.asarray(thing_mask, dtype=bool)
    result: dict[str, float] = {}
    for suffix, select in (("", None), ("_th", thing_mask), ("_st", ~thing_mask)):
        by_window = {length: stat.mean(select)["pq"] for length, stat in stats.items()}
        defined = [value for value in by_window.values() if not np.isnan(value)]
        result[f"VPQ{suffix}"] = float(np.mean(defined)) if defined else float("nan")
        if not suffix:
            result.update({f"VPQ_{length}": value for length, value in by_window.items()})
    return result
