"""Mask AP of tracks, computed by the YouTube-VIS evaluation code that mmdet carries."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from omgseg.evaluation.functional.average_precision import ap_per_category, summarize_ap


def evaluate_tracks(
    ground_truth: dict[str, Any], results: Sequence[dict[str, Any]], video_ids: Sequence[int] | None = None
) -> tuple[dict[str, float], dict[int, float]]:
    """Mask AP of tracks.

    Args:
        ground_truth: content of a YouTube-VIS file (``videos``, ``annotations``, ``categories``).
        results: ``video_id``, ``category_id``, ``score`` and ``segmentations`` (compressed RLE or None a
            frame); ties keep this order. May be empty.
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
        gt = YTVIS({**ground_truth, "annotations": _copies(ground_truth["annotations"])})
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


def _copies(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The evaluator adds fields (areas, bboxes, id) to the entries it is given, and replaces their masks."""
    return [{**entry, "segmentations": list(entry["segmentations"])} for entry in entries]


def _load_results(api: Any, gt: Any, results: Sequence[dict[str, Any]]) -> Any:
    if results:
        return gt.loadRes(_copies(results))
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
        category_ids, scores: (N,), one a track.
        segmentations: for each frame the N masks of the tracks (compressed RLE), None where absent.
    """
    by_track = zip(*segmentations, strict=True)
    return [
        {"video_id": video_id, "category_id": int(c), "score": float(s), "segmentations": list(masks)}
        for c, s, masks in zip(category_ids, scores, by_track, strict=True)
    ]
