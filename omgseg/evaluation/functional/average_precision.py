"""Average precision of masks, boundaries and tracks: COCO's rules, LVIS's, and YouTube-VIS's.

COCO and LVIS are computed by faster-coco-eval, tracks by the YouTube-VIS evaluation code that mmdet carries. Neither
touches what it is given, or the screen.

Boundary AP: Cheng et al., Boundary IoU, CVPR 2021.

LVIS AP: Gupta et al., LVIS: A Dataset for Large Vocabulary Instance Segmentation, CVPR 2019, with the rules of the
official `lvis` package: the 300 best detections of an image over all categories; detections of a category
that was not looked for in the image are dropped; unmatched ones of a category that was not labelled
exhaustively are ignored.
"""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from pycocotools import mask as coco_mask

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


BAND_WIDTH = 0.02  # of the image diagonal


def band_width(height: int, width: int) -> int:
    """Pixels, at least 1; a half rounds to the even number, as in the official code."""
    return max(round(BAND_WIDTH * float(np.sqrt(height**2 + width**2))), 1)


def mask_band(mask: np.ndarray, pixels: int) -> np.ndarray:
    """The part of a mask within `pixels` (chessboard distance) of what is outside of the mask or the image.

    Args:
        mask: uint8 0/1 (H, W).

    Returns:
        uint8 0/1 (H, W).
    """
    band = np.zeros_like(mask)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return band
    # Beyond the mask's box everything is empty, and eroding there is wasted.
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    framed = np.pad(mask[box], 1)
    inner = cv2.erode(framed, np.ones((3, 3), np.uint8), iterations=pixels)
    band[box] = (framed - inner)[1:-1, 1:-1]
    return band


def band_ious(detections: Sequence[dict[str, Any]], ground_truth: Sequence[dict[str, Any]]) -> np.ndarray:
    """Boundary IoU of all pairs: run-length encodings of D and G masks of one image -> float64 (D, G)."""
    bands = [[_encoded_band(rle) for rle in rles] for rles in (detections, ground_truth)]
    return np.asarray(coco_mask.iou(*bands, [0] * len(ground_truth)))


def _encoded_band(rle: dict[str, Any]) -> dict[str, Any]:
    band = mask_band(coco_mask.decode(rle), band_width(*rle["size"]))
    return coco_mask.encode(np.asfortranarray(band))


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
        ground_truth, results, image_ids: see :func:`evaluate_instances`.
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
        results, image_ids: see :func:`evaluate_instances`.

    Returns:
        ``AP``, ``AP50``, ``AP75``, ``APs``, ``APm``, ``APl``, ``APr``, ``APc``, ``APf`` (rare, common and
        frequent categories), ``AR@300``, ``ARs@300``, ``ARm@300``, ``ARl@300``, and the AP of each category
        id; fractions, -1 where undefined.

    Raises:
        ValueError: the ground truth is not an LVIS file, or a result names an image or a category that it does
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


PROPOSAL_COUNTS = (100, 1000)


def evaluate_proposals(
    ground_truth: dict[str, Any],
    results: Sequence[dict[str, Any]],
    image_ids: Sequence[int] | None = None,
    max_proposals: Sequence[int] = PROPOSAL_COUNTS,
) -> dict[str, float]:
    """Average recall of class-agnostic mask proposals: COCO's AR with ``useCats = 0``.

    Recall at IoU 0.5, 0.55, ..., 0.95, averaged, with the best proposals of each image (Hosang et al., What makes for
    effective detection proposals?, PAMI 2016; COCO's evaluation). Crowd regions are neither found nor missed.

    Args:
        ground_truth, image_ids: see :func:`evaluate_instances`; categories are not looked at.
        results: ``image_id``, ``segmentation`` (RLE at the image's size) and ``score``; ties keep this order.
        max_proposals: numbers of proposals of an image to evaluate.

    Returns:
        ``AR@<n>`` for each number, and ``ARs@<n>``, ``ARm@<n>``, ``ARl@<n>`` (small, medium and large objects) for the
        largest; fractions, -1 where undefined.

    Raises:
        ValueError: a result names an image that the ground truth does not have.
    """
    agnostic = {
        **ground_truth,
        "annotations": [{**entry, "category_id": 1} for entry in ground_truth["annotations"]],
        "categories": [{"id": 1, "name": "object"}],
    }
    results = [{**entry, "category_id": 1} for entry in results]
    tables = average_precision_tables(agnostic, results, image_ids, max_proposals)
    values = summarize_ap(tables.precision, tables.recall, tables.iou_thresholds, tables.max_detections)
    return {name: value for name, value in values.items() if name.startswith("AR")}


