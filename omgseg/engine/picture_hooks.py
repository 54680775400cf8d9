"""Hooks that write what a run does: pictures of samples, curves of training, predictions for scoring."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import barrier, is_main_process, master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image

from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.transforms import LoadFrames, LoadSegments
from omgseg.engine.hooks import vocabulary_of
from omgseg.engine.runner import unwrap
from omgseg.evaluation.dump import Manifest
from omgseg.evaluation.dump import write_sample as dump_sample
from omgseg.files import safe_name, whole_file
from omgseg.registry import HOOKS
from omgseg.visualization import GroundTruth, contact_sheet, draw_sample, write_sample
from omgseg.visualization.curves import draw_curves


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
        if not isinstance(
            dataset, SegmentationDataset
        ):  # one of another package: its samples may be anything
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


_MOST_METRICS = 8  # lines in a panel that can be told apart
_LOSS, _PARTS = "loss", "parts of the loss, last layer"


@HOOKS.register_module()
class CurvesHook(Hook):
    """Writes ``curves.png`` into the run's folder when training ends, and gives it to the visualizer's backends.

    Shows the loss, its parts in the last layer, the learning rate, and what validations measured. The values are those
    of mmengine's message hub, which checkpoints contain: a resumed run shows its whole history. Where a checkpoint was
    loaded without it, the curves begin where the history does.
    """

    priority = "LOW"  # the values of the last iteration and validation are there

    @master_only
    def after_train(self, runner: Runner) -> None:
        history = {name: buffer.data[0] for name, buffer in runner.message_hub.log_scalars.items()}
        count = len(history.get("train/loss", ()))
        if not count:
            return
        picture = draw_curves(_panels(history), runner.iter, count, noisy=(_LOSS, _PARTS))
        with whole_file(Path(runner.work_dir) / "curves.png") as temporary:
            Image.fromarray(picture).save(temporary, format="PNG")
        runner.visualizer.add_image("curves", picture, step=runner.iter)


def _panels(history: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    parts = {
        name.removeprefix("train/loss_"): values
        for name, values in history.items()
        if name.startswith("train/loss_")
    }
    measured = {
        name.removeprefix("val/"): values
        for name, values in history.items()
        if name.startswith("val/")
        and not name.endswith("time")  # mmengine's timer counts batches, not validations
    }
    return {
        _LOSS: {"loss": history["train/loss"]},
        _PARTS: parts,
        "learning rate": {"lr": history.get("train/lr", np.zeros(0))},
        "validation": dict(list(measured.items())[:_MOST_METRICS]),
    }


@HOOKS.register_module()
class DumpHook(Hook):
    """Writes every test sample into a folder, see :mod:`omgseg.evaluation.dump`; ``tools/score.py`` reads it.

    Each process writes its own samples, one file per sample; a sample that pads the data set to the number of processes
    is written twice, as the same file.

    Args:
        folder: created if missing; it must not hold predictions yet.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def before_test(self, runner: Runner) -> None:
        """Write the manifest.

        Raises:
            FileExistsError: the folder holds predictions already.
        """
        if is_main_process():
            dataset = runner.test_dataloader.dataset
            metainfo = getattr(dataset, "metainfo", {})
            Manifest(
                config=str(runner.cfg.filename or ""),
                checkpoint=str(runner.cfg.get("load_from") or runner.cfg.model.get("segmenter", "")),
                vocabulary=vocabulary_of(dataset).to_dict(),
                samples=sample_ids(dataset),
                data_prefix={name: str(path) for name, path in getattr(dataset, "data_prefix", {}).items()},
                tasks=list(metainfo.get("tasks", ())),
                source=metainfo.get("source", ""),
            ).write(self.folder)
        barrier()

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Mapping[str, Any] | None = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        for sample in outputs or ():
            dump_sample(self.folder, sample.to_dict())


def sample_ids(dataset: Any) -> list[int | str]:
    """Image or video ids of a data set of ours, in its order."""
    entries = (dataset.get_data_info(index) for index in range(len(dataset)))
    return [entry["video_id"] if entry["is_video"] else entry["frames"][0]["img_id"] for entry in entries]
