"""Writes pictures of what a test, or a validation during training, predicts."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.transforms import LoadFrames, LoadSegments
from omgseg.engine.unwrap import unwrap
from omgseg.files import safe_name
from omgseg.registry import HOOKS
from omgseg.visualization import GroundTruth, contact_sheet, draw_sample, write_sample


@HOOKS.register_module()
class PicturesHook(Hook):
    """Draws samples: input, ground truth (where the dataset has it) and prediction.

    Of a test, files ``folder/<source>/<task>/<image or video>.png``, and ``.gif`` for videos. Without a folder, of the
    validations during a training run, pictures named ``val_<source>_<task>_<image or video>`` for the visualizer's
    backends (files, TensorBoard, W&B: whichever the config names), at the run's iteration: the same samples every time,
    so that they can be compared. Datasets of other packages are not drawn.

    Args:
        folder: where the pictures of a test go; created if missing.
        max_samples: how many samples are drawn; None is all.
        palette: "default" or "colorblind".
    """

    def __init__(
        self, folder: str | Path | None = None, max_samples: int | None = None, palette: str = "default"
    ) -> None:
        self.folder = None if folder is None else Path(folder)
        self.max_samples = max_samples
        self.palette = palette
        self._dataset: Any = None
        self._view: Any = None
        self._index: dict[str, int] = {}
        self._drawn = 0

    def before_test(self, runner: Runner) -> None:
        if self.folder is not None:
            self._look_at(runner.test_dataloader.dataset)

    def before_val(self, runner: Runner) -> None:
        if self.folder is None:
            self._look_at(runner.val_dataloader.dataset)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Mapping[str, Any] | None = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        if self.folder is None:
            return
        for source, name, drawn in self._draw(runner, outputs):
            write_sample(drawn, self.folder / safe_name(source), name)

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Mapping[str, Any] | None = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        if self.folder is not None or not is_main_process():  # backends take pictures of one process only
            return
        for source, name, drawn in self._draw(runner, outputs):
            for task, pictures in drawn.items():
                sheet = contact_sheet(pictures, columns=1)
                runner.visualizer.add_image(f"val_{source}_{task}_{name}", sheet, step=runner.iter)

    def _look_at(self, dataset: Any) -> None:
        self._drawn = 0
        if self._dataset is dataset:
            return
        self._dataset, self._view = dataset, None
        if not isinstance(dataset, SegmentationDataset):  # one of another package: who knows what it shows
            return
        self._view = copy.copy(dataset)
        self._view.pipeline = LoadFrames()  # images as stored, without the model's resizing
        infos = (self._view.get_data_info(index) for index in range(len(self._view)))
        self._index = {info["frames"][0]["img_path"]: index for index, info in enumerate(infos)}

    def _draw(
        self, runner: Runner, samples: Sequence[Any] | None
    ) -> Iterator[tuple[str, str, dict[str, list]]]:
        """Source, name and pictures of the samples, until there are enough."""
        for sample in samples or ():
            if self._view is None or self._drawn == self.max_samples:
                return
            self._drawn += 1
            first = (getattr(sample, "video_data_samples", None) or [sample])[0]
            stored = self._view.prepare_data(self._index[first.img_path])
            vocabulary = getattr(unwrap(runner.model), "vocabulary", None) or self._view.vocabulary
            drawn = draw_sample(sample, stored["imgs"], vocabulary, _truth_of(stored), palette=self.palette)
            yield first.source, str(getattr(sample, "video_id", Path(first.img_path).stem)), drawn


def _truth_of(stored: dict[str, Any]) -> GroundTruth | None:
    if not all("seg_map_path" in frame or "instances" in frame for frame in stored["frames"]):
        return None
    stored = LoadSegments()(stored)
    return GroundTruth(stored["gt_masks"].astype(bool), stored["gt_labels"])
