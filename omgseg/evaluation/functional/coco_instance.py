"""Mask AP of images, computed by faster-coco-eval (COCO's own rules, in C++)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from omgseg.evaluation.functional.average_precision import ap_per_category, summarize_ap


def _silent(*_: object) -> None:
    """The evaluator reports its progress through a print function."""


def _copies(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The evaluator adds fields (area, bbox, id) to the entries that it is given, and rewrites their RLEs."""
    return [{**entry, "segmentation": copy.copy(entry["segmentation"])} for entry in entries]


def evaluate_instances(
    ground_truth: dict[str, Any], results: Sequence[dict[str, Any]], image_ids: Sequence[int] | None = None
) -> tuple[dict[str, float], dict[int, float]]:
    """Mask AP.

    Args:
        ground_truth: content of a COCO instance file (``images``, ``annotations``, ``categories``).
        results: ``image_id``, ``category_id``, ``segmentation`` (RLE at the image's size) and ``score``; ties
            keep this order. May be empty.
        image_ids: evaluate these images only.

    Returns:
        The numbers of :func:`summarize_ap` and the AP of each category id; fractions, -1 where undefined.

    Raises:
        ValueError: a result names an image or a category that the ground truth does not have.
    """
    known_images = {image["id"] for image in ground_truth["images"]}
    known_categories = {category["id"] for category in ground_truth["categories"]}
    for field, known in (("image_id", known_images), ("category_id", known_categories)):
        unknown = {result[field] for result in results} - known
        if unknown:
            raise ValueError(
                f"results hold {field} {sorted(unknown)[0]}, which the ground truth does not have"
            )

    gt = COCO({**ground_truth, "annotations": _copies(ground_truth["annotations"])}, print_function=_silent)
    evaluator = COCOeval_faster(gt, gt.loadRes(_copies(results)), iouType="segm", print_function=_silent)
    if image_ids is not None:
        evaluator.params.imgIds = sorted(image_ids)
    evaluator.evaluate()
    evaluator.accumulate()
    parameters, precision = evaluator.params, np.asarray(evaluator.eval["precision"])
    recall = np.asarray(evaluator.eval["recall"])
    return (
        summarize_ap(precision, recall, np.asarray(parameters.iouThrs), parameters.maxDets),
        ap_per_category(precision, [int(c) for c in parameters.catIds]),
    )