def evaluate_tracks(
    ground_truth: dict[str, Any], results: Sequence[dict[str, Any]], video_ids: Sequence[int] | None = None
) -> tuple[dict[str, float], dict[int, float]]:
    """Mask AP of tracks.

    Args:
        ground_truth: content of a YouTube-VIS file (``videos``, ``annotations``, ``categories``).
        results: ``video_id``, ``category_id``, ``score`` and ``segmentations`` (per frame, a
            compressed RLE or None); ties keep this order. May be empty.
        video_ids: evaluate these videos only.

    Returns:
        The numbers of :func:`summarize_ap` and the AP of each category id; fractions, -1 where undefined.

    Raises:
        ValueError: a result names a video or a category that the ground truth does not have, or has another
            number of frames than its video.
    """
    check_tracks(ground_truth, results)
    # Imported here: mmdet.evaluation takes seconds, and nothing else in this package needs it.
    from mmdet.evaluation.functional import YTVIS, YTVISeval

    # The evaluator prints its progress.
    with contextlib.redirect_stdout(io.StringIO()):
        gt = YTVIS({**ground_truth, "annotations": _track_copies(ground_truth["annotations"])})
        evaluator = YTVISeval(gt, _load_results(YTVIS, gt, results), "segm")
        if video_ids is not None:
            evaluator.params.vidIds = sorted(video_ids)
        evaluator.evaluate()
        evaluator.accumulate()
    parameters, precision = evaluator.params, evaluator.eval["precision"]
    return (
        summarize_ap(precision, evaluator.eval["recall"], parameters.iouThrs, parameters.maxDets),
        ap_per_category(precision, [int(c) for c in parameters.catIds]),
    )


def _track_copies(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The evaluator adds fields (areas, bboxes, id) to the entries it is given, and replaces their masks."""
    return [{**entry, "segmentations": list(entry["segmentations"])} for entry in entries]


def _load_results(api: Any, gt: Any, results: Sequence[dict[str, Any]]) -> Any:
    if results:
        return gt.loadRes(_track_copies(results))
    # The API cannot load an empty list of results, yet no track at all is a valid answer.
    empty = api()
    empty.dataset = {**gt.dataset, "annotations": []}
    empty.createIndex()
    return empty


def check_tracks(ground_truth: dict[str, Any], results: Sequence[dict[str, Any]]) -> None:
    """Compare results with the videos and categories of a YouTube-VIS file, which needs no annotations.

    Raises:
        ValueError: see :func:`evaluate_tracks`.
    """
    lengths = {v["id"]: v.get("length", len(v.get("file_names", ()))) for v in ground_truth["videos"]}
    categories = {category["id"] for category in ground_truth["categories"]}
    for result in results:
        video, frames = result["video_id"], len(result["segmentations"])
        if video not in lengths:
            raise ValueError(f"results hold video_id {video}, which the ground truth does not have")
        if result["category_id"] not in categories:
            raise ValueError(
                f"results of video {video} hold category_id {result['category_id']}, which the ground truth "
                "does not have"
            )
        if frames != lengths[video]:
            raise ValueError(
                f"results of video {video} have {frames} frames, the ground truth {lengths[video]}"
            )


def track_results(
    video_id: int,
    category_ids: np.ndarray,
    scores: np.ndarray,
    segmentations: Sequence[Sequence[dict[str, Any] | None]],
) -> list[dict[str, Any]]:
    """Result entries of one video.

    Args:
        video_id: the id in the ground truth.
        category_ids, scores: (N,), one per track.
        segmentations: for each frame the N masks of the tracks (compressed RLE), None where absent.
    """
    by_track = zip(*segmentations, strict=True)
    return [
        {"video_id": video_id, "category_id": int(c), "score": float(s), "segmentations": list(masks)}
        for c, s, masks in zip(category_ids, scores, by_track, strict=True)
    ]
