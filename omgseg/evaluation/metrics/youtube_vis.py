"""Mask AP of tracks."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np

from omgseg.evaluation.functional.json_file import load_annotations
from omgseg.evaluation.functional.youtube_vis import check_tracks, evaluate_tracks, track_results
from omgseg.evaluation.metrics.base import SampleMetric, frames_of, percent, to_numpy
from omgseg.evaluation.submission import TrackSubmission
from omgseg.registry import METRICS


@METRICS.register_module()
class YouTubeVISMetric(SampleMetric):
    """Mask AP of tracks against a YouTube-VIS file; reads ``pred_track_instances`` of every frame.

    The rows of ``pred_track_instances`` (labels, scores, instances_id, masks as RLE) are the tracks, in the
    same order in every frame. A track's score is the mean, its label the most frequent one over the frames.

    Values: the twelve COCO numbers, -1 where undefined, if the file has annotations. The classes are those of
    the annotation file, the videos those that were predicted. With `submission` also ``videos``, the number of
    those written.

    Args:
        ann_file: YouTube-VIS JSON (also of OVIS).
        submission: a zip file to write for the server: ``results.json`` with all tracks.
        kwargs: see :class:`SampleMetric`.

    Raises:
        FileNotFoundError, ValueError: the file is missing or of another kind, or has no annotations and no
            submission is asked for.
    """

    default_prefix = "youtube_vis"

    def __init__(self, ann_file: str, submission: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ann_file = ann_file
        self.submission = None if submission is None else TrackSubmission(submission)
        self.ground_truth = load_annotations(ann_file, ("videos", "categories"))
        # valid and test files have null, an empty list, or no such field
        self.has_truth = bool(self.ground_truth.get("annotations"))
        if not self.has_truth and self.submission is None:
            raise ValueError(
                f"{ann_file} has no annotations: those of this split are not public, and AP cannot be computed "
                f"here; write what the server takes with {type(self).__name__}(submission='results.zip')"
            )
        self.sizes = {v["id"]: (v["height"], v["width"]) for v in self.ground_truth["videos"]}

    def reduce(self, sample: dict[str, Any]) -> list[dict[str, Any]]:
        video_id = self.field(sample, "video_id")
        if video_id not in self.sizes:
            raise ValueError(
                f"{self.ann_file}: field 'videos' has no entry with id {video_id!r}; dataset and metric must "
                "use the same annotation file"
            )
        tracks = [self.field(frame, "pred_track_instances") for frame in frames_of(sample)]
        ids, labels, scores = (
            [to_numpy(frame[name]) for frame in tracks] for name in ("instances_id", "labels", "scores")
        )
        if any(not np.array_equal(frame, ids[0]) for frame in ids):
            raise ValueError(
                f"video {video_id}: the rows of pred_track_instances must be the same tracks in every frame"
            )
        masks = [frame["masks"] for frame in tracks]
        self._check_sizes(video_id, masks)
        label = [np.bincount(row).argmax() for row in np.stack(labels, axis=1)] if len(ids[0]) else []
        return track_results(
            video_id,
            self.category_ids(np.array(label, dtype=np.int64)),
            np.stack(scores).astype(np.float64).mean(axis=0),
            masks,
        )

    def _check_sizes(self, video_id: Any, masks: list[list[dict[str, Any] | None]]) -> None:
        for mask in chain.from_iterable(masks):
            if mask is not None and tuple(mask["size"]) != self.sizes[video_id]:
                raise ValueError(
                    f"video {video_id}: predicted masks have size {tuple(mask['size'])}, {self.ann_file} "
                    f"says {self.sizes[video_id]}; "
                    "predictions must be resized to the original frame (ori_shape)"
                )

    def summarize(self, results: dict[Any, list[dict[str, Any]]]) -> dict[str, float]:
        tracks = list(chain.from_iterable(results.values()))
        values: dict[str, float] = {}
        if self.has_truth:
            values = percent(evaluate_tracks(self.ground_truth, tracks, list(results))[0])
        if self.submission is not None:
            check_tracks(self.ground_truth, tracks)
            self.submission.write(tracks)
            values["videos"] = len(results)
        return values
