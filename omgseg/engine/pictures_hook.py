"""Writes pictures of what a test predicts."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from omgseg.datasets.transforms import LoadFrames, LoadSegments
from omgseg.engine.unwrap import unwrap
from omgseg.registry import HOOKS
from omgseg.visualization import GroundTruth, draw_sample, write_sample


@HOOKS.register_module()
class PicturesHook(Hook):
    """Draws every test sample: input, ground truth (where the dataset has it) and prediction.

    Files are ``folder/<source>/<task>/<image or video>.png``, and ``.gif`` for videos.

    Args:
        folder: where the pictures go; created if missing.
        max_samples: how many samples are drawn; None is all.
    """

    def __init__(self, folder: str | Path, max_samples: int | None = None) -> None:
        self.folder = Path(folder)
        self.max_samples = max_samples
        self._view: Any = None
        self._index: dict[str, int] = {}
        self._drawn = 0

    def before_test(self, runner: Runner) -> None:
        self._view = copy.copy(runner.test_dataloader.dataset)
        self._view.pipeline = LoadFrames()  # images as stored, without the model's resizing
        infos = (self._view.get_data_info(index) for index in range(len(self._view)))
        self._drawn = 0
        self._index = {info["frames"][0]["img_path"]: index for index, info in enumerate(infos)}

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Mapping[str, Any] | None = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        for sample in outputs or ():
            if self._drawn == self.max_samples:
                return
            self._drawn += 1
            first = (getattr(sample, "video_data_samples", None) or [sample])[0]
            stored = self._view.prepare_data(self._index[first.img_path])
            vocabulary = unwrap(runner.model).vocabulary
            drawn = draw_sample(sample, stored["imgs"], vocabulary, _truth_of(stored))
            name = str(getattr(sample, "video_id", Path(first.img_path).stem))
            write_sample(drawn, self.folder / first.source, name)


def _truth_of(stored: dict[str, Any]) -> GroundTruth | None:
    if not all("seg_map_path" in frame or "instances" in frame for frame in stored["frames"]):
        return None
    stored = LoadSegments()(stored)
    return GroundTruth(stored["gt_masks"].astype(bool), stored["gt_labels"])
