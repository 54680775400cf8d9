"""Mask AP and boundary AP of images, by COCO's rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omgseg.evaluation.functional.average_precision import ap_per_category, summarize_ap
from omgseg.evaluation.functional.faster_coco import average_precision_tables


def evaluate_instances(
    ground_truth: dict[str, Any],
    results: Sequence[dict[str, Any]],
    image_ids: Sequence[int] | None = None,
    boundary: bool = False,
) -> tuple[dict[str, float], dict[int, float]]:
    """Mask AP.

    Args:
        ground_truth: content of a COCO instance file (``images``, ``annotations``, ``categories``).
        results: ``image_id``, ``category_id``, ``segmentation`` (RLE at the image's size) and ``score``; ties
            keep this order. May be empty.
        image_ids: evaluate these images only.
        boundary: boundary AP (Cheng et al., Boundary IoU, CVPR 2021): the IoU of a pair is at most that of
            the two bands along the contours, inside the masks and 0.02 image diagonals wide. Crowd regions
            keep the mask IoU.

    Returns:
        The numbers of :func:`summarize_ap` and the AP of each category id; fractions, -1 where undefined.

    Raises:
        ValueError: a result names an image or a category that the ground truth does not have.
    """
    tables = average_precision_tables(ground_truth, results, image_ids, boundary=boundary)
    return (
        summarize_ap(tables.precision, tables.recall, tables.iou_thresholds, tables.max_detections),
        ap_per_category(tables.precision, tables.category_ids),
    )
