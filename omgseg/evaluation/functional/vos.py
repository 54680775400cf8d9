"""Video object segmentation: region similarity J and contour accuracy F.

Perazzi et al., A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation, CVPR 2016, with
the rules of the official DAVIS 2017 evaluation, semi-supervised task.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np

from omgseg.evaluation.functional.inputs import check_same_size

VOID = 255
BOUNDARY_TOLERANCE = 0.008  # of the image diagonal


def region_similarity(ground_truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """J: IoU of paired masks, bool (N, H, W) each -> float64 (N,); 1 where both are empty."""
    union = np.count_nonzero(ground_truth | predicted, axis=(1, 2))
    common = np.count_nonzero(ground_truth & predicted, axis=(1, 2))
    return np.where(union > 0, common / np.maximum(union, 1), 1.0)


def mask_boundary(masks: np.ndarray) -> np.ndarray:
    """Pixels unlike their right, lower or lower-right neighbour: bool (N, H, W) -> bool (N, H, W)."""
    padded = np.pad(masks, ((0, 0), (0, 1), (0, 1)), mode="edge")
    right, below, diagonal = padded[:, :-1, 1:], padded[:, 1:, :-1], padded[:, 1:, 1:]
    return (masks ^ right) | (masks ^ below) | (masks ^ diagonal)


def boundary_measure(ground_truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """F: harmonic mean of boundary precision and recall of paired masks, bool (N, H, W) each -> float64 (N,).

    A boundary pixel counts when it lies within a distance of 0.008 image diagonals of the other boundary.
    """
    height, width = ground_truth.shape[1:]
    radius = int(np.ceil(BOUNDARY_TOLERANCE * np.hypot(height, width)))
    boundaries = zip(mask_boundary(ground_truth), mask_boundary(predicted), strict=True)
    return np.array([_boundary_f(gt, pred, radius) for gt, pred in boundaries], dtype=float)


def _boundary_f(gt: np.ndarray, pred: np.ndarray, radius: int) -> float:
    gt_count, pred_count = np.count_nonzero(gt), np.count_nonzero(pred)
    if gt_count == 0 or pred_count == 0:
        return float(gt_count == pred_count)
    # Everything outside the common bounding box is empty in both: dilating there is wasted.
    left, top, width, height = cv2.boundingRect((gt | pred).view(np.uint8))
    box = np.s_[top : top + height, left : left + width]
    gt, pred = gt[box].view(np.uint8), pred[box].view(np.uint8)
    precision = np.count_nonzero(pred & dilate_disk(gt, radius)) / pred_count
    recall = np.count_nonzero(gt & dilate_disk(pred, radius)) / gt_count
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def dilate_disk(mask: np.ndarray, radius: int) -> np.ndarray:
    """Pixels within a distance of `radius` of the mask: uint8 0/1 (H, W) -> uint8 0/1 (H, W).

    Row by row of the disk, from its shortest ones to the diameter: dilating a line by a few pixels is cheap, and
    so is shifting; twice as fast as dilating by the disk at once.
    """
    height = len(mask)
    near, line, reach = np.zeros_like(mask), np.ascontiguousarray(mask), 0
    for offset in range(min(radius, height - 1), -1, -1):
        longer = math.isqrt(radius**2 - offset**2) - reach
        if longer:
            row = np.ones((1, 2 * longer + 1), np.uint8)
            line = cv2.dilate(line, row, borderType=cv2.BORDER_CONSTANT, borderValue=0)
            reach += longer
        end = height - offset
        near[offset:] |= line[:end]
        near[:end] |= line[offset:]
    return near


def count_objects(first_frame: np.ndarray) -> int:
    """Objects of a sequence: the largest id in its first ground-truth frame, void aside."""
    return int(np.where(first_frame == VOID, 0, first_frame).max(initial=0))


def frame_scores(
    ground_truth: np.ndarray, predicted: np.ndarray, num_objects: int, where: str = "frame"
) -> tuple[np.ndarray, np.ndarray]:
    """J and F of each object in one frame.

    Args:
        ground_truth: object ids (H, W); 0 background, 255 void (background in this task), as are ids above
            `num_objects`, which appear later than in the first frame.
        predicted: object ids (H, W).
        num_objects: see :func:`count_objects`.
        where: name of the frame, for errors.

    Returns:
        float64 (num_objects,) each.

    Raises:
        ValueError: the sizes differ, or the prediction holds an id above `num_objects`.
    """
    check_same_size(ground_truth, predicted, where)
    if predicted.size and (predicted.max() > num_objects or predicted.min() < 0):
        wrong = predicted.max() if predicted.max() > num_objects else predicted.min()
        raise ValueError(
            f"{where}: the prediction holds object id {wrong}, the first frame has objects 1..{num_objects}"
        )
    objects = np.arange(1, num_objects + 1)[:, None, None]
    gt_masks, pred_masks = ground_truth[None] == objects, predicted[None] == objects
    return region_similarity(gt_masks, pred_masks), boundary_measure(gt_masks, pred_masks)


def mean_recall_decay(values: np.ndarray) -> tuple[float, float, float]:
    """Statistics of one object's values over the frames, float64 (T,).

    Returns:
        Mean; recall, the share of frames above 0.5; decay, mean of the first quarter minus mean of the last.
        Neighbouring quarters share one frame.
    """
    limits = np.round(np.linspace(1, len(values), 5) + 1e-10).astype(int) - 1
    first, last = values[limits[0] : limits[1] + 1], values[limits[3] : limits[4] + 1]
    return float(values.mean()), float((values > 0.5).mean()), float(first.mean() - last.mean())


def summarize_davis(objects: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Averages over all objects of all sequences (not over sequences); fractions.

    Args:
        objects: J and F over the evaluated frames, float64 (T,) each, one pair per object.

    Returns:
        ``J&F``, ``J``, ``J_recall``, ``J_decay``, ``F``, ``F_recall``, ``F_decay``; NaN without any object.
    """
    rows = [(*mean_recall_decay(j), *mean_recall_decay(f)) for j, f in objects]
    means = np.mean(rows, axis=0) if rows else np.full(6, np.nan)
    names = ("J", "J_recall", "J_decay", "F", "F_recall", "F_decay")
    scores = dict(zip(names, map(float, means), strict=True))
    return {"J&F": (scores["J"] + scores["F"]) / 2, **scores}
