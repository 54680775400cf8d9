"""Draws the course of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image

from omgseg.files import whole_file
from omgseg.registry import HOOKS
from omgseg.visualization.curves import draw_curves

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
