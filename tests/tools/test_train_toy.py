"""The joint toy training through tools/train.py: resuming, mixed precision, the scaled learning rate."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from omgseg.engine import read_checkpoint
from omgseg.engine.runner import Runner as OurRunner
from omgseg.registry import HOOKS

SOURCES = {"coco_panoptic", "coco_pseudo_clips", "coco_prompts", "vipseg", "youtube_vis_2019"}


@HOOKS.register_module(force=True)
class NoteSources(Hook):
    """Notes the source of each batch."""

    sources: list[str] = []

    def before_train(self, runner: Runner) -> None:
        self.sources.clear()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        self.sources.append(data_batch["data_samples"][0].source)


@pytest.mark.parametrize("workers", [0, 1])
def test_resumed_training_equals_uninterrupted_training(write_config, tmp_path, workers):
    lines = """
custom_hooks = [dict(type="NoteSources")]
train_cfg["max_iters"] = 6
default_hooks["checkpoint"]["interval"] = 3
"""
    config = Config.fromfile(write_config(lines))
    config.train_dataloader.num_workers = workers
    config.work_dir = str(tmp_path / "whole")
    OurRunner.from_cfg(config).train()
    order = list(NoteSources.sources)
    assert set(order) == SOURCES

    config.update(
        work_dir=str(tmp_path / "resumed"), experiment_name=f"resumed_training_{workers}", resume=True
    )
    config.load_from = str(tmp_path / "whole" / "iter_3.pth")
    OurRunner.from_cfg(config).train()
    assert NoteSources.sources == order[3:]

    start, whole, resumed = (
        read_checkpoint(tmp_path / name)["state_dict"]
        for name in ("whole/iter_3.pth", "whole/iter_6.pth", "resumed/iter_6.pth")
    )
    assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []
    assert not torch.equal(start["query_decoder.query_feat.weight"], whole["query_decoder.query_feat.weight"])


def test_mixed_precision_and_scaled_learning_rate(write_config, call_tool, tmp_path):
    arguments = ["--amp", "--auto-scale-lr", "--cfg-options", "train_cfg.max_iters=5", "param_scheduler=None"]
    call_tool("train.py", write_config(), *arguments)
    checkpoint = read_checkpoint(tmp_path / "work_dirs" / "small" / "iter_5.pth")
    losses = checkpoint["message_hub"]["log_scalars"]["train/loss"].data[0]
    assert len(losses) == 5 and all(math.isfinite(loss) and loss > 0 for loss in losses)
    assert checkpoint["optimizer"]["param_groups"][0]["lr"] == 1e-3 * 2 / 16
    assert all(value.dtype == torch.float32 for value in checkpoint["state_dict"].values())
    assert all(value.isfinite().all() for value in checkpoint["state_dict"].values())
