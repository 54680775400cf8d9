"""Video panoptic quality."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.logging import print_log

from omgseg.evaluation.functional.panoptic import PanopticStat
from omgseg.evaluation.functional.vpq import WINDOWS, VideoOverlap, summarize_vpq
from omgseg.evaluation.metrics.base import SampleMetric, frames_of, percent, split_panoptic
from omgseg.registry import METRICS
from omgseg.structures.vipseg_png import VOID_CLASS, read_vipseg_panomask


@METRICS.register_module()
class VideoPanopticMetric(SampleMetric):
    """VPQ against VIPSeg's official masks; reads ``pred_panoptic_seg`` of every frame.

    Ground truth of each frame: the panoptic mask at ``seg_map_path``.

    Values: ``VPQ``, ``VPQ_th``, ``VPQ_st``, and ``VPQ_<k>`` for each window length. Lengths that fit into no
    video are left out of the means, with a warning.

    Args:
        windows: window lengths in frames.
        prefix, kwargs: see mmengine's BaseMetric.
    """

    default_prefix = "vipseg"

    def __init__(self, windows: Sequence[int] = WINDOWS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.windows = tuple(windows)

    def reduce(self, sample: dict[str, Any]) -> dict[int, PanopticStat]:
        void = len(self.vocabulary)
        overlap = VideoOverlap(num_classes=void, void=void)
        for frame in frames_of(sample):
            path = self.field(frame, "seg_map_path")
            predicted = split_panoptic(self.label_map(frame, "pred_panoptic_seg"), void)
            overlap.add_frame(*self._ground_truth(path), *predicted, where=str(path))
        return overlap.stats(self.windows)

    def _ground_truth(self, path: str) -> tuple[np.ndarray, np.ndarray]:
        classes, instances = read_vipseg_panomask(path)
        table = np.full(VOID_CLASS + 1, -1)
        table[VOID_CLASS] = len(self.vocabulary)
        for category_id, label in self.vocabulary.id_to_label.items():
            table[category_id] = label
        labels = table[classes]
        if (labels < 0).any():
            raise ValueError(
                f"{path}: category id {classes[labels < 0].flat[0]} is not in the data set's vocabulary"
            )
        return labels, instances

    def summarize(self, results: dict[Any, dict[int, PanopticStat]]) -> dict[str, float]:
        total = {k: PanopticStat.zeros(len(self.vocabulary)) for k in self.windows}
        for stats in results.values():
            total = {k: total[k] + stats[k] for k in self.windows}
        values = summarize_vpq(total, self.vocabulary.thing_mask.numpy())
        empty = [k for k in self.windows if np.isnan(values[f"VPQ_{k}"])]
        if empty:
            print_log(
                f"VPQ: no segment in any window of {empty} frames (are all videos shorter?); the mean is "
                "over the other lengths",
                logger="current",
                level=logging.WARNING,
            )
        return percent(
            {name: value for name, value in values.items() if name not in {f"VPQ_{k}" for k in empty}}
        )
