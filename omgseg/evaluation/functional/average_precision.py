"""The twelve COCO numbers, from the precision and recall tables of any COCO-like evaluator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

AREA_SUFFIXES = ("s", "m", "l")


def mean_of_defined(values: np.ndarray) -> float:
    """Mean without the entries -1 (classes without ground truth); -1 when nothing is left."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else -1.0


def summarize_ap(
    precision: np.ndarray, recall: np.ndarray, iou_thresholds: np.ndarray, max_detections: Sequence[int]
) -> dict[str, float]:
    """Average the tables.

    Args:
        precision: float (T, R, C, 4, M): IoU threshold, recall point, class, area range (all, small, medium,
            large), number of detections. -1 is undefined.
        recall: float (T, C, 4, M).
        iou_thresholds: float (T,).
        max_detections: M numbers, ascending.

    Returns:
        Fractions, -1 where undefined: ``AP``, ``AP50``, ``AP75``, ``APs``, ``APm``, ``APl``, then ``AR@<n>``
        for each number of detections and ``ARs@<n>``, ``ARm@<n>``, ``ARl@<n>`` for the largest.
    """
    most = max_detections[-1]
    result = {"AP": mean_of_defined(precision[..., 0, -1])}
    for threshold in (0.5, 0.75):
        row = np.isclose(iou_thresholds, threshold)
        result[f"AP{round(100 * threshold)}"] = mean_of_defined(precision[row][..., 0, -1])
    for area, suffix in enumerate(AREA_SUFFIXES, start=1):
        result[f"AP{suffix}"] = mean_of_defined(precision[..., area, -1])
    for column, number in enumerate(max_detections):
        result[f"AR@{number}"] = mean_of_defined(recall[..., 0, column])
    for area, suffix in enumerate(AREA_SUFFIXES, start=1):
        result[f"AR{suffix}@{most}"] = mean_of_defined(recall[..., area, -1])
    return result


def ap_per_category(precision: np.ndarray, category_ids: Sequence[int]) -> dict[int, float]:
    """AP of each category id from `precision` (T, R, C, 4, M); -1 for a category without ground truth."""
    return {category: mean_of_defined(precision[:, :, k, 0, -1]) for k, category in enumerate(category_ids)}
