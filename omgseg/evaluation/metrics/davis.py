"""J&F of video object segmentation."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from omgseg.evaluation.functional.davis import count_objects, frame_scores, summarize_davis
from omgseg.evaluation.metrics.base import SampleMetric, frames_of, percent
from omgseg.evaluation.submission import MapSubmission
from omgseg.registry import METRICS
from omgseg.structures.png import read_index_png


@dataclass(frozen=True)
class VideoResult:
    """What is kept of a video.

    Attributes:
        objects: J and F over the evaluated frames, float64 (T - 2,) each, one pair an object; None without
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

    def reduce(self, sample: dict[str, Any]) -> VideoResult:
        files = []
        if self.submission is not None:
            files = self.submission.add(str(sample["video_id"]), self.named_maps(sample, "pred_vos_seg"))
        frames = frames_of(sample)
        evaluated = [frames[0], *frames[1:-1]]
        annotated = sum("seg_map_path" in frame for frame in evaluated)
        if annotated == len(evaluated):
            return VideoResult(self._scores(sample["video_id"], frames), files)
        if self.submission is None:
            raise ValueError(
                f"video {sample['video_id']!r}: {annotated} of {len(evaluated)} evaluated frames have "
                "ground truth (seg_map_path); for a split whose masks are not public, write what the server "
                "takes: DavisMetric(submission='results.zip')"
            )
        return VideoResult(None, files)

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

    def summarize(self, results: dict[Any, VideoResult]) -> dict[str, float]:
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
