"""Writes what a test predicts, for scoring without the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import barrier, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from omgseg.engine.vocabulary_hook import vocabulary_of
from omgseg.evaluation.dump import Manifest, write_sample
from omgseg.registry import HOOKS


@HOOKS.register_module()
class DumpHook(Hook):
    """Writes every test sample into a folder, see :mod:`omgseg.evaluation.dump`; ``tools/score.py`` reads it.

    Each process writes its own samples, one file a sample; a sample that pads the data set to the number of processes
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
                checkpoint=str(runner.cfg.get("load_from") or ""),
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
            write_sample(self.folder, sample.to_dict())


def sample_ids(dataset: Any) -> list[int | str]:
    """Image or video ids of a data set of ours, in its order."""
    entries = (dataset.get_data_info(index) for index in range(len(dataset)))
    return [entry["video_id"] if entry["is_video"] else entry["frames"][0]["img_id"] for entry in entries]
