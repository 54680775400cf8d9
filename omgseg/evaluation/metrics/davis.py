"""J&F of video object segmentation."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np

from omgseg.evaluation.functional.davis import count_objects, frame_scores, summarize_davis
from omgseg.evaluation.metrics.base import SampleMetric, frames_of, percent
from omgseg.registry import METRICS
from omgseg.structures.png import read_index_png


@METRICS.register_module()
class DavisMetric(SampleMetric):
    """J&F of DAVIS 2017, semi-supervised; reads ``pred_vos_seg`` (object ids) of every frame.

    Ground truth of each frame: the map of object ids at ``seg_map_path``. The first and the last frame are
    not evaluated; the objects are those of the first frame.

    Values: ``J&F``, ``J``, ``J_recall``, ``J_decay``, ``F``, ``F_recall``, ``F_decay``.
    """

    default_prefix = "davis"

    def reduce(self, sample: dict[str, Any]) -> list[tuple[np.ndarray, np.ndarray]]:
        """J and F over the evaluated frames, one pair an object."""
        frames = frames_of(sample)
        if len(frames) < 3:
            raise ValueError(
                f"video {sample.get('video_id')!r} has {len(frames)} frame(s); DAVIS leaves out the first "
                "and the last, so at least 3 are needed"
            )
        num_objects = count_objects(self._ground_truth(frames[0]))
        scores = [
            frame_scores(
                self._ground_truth(frame),
                self.label_map(frame, "pred_vos_seg"),
                num_objects,
                where=str(frame["seg_map_path"]),
            )
            for frame in frames[1:-1]
        ]
        j, f = (np.stack(values, axis=1) for values in zip(*scores, strict=True))
        return list(zip(j, f, strict=True))

    def _ground_truth(self, frame: dict[str, Any]) -> np.ndarray:
        return read_index_png(self.field(frame, "seg_map_path"))

    def summarize(self, results: dict[Any, list[tuple[np.ndarray, np.ndarray]]]) -> dict[str, float]:
        objects = list(chain.from_iterable(results.values()))
        if not objects:
            raise ValueError(
                f"none of the {len(results)} videos has an object in its first ground-truth frame"
            )
        return percent(summarize_davis(objects))
