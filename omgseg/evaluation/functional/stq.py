"""Segmentation and tracking quality: STQ = sqrt(AQ * IoU).

Weber et al., STEP: Segmenting and Tracking Every Pixel, NeurIPS 2021, with the rules of the metric class of
DeepLab2 and, by default, of VIPSeg's STQ script around it (eval_stq_vspw.py of
https://github.com/VIPSeg-Dataset/VIPSeg-Dataset).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from omgseg.evaluation.functional.semantic import sparse_counts, sum_sparse_counts
from omgseg.evaluation.functional.vpq import VideoOverlap


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
