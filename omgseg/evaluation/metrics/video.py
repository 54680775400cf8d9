"""Metrics of videos: panoptic quality, mask AP of tracks, J&F of given objects, and submissions to servers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from mmengine.logging import print_log

from omgseg.evaluation.functional.average_precision import check_tracks, evaluate_tracks, track_results
from omgseg.evaluation.functional.inputs import check_masks, load_annotations
from omgseg.evaluation.functional.panoptic import PanopticStat
from omgseg.evaluation.functional.video_panoptic import (
    WINDOWS,
    StqStat,
    VideoOverlap,
    stq_stat,
    summarize_stq,
    summarize_vpq,
)
from omgseg.evaluation.functional.vos import count_objects, frame_scores, summarize_davis
from omgseg.evaluation.metrics.base import SampleMetric, frames_of, percent, split_panoptic, to_numpy
from omgseg.evaluation.submission import MapSubmission, TrackSubmission
from omgseg.messages import placed
from omgseg.registry import METRICS
from omgseg.structures.label_png import VOID_CLASS, read_index_png, read_vipseg_panomask


@dataclass(frozen=True)
class VideoStats:
    """What remains of a video: counts by window length, and those of STQ."""

    vpq: dict[int, PanopticStat]
    stq: StqStat


@METRICS.register_module()
class VideoPanopticMetric(SampleMetric):
    """VPQ and STQ against VIPSeg's official masks; reads ``pred_panoptic_seg`` of every frame.

    Ground truth of each frame: the panoptic mask at ``seg_map_path``.

    Values: ``VPQ``, ``VPQ_th``, ``VPQ_st``, and ``VPQ_<k>`` for each window length. Lengths that fit into no
    video are left out of the means, with a warning. ``STQ``, ``AQ`` and ``IoU`` as VIPSeg's script has them.

    Args:
        windows: window lengths in frames.
        prefix, kwargs: see mmengine's BaseMetric.
    """

    default_prefix = "vipseg"
    NUM_WORKERS = 2

    def __init__(self, windows: Sequence[int] = WINDOWS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.windows = tuple(windows)

    def reduce(self, sample: dict[str, Any]) -> VideoStats:
        void, things = len(self.vocabulary), self.vocabulary.thing_mask.numpy()
        overlap = VideoOverlap(num_classes=void, void=void)
        for frame in frames_of(sample):
            path = self.field(frame, "seg_map_path")
            predicted = split_panoptic(self.label_map(frame, "pred_panoptic_seg"), void)
            overlap.add_frame(*self._ground_truth(path), *predicted, where=str(path))
        # The script's files list segments by category id, which are not in the order of the labels.
        ids = self.category_ids(np.arange(void))
        return VideoStats(overlap.stats(self.windows), stq_stat(overlap, things, class_ids=ids))

    def _ground_truth(self, path: str) -> tuple[np.ndarray, np.ndarray]:
        """Labels and instances (H, W) of a mask."""
        classes, instances = read_vipseg_panomask(path)
        num_classes = len(self.vocabulary)
        table = np.full(VOID_CLASS + 1, -1)
        table[VOID_CLASS] = num_classes
        for category_id, label in self.vocabulary.id_to_label.items():
            table[category_id] = label
        labels = table[classes]
        if (labels < 0).any():
            raise ValueError(
                f"{path}: category id {classes[labels < 0].flat[0]} is not in the data set's vocabulary"
            )
        # Some stuff regions carry an instance number; the official converter makes them one segment.
        return labels, np.where(labels < self.vocabulary.num_things, instances, 0)

    def summarize(self, results: dict[Any, VideoStats]) -> dict[str, float]:
        num_classes = len(self.vocabulary)
        total = {k: PanopticStat.zeros(num_classes) for k in self.windows}
        for video in results.values():
            total = {k: total[k] + video.vpq[k] for k in self.windows}
        values = summarize_vpq(total, self.vocabulary.thing_mask.numpy())
        empty = [k for k in self.windows if np.isnan(values[f"VPQ_{k}"])]
        if empty:
            print_log(
                f"VPQ: no segment in any window of {empty} frames (are all videos shorter?); the mean is "
                "over the other lengths",
                logger="current",
                level=logging.WARNING,
            )
        values = {name: value for name, value in values.items() if name not in {f"VPQ_{k}" for k in empty}}
        return percent(values | summarize_stq((video.stq for video in results.values()), num_classes))


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
        with placed(ann_file):
            self.sizes = {v["id"]: (v["height"], v["width"]) for v in self.ground_truth["videos"]}
            check_masks(self.ground_truth.get("annotations") or (), self.sizes, ann_file)

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
            with placed(self.ann_file):
                values = percent(evaluate_tracks(self.ground_truth, tracks, list(results))[0])
        if self.submission is not None:
            check_tracks(self.ground_truth, tracks)
            self.submission.write(tracks)
            values["videos"] = len(results)
        return values


@dataclass(frozen=True)
class SequenceScores:
    """What is kept of a video.

    Attributes:
        objects: J and F over the evaluated frames, float64 (T - 2,) each, one pair per object; None without
            ground truth.
        files: written for the submission.
    """

    objects: list[tuple[np.ndarray, np.ndarray]] | None
    files: list[str]


@METRICS.register_module()
class DavisMetric(SampleMetric):
    """J&F of DAVIS 2017, semi-supervised; reads ``pred_vos_seg`` (object ids) of every frame.

    Ground truth of each frame: the map of object ids at ``seg_map_path``. The first and the last frame are
    not evaluated; the objects are those of the first frame.

    Values: ``J&F``, ``J``, ``J_recall``, ``J_decay``, ``F``, ``F_recall``, ``F_decay``. With `submission`
    also ``videos``, the number of those written, and the other values only if all videos have ground truth.

    Args:
        submission: a zip file to write for the server: ``<sequence>/<frame>.png``, named after the images.
        kwargs: see :class:`SampleMetric`.
    """

    default_prefix = "davis"
    NUM_WORKERS = 2

    def __init__(self, submission: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.submission = None if submission is None else MapSubmission(submission)

    def reduce(self, sample: dict[str, Any]) -> SequenceScores:
        files = []
        if self.submission is not None:
            files = self.submission.add(str(sample["video_id"]), self.named_maps(sample, "pred_vos_seg"))
        frames = frames_of(sample)
        evaluated = [frames[0], *frames[1:-1]]
        annotated = sum("seg_map_path" in frame for frame in evaluated)
        if annotated == len(evaluated):
            return SequenceScores(self._scores(sample["video_id"], frames), files)
        if self.submission is None:
            raise ValueError(
                f"video {sample['video_id']!r}: {annotated} of {len(evaluated)} evaluated frames have "
                "ground truth (seg_map_path); for a split whose masks are not public, write what the server "
                "takes: DavisMetric(submission='results.zip')"
            )
        return SequenceScores(None, files)

    def _scores(self, video_id: str, frames: list[dict[str, Any]]) -> list[tuple[np.ndarray, np.ndarray]]:
        if len(frames) < 3:
            raise ValueError(
                f"video {video_id!r} has {len(frames)} frame(s); DAVIS leaves out the first "
                "and the last, so at least 3 are needed"
            )
        num_objects = count_objects(read_index_png(frames[0]["seg_map_path"]))
        scores = [
            frame_scores(
                read_index_png(frame["seg_map_path"]),
                self.label_map(frame, "pred_vos_seg"),
                num_objects,
                where=str(frame["seg_map_path"]),
            )
            for frame in frames[1:-1]
        ]
        j, f = (np.stack(values, axis=1) for values in zip(*scores, strict=True))
        return list(zip(j, f, strict=True))

    def summarize(self, results: dict[Any, SequenceScores]) -> dict[str, float]:
        values: dict[str, float] = {}
        if self.submission is not None:
            self.submission.pack([name for result in results.values() for name in result.files])
            values["videos"] = len(results)
            if any(result.objects is None for result in results.values()):
                return values
        objects = list(chain.from_iterable(result.objects for result in results.values()))
        if not objects:
            raise ValueError(
                f"none of the {len(results)} videos has an object in its first ground-truth frame"
            )
        return percent(summarize_davis(objects)) | values


@METRICS.register_module()
class YouTubeVOSMetric(SampleMetric):
    """Writes ``pred_vos_seg`` (object ids) of every frame as the YouTube-VOS server wants it.

    A zip with ``Annotations/<video>/<frame>.png`` for all frames of the data set, named after the images
    (https://competitions.codalab.org/competitions/20127, "Submission").

    Values: ``videos``, the number of those written; scores come from the server.

    Args:
        submission: the zip file.
        kwargs: see :class:`SampleMetric`.
    """

    default_prefix = "youtube_vos"
    NUM_WORKERS = 2

    def __init__(self, submission: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.submission = MapSubmission(submission, folder="Annotations")

    def reduce(self, sample: dict[str, Any]) -> list[str]:
        """Names of the files written."""
        return self.submission.add(str(sample["video_id"]), self.named_maps(sample, "pred_vos_seg"))

    def summarize(self, results: dict[Any, list[str]]) -> dict[str, float]:
        self.submission.pack([name for names in results.values() for name in names])
        return {"videos": len(results)}
