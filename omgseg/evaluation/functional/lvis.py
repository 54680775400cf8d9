"""LVIS AP: average precision of a federated data set.

Gupta et al., LVIS: A Dataset for Large Vocabulary Instance Segmentation, CVPR 2019, with the rules of the
official `lvis` package: the 300 best detections of an image over all categories; detections of a category
that was not looked for in the image are dropped; unmatched ones of a category that was not labelled
exhaustively are ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omgseg.evaluation.functional.average_precision import ap_per_category, mean_of_defined, summarize_ap
from omgseg.evaluation.functional.faster_coco import average_precision_tables, check_known

MAX_DETECTIONS = 300
FREQUENCIES = ("r", "c", "f")
"""Rare, common, frequent: in up to 10, up to 100, more training images (``frequency`` of a category)."""
IMAGE_FIELDS = ("neg_category_ids", "not_exhaustive_category_ids")


def evaluate_lvis(
    ground_truth: dict[str, Any],
    results: Sequence[dict[str, Any]],
    image_ids: Sequence[int] | None = None,
) -> tuple[dict[str, float], dict[int, float]]:
    """LVIS AP.

    Args:
        ground_truth: content of an LVIS v1 file: ``images`` with ``neg_category_ids`` and
            ``not_exhaustive_category_ids``, ``annotations``, ``categories`` with ``frequency``.
        results, image_ids: see :func:`coco_instance.evaluate_instances`.

    Returns:
        ``AP``, ``AP50``, ``AP75``, ``APs``, ``APm``, ``APl``, ``APr``, ``APc``, ``APf`` (rare, common and
        frequent categories), ``AR@300``, ``ARs@300``, ``ARm@300``, ``ARl@300``, and the AP of each category
        id; fractions, -1 where undefined.

    Raises:
        ValueError: the ground truth is no LVIS file, or a result names an image or a category that it does
            not have.
    """
    check_lvis_fields(ground_truth)
    tables = average_precision_tables(
        ground_truth,
        _vouched_for(ground_truth, best_of_each_image(results)),
        image_ids,
        max_detections=(MAX_DETECTIONS,),
        lvis_style=True,
    )
    values = summarize_ap(tables.precision, tables.recall, tables.iou_thresholds, tables.max_detections)
    frequency_of = {c["id"]: c["frequency"] for c in ground_truth["categories"]}
    frequencies = np.array([frequency_of[c] for c in tables.category_ids])
    groups = {
        f"AP{group}": mean_of_defined(tables.precision[:, :, frequencies == group, 0, -1])
        for group in FREQUENCIES
    }
    recalls = {name: value for name, value in values.items() if name.startswith("AR")}
    precisions = {name: value for name, value in values.items() if name not in recalls}
    return {**precisions, **groups, **recalls}, ap_per_category(tables.precision, tables.category_ids)


def check_lvis_fields(ground_truth: dict[str, Any], where: str = "ground truth") -> None:
    """Raise a ValueError that names the field where `ground_truth` lacks what only LVIS files have."""
    for image in ground_truth["images"]:
        missing = [name for name in IMAGE_FIELDS if name not in image]
        if missing:
            raise ValueError(f"{where}: image {image['id']} has no {missing[0]!r}; is it an LVIS v1 file?")
    for category in ground_truth["categories"]:
        if category.get("frequency") not in FREQUENCIES:
            raise ValueError(
                f"{where}: category {category['id']} has no 'frequency' of {FREQUENCIES}; is it an LVIS v1 "
                "file?"
            )


def best_of_each_image(
    results: Sequence[dict[str, Any]], limit: int = MAX_DETECTIONS
) -> list[dict[str, Any]]:
    """The `limit` results of the highest score in each image, over all categories; ties keep their order."""
    by_image: dict[Any, list[dict[str, Any]]] = {}
    for result in results:
        by_image.setdefault(result["image_id"], []).append(result)
    return [
        result
        for entries in by_image.values()
        for result in sorted(entries, key=lambda entry: entry["score"], reverse=True)[:limit]
    ]


def _vouched_for(ground_truth: dict[str, Any], results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Results of categories that the image has, or is known not to have.

    The evaluator has the same rule, but fails on an image without annotations whose results it all drops.
    """
    looked_for = {(image["id"], c) for image in ground_truth["images"] for c in image["neg_category_ids"]}
    looked_for |= {(a["image_id"], a["category_id"]) for a in ground_truth["annotations"]}
    check_known(ground_truth, results)
    return [result for result in results if (result["image_id"], result["category_id"]) in looked_for]
