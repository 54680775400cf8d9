"""Semantic segmentation of videos: mIoU and consistency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from omgseg.evaluation.functional.semantic import (
    confusion_matrix,
    sparse_counts,
    summarize_videos,
)
from omgseg.evaluation.functional.video_consistency import (
    CLIP_LENGTHS,
    VideoConsistency,
    summarize_consistency,
)
from omgseg.evaluation.metrics.base import SampleMetric, frames_of, percent
from omgseg.evaluation.metrics.semantic_truth import IGNORE, SemanticTruth
from omgseg.registry import METRICS


@dataclass(frozen=True)
class VideoCounts:
    """What remains of a video.

    Attributes:
        confusion: its confusion matrix, without the zeros.
        clips: consistency of each clip, by clip length.
    """

    confusion: tuple[np.ndarray, np.ndarray]
    clips: dict[int, list[float]]


@METRICS.register_module()
class VideoSemanticMetric(SampleMetric):
    """mIoU and video consistency against VSPW's masks; reads ``pred_sem_seg`` of every frame.

    Ground truth of each frame: VSPW's official mask at ``seg_map_path``.

    Values: ``mIoU`` over the classes that occur in the ground truth (VSPW's convention), ``video_mIoU``, the
    mean of the videos' mIoU, ``Acc``, ``Acc_class`` and ``fwIoU``, and ``VC<n>`` for each clip length (NaN
    where no video is longer).

    Args:
        clip_lengths: clip lengths in frames.
        prefix, kwargs: see mmengine's BaseMetric.

    Raises:
        ValueError: a clip length is below 1.
    """

    default_prefix = "vspw"
    NUM_WORKERS = 2

    def __init__(self, clip_lengths: Sequence[int] = CLIP_LENGTHS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.clip_lengths = tuple(clip_lengths)
        VideoConsistency(self.clip_lengths)  # raises now, not after the first video
        self.truth = SemanticTruth("vspw")

    def reduce(self, sample: dict[str, Any]) -> VideoCounts:
        num_classes = len(self.vocabulary)
        confusion = np.zeros((num_classes, num_classes), dtype=np.int64)
        consistency = VideoConsistency(self.clip_lengths)
        for frame in frames_of(sample):
            path = str(self.field(frame, "seg_map_path"))
            truth = self.truth.labels(path, self.vocabulary)
            predicted = self.label_map(frame, "pred_sem_seg")
            confusion += confusion_matrix(truth, predicted, num_classes, ignore_index=IGNORE, where=path)
            consistency.add_frame(truth, predicted, where=path)
        return VideoCounts(sparse_counts(confusion), consistency.clips)

    def summarize(self, results: dict[Any, VideoCounts]) -> dict[str, float]:
        return percent(
            {
                **summarize_videos([video.confusion for video in results.values()], len(self.vocabulary)),
                **summarize_consistency(video.clips for video in results.values()),
            }
        )
