"""Video panoptic quality, and segmentation and tracking quality."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.logging import print_log

from omgseg.evaluation.functional.panoptic import PanopticStat
from omgseg.evaluation.functional.stq import StqStat, stq_stat, summarize_stq
from omgseg.evaluation.functional.vpq import WINDOWS, VideoOverlap, summarize_vpq
from omgseg.evaluation.metrics.base import SampleMetric, frames_of, percent, split_panoptic
from omgseg.registry import METRICS
from omgseg.structures.vipseg_png import VOID_CLASS, read_vipseg_panomask


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
