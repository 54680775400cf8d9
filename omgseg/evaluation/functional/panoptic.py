"""Panoptic quality: counts of one pair of segmentations, and what follows from summed counts.

Kirillov et al., Panoptic Segmentation, CVPR 2019, with the rules of the official COCO evaluation: a pair of
segments of one class matches above IoU 0.5, ground-truth void is taken out of the union, an unmatched
prediction that lies mostly on void or on the crowd region of its class is dropped, and crowd regions are
never missed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class PanopticStat:
    """Matches of each class, summable over images, windows and processes.

    Attributes:
        iou: float64 (C,), summed IoU of the matched pairs.
        tp, fp, fn: int64 (C,), matched pairs, unmatched predictions, unmatched ground truth.
    """

    iou: np.ndarray
    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray

    @classmethod
    def zeros(cls, num_classes: int) -> PanopticStat:
        return cls(np.zeros(num_classes), *(np.zeros(num_classes, dtype=np.int64) for _ in range(3)))

    def __add__(self, other: PanopticStat) -> PanopticStat:
        return PanopticStat(self.iou + other.iou, self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    def occurs(self) -> np.ndarray:
        """bool (C,): the class has a ground-truth or predicted segment; only such classes enter averages."""
        return (self.tp + self.fp + self.fn) > 0

    def per_class(self) -> dict[str, np.ndarray]:
        """``pq``, ``sq`` and ``rq`` of each class, float64 (C,), fractions; 0 where undefined."""
        weight = self.tp + 0.5 * self.fp + 0.5 * self.fn
        some_weight, some_match = np.maximum(weight, 0.5), np.maximum(self.tp, 1)
        return {"pq": self.iou / some_weight, "sq": self.iou / some_match, "rq": self.tp / some_weight}

    def mean(self, select: np.ndarray | None = None) -> dict[str, float]:
        """Average over the classes that occur.

        Args:
            select: bool (C,), average over these classes only.

        Returns:
            ``pq``, ``sq``, ``rq`` (fractions, NaN when no class occurs) and ``n``, the number of averaged
            ones.
        """
        chosen = self.occurs() if select is None else self.occurs() & np.asarray(select, dtype=bool)
        count = int(chosen.sum())
        means = {
            name: float(values[chosen].mean()) if count else float("nan")
            for name, values in self.per_class().items()
        }
        return {**means, "n": count}


@dataclass
class Segments:
    """What matching must know of segments besides their overlaps.

    Attributes:
        classes: int64 (S,).
        areas: int64 (S,), pixels.
        crowd: bool (S,), ground truth only.
    """

    classes: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray | None = None


def match_segments(
    overlap: np.ndarray, ground_truth: Segments, predicted: Segments, num_classes: int
) -> PanopticStat:
    """Match the segments of one image, or of one window of a video.

    Args:
        overlap: int64 (G + 1, P + 1), common pixels; row 0 is ground-truth void, column 0 predicted void.
        ground_truth: G segments.
        predicted: P segments.
        num_classes: length of the result.
    """
    common, on_void = overlap[1:, 1:], overlap[0, 1:]
    crowd = np.zeros(len(ground_truth.classes), bool) if ground_truth.crowd is None else ground_truth.crowd
    union = ground_truth.areas[:, None] + predicted.areas[None] - common - on_void[None]
    same_class = ground_truth.classes[:, None] == predicted.classes[None]
    matches = same_class & ~crowd[:, None] & (2 * common > union) & (common > 0)
    rows, columns = np.nonzero(matches)

    # With several crowd regions of one class, only the last listed counts, as in the official evaluation.
    crowd_row = np.zeros(num_classes, dtype=np.int64)
    crowd_row[ground_truth.classes[crowd]] = np.flatnonzero(crowd) + 1
    row = crowd_row[predicted.classes]
    on_crowd = np.where(row > 0, overlap[row, np.arange(1, overlap.shape[1])], 0)
    excused = 2 * (on_void + on_crowd) > predicted.areas

    def count(classes: np.ndarray) -> np.ndarray:
        return np.bincount(classes, minlength=num_classes)

    return PanopticStat(
        iou=np.bincount(
            ground_truth.classes[rows],
            weights=common[rows, columns] / union[rows, columns],
            minlength=num_classes,
        ),
        tp=count(ground_truth.classes[rows]),
        fp=count(predicted.classes[~matches.any(axis=0) & ~excused]),
        fn=count(ground_truth.classes[~matches.any(axis=1) & ~crowd]),
    )
