"""Running faster-coco-eval (COCO's and LVIS's own rules, in C++) without touching its inputs or the screen."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from omgseg.evaluation.functional.boundary import band_ious

MAX_PAIRS = 1_000_000
"""Pairs of an image and a category to evaluate at a time: each takes a kilobyte. LVIS has 24 million."""


@dataclass(frozen=True)
class ApTables:
    """What average precision is averaged from; -1 is undefined.

    Attributes:
        precision: float (T, R, C, 4, M): IoU threshold, recall point, category, area range (all, small,
            medium, large), number of detections.
        recall: float (T, C, 4, M).
        iou_thresholds: float (T,).
        max_detections: M numbers, ascending.
        category_ids: C ids, ascending.
    """

    precision: np.ndarray
    recall: np.ndarray
    iou_thresholds: np.ndarray
    max_detections: list[int]
    category_ids: list[int]


def average_precision_tables(
    ground_truth: dict[str, Any],
    results: Sequence[dict[str, Any]],
    image_ids: Sequence[int] | None = None,
    max_detections: Sequence[int] = (1, 10, 100),
    boundary: bool = False,
    lvis_style: bool = False,
) -> ApTables:
    """Evaluate result entries against the content of an instance file; both stay unchanged.

    Args:
        ground_truth, results, image_ids: see :func:`coco_instance.evaluate_instances`.
        max_detections: numbers of detections to evaluate, an image and category.
        boundary: the IoU of a pair is at most the boundary IoU; crowd regions keep the mask IoU.
        lvis_style: judge the detections of a category only in images that the file vouches for.

    Raises:
        ValueError: a result names an image or a category that the ground truth does not have.
    """
    check_known(ground_truth, results)
    # The evaluator takes integers only; sorted, as the order of images decides between equal scores.
    number_of = {image_id: n for n, image_id in enumerate(sorted(i["id"] for i in ground_truth["images"]))}
    numbered = {
        **ground_truth,
        "images": [{**image, "id": number_of[image["id"]]} for image in ground_truth["images"]],
        "annotations": _copies(ground_truth["annotations"], number_of),
    }
    gt = COCO(numbered, print_function=_silent)
    dt = gt.loadRes(_copies(results, number_of))
    images = sorted(number_of.values() if image_ids is None else (number_of[i] for i in image_ids))
    categories = sorted(category["id"] for category in ground_truth["categories"])
    parts = []
    for some in _chunks(categories, max(1, MAX_PAIRS // max(1, len(images)))):
        evaluator = (_BoundaryEvaluator if boundary else COCOeval_faster)(
            gt, dt, iouType="segm", print_function=_silent, lvis_style=lvis_style
        )
        evaluator.params.maxDets = sorted(max_detections)
        evaluator.params.imgIds, evaluator.params.catIds = images, some
        evaluator.evaluate()
        evaluator.accumulate()
        parts.append(evaluator.eval)
    return ApTables(
        precision=np.concatenate([np.asarray(part["precision"]) for part in parts], axis=2),
        recall=np.concatenate([np.asarray(part["recall"]) for part in parts], axis=1),
        iou_thresholds=np.asarray(evaluator.params.iouThrs),
        max_detections=sorted(max_detections),
        category_ids=categories,
    )


def _chunks(values: list[int], size: int) -> list[list[int]]:
    return [values[start : start + size] for start in range(0, max(1, len(values)), size)]


class _BoundaryEvaluator(COCOeval_faster):
    """Boundary AP. The library's own ``iouType="boundary"`` has other bands than the official code in places.

    Version 1.8 rounds band widths of 5.5, 7.5, ... pixels down (Python rounds halves to even numbers), and
    its bands are empty in images that are lower or narrower than two bands.
    """

    def computeIoU(self, imgId: int, catId: int) -> np.ndarray | list[float]:
        mask_ious = super().computeIoU(imgId, catId)
        if not len(mask_ious):
            return mask_ious
        gt, dt = (
            part.get_instances([imgId], [catId], True)[0][0] for part in (self.gt_dataset, self.dt_dataset)
        )
        # The rows of `mask_ious`: by falling score, equal ones as listed.
        order = np.argsort([-d["score"] for d in dt], kind="stable")[: len(mask_ious)]
        regular = np.array([not g.get("iscrowd", 0) for g in gt])
        bands = band_ious([dt[i]["rle"] for i in order], [g["rle"] for g in gt])
        ious = np.array(mask_ious)
        ious[:, regular] = np.minimum(ious, bands)[:, regular]
        return ious


def check_known(ground_truth: dict[str, Any], results: Sequence[dict[str, Any]]) -> None:
    """Raise a ValueError if a result names an image or a category that the ground truth does not have."""
    known_images = {image["id"] for image in ground_truth["images"]}
    known_categories = {category["id"] for category in ground_truth["categories"]}
    for field, known in (("image_id", known_images), ("category_id", known_categories)):
        unknown = {result[field] for result in results} - known
        if unknown:
            raise ValueError(
                f"results hold {field} {sorted(unknown)[0]}, which the ground truth does not have"
            )


def _silent(*_: object) -> None:
    """The evaluator reports its progress through a print function."""


def _copies(entries: Sequence[dict[str, Any]], number_of: dict[Any, int]) -> list[dict[str, Any]]:
    """The evaluator adds fields (area, bbox, id) to the entries that it is given, and rewrites their RLEs."""
    return [
        {**entry, "image_id": number_of[entry["image_id"]], "segmentation": copy.copy(entry["segmentation"])}
        for entry in entries
    ]
