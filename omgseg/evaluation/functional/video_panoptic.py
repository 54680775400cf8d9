"""Panoptic quality of tubes over windows (VPQ), and segmentation and tracking quality (STQ = sqrt(AQ * IoU)).

VPQ: Kim et al., Video Panoptic Segmentation, CVPR 2020, with the rules of VIPSeg's evaluation: windows of k
consecutive annotated frames at every position, each window one volume; counts are summed over all windows of
all videos.

STQ: Weber et al., STEP: Segmenting and Tracking Every Pixel, NeurIPS 2021, with the rules of the metric class of
DeepLab2 and, by default, of VIPSeg's STQ script around it (eval_stq_vspw.py of
https://github.com/VIPSeg-Dataset/VIPSeg-Dataset).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from omgseg.evaluation.functional.inputs import check_same_size, index_of, overlap_table, unique_index
from omgseg.evaluation.functional.panoptic import PanopticStat, SegmentTable, match_segments
from omgseg.evaluation.functional.semantic import sparse_counts, sum_sparse_counts

WINDOWS = (1, 2, 4, 6, 8)


class VideoOverlap:
    """Overlaps of the tubes of one video, collected frame by frame; the frames themselves are not kept.

    A tube is a (class, instance) pair. VPQ and STQ work on the same overlaps.

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
        """One number per tube: 0 for void, else instance * num_classes + class + 1."""
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
            SegmentTable(self.class_of(gt_tubes[rows][1:]), present[1:].sum(axis=1)),
            SegmentTable(self.class_of(pred_tubes[columns][1:]), present[:, 1:].sum(axis=0)),
            self.num_classes,
        )

    def class_of(self, tubes: np.ndarray) -> np.ndarray:
        """Classes of tubes other than void, int64 (N,)."""
        return (tubes - 1) % self.num_classes

    def instance_of(self, tubes: np.ndarray) -> np.ndarray:
        """Instance numbers of tubes other than void, int64 (N,)."""
        return (tubes - 1) // self.num_classes


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


@dataclass(frozen=True)
class StqStat:
    """What STQ needs of one video.

    Attributes:
        association: AQ summed over the ground-truth thing tubes.
        tubes: number of these tubes.
        confusion: pixels by (true class, predicted class), predicted void last, as positions and counts of
            what is not zero in a table (C, C + 1); unlabelled pixels are left out.
    """

    association: float
    tubes: int
    confusion: tuple[np.ndarray, np.ndarray]


def stq_stat(
    overlap: VideoOverlap,
    thing_mask: np.ndarray,
    renumber: bool = True,
    class_ids: Sequence[int] | None = None,
) -> StqStat:
    """Counts of one video.

    Any predicted thing tube can be associated with a ground-truth tube, whatever its class. Its area includes
    what lies on void and stuff, but not what lies on crowd.

    Args:
        overlap: the video's frames.
        thing_mask: bool (C,).
        renumber: number the ground-truth tubes from 0 by first appearance, as VIPSeg's script does before it
            calls the metric. Number 0 of a thing is read as crowd, so the first tube of a video is left out
            if it is a thing. False takes the instance numbers as they are: things of number 0 are crowd.
        class_ids: the numbers of the classes in the data set's files (default 0, 1, ...): a frame lists its
            tubes without instance by these, then those with.
    """
    thing_mask = np.asarray(thing_mask, dtype=bool)
    num_classes = overlap.num_classes
    gt_tubes, pred_tubes, tables = overlap.tables()
    volume, gt_tubes, pred_tubes = tables.sum(axis=0), gt_tubes[1:], pred_tubes[1:]  # void is first
    gt_class, pred_class = overlap.class_of(gt_tubes), overlap.class_of(pred_tubes)
    crowd = (
        gt_tubes == _first_listed(overlap, class_ids)
        if renumber
        else thing_mask[gt_class] & (overlap.instance_of(gt_tubes) == 0)
    )
    rows = np.flatnonzero(thing_mask[gt_class] & ~crowd) + 1
    columns = np.flatnonzero(thing_mask[pred_class]) + 1
    no_crowd = np.concatenate([[True], ~(crowd & thing_mask[gt_class])])
    common = volume[np.ix_(rows, columns)]
    gt_area, pred_area = volume[rows].sum(axis=1), volume[no_crowd][:, columns].sum(axis=0)
    iou = common / (gt_area[:, None] + pred_area[None] - common)

    confusion = np.zeros((num_classes, num_classes + 1), dtype=np.int64)
    np.add.at(confusion, np.ix_(gt_class, np.concatenate([[num_classes], pred_class])), volume[1:])
    return StqStat(
        association=math.fsum((common * iou).sum(axis=1) / gt_area),
        tubes=len(rows),
        confusion=sparse_counts(confusion),
    )


def _first_listed(overlap: VideoOverlap, class_ids: Sequence[int] | None) -> int:
    """The tube that a converted VIPSeg file lists first; -1 if the video has none."""
    tubes = overlap.first_tubes()
    if not len(tubes):
        return -1
    classes = overlap.class_of(tubes)
    numbers = classes if class_ids is None else np.asarray(class_ids)[classes]
    instances = overlap.instance_of(tubes)
    return int(tubes[np.lexsort((instances, numbers, instances > 0))[0]])


def summarize_stq(stats: Iterable[StqStat], num_classes: int) -> dict[str, float]:
    """STQ of videos, from one video to a whole data set; their order changes nothing.

    Returns:
        Fractions: ``STQ``, ``AQ`` (mean over all thing tubes, 0 without any) and ``IoU`` (mean over the
        classes that occur; predicted void, if it covers anything, counts as one more class with IoU 0; NaN
        where nothing is labelled).
    """
    stats = list(stats)
    association = math.fsum(stat.association for stat in stats)
    quality = association / max(sum(stat.tubes for stat in stats), 1)
    confusion = sum_sparse_counts((stat.confusion for stat in stats), (num_classes, num_classes + 1))
    correct = np.append(np.diagonal(confusion), 0)
    union = np.append(confusion.sum(axis=1), 0) + confusion.sum(axis=0) - correct
    iou = float((correct[union > 0] / union[union > 0]).mean()) if union.any() else float("nan")
    return {"STQ": math.sqrt(quality * iou), "AQ": quality, "IoU": iou}
