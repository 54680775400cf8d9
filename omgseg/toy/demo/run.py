"""The stages of the demo."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook

from omgseg.engine import Runner
from omgseg.registry import HOOKS
from omgseg.toy.clip import train_toy_clip
from omgseg.toy.demo.report import EVALUATIONS, Evaluation, shortfalls, write_overview, write_report
from omgseg.toy.generate import TINY, generate
from omgseg.toy.proof import prepared, say


@HOOKS.register_module()
class ProgressHook(Hook):
    """Prints iteration, loss and remaining time.

    Args:
        interval: iterations between two lines.
    """

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval
        self._start = 0.0

    def before_train(self, runner: Runner) -> None:
        self._start = time.perf_counter()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        done, total = runner.iter + 1, runner.max_iters
        if done % self.interval and done != total:
            return
        seconds = (time.perf_counter() - self._start) / done
        remaining = time.strftime("%M:%S", time.gmtime(seconds * (total - done)))
        loss = runner.message_hub.get_scalar("train/loss").mean(self.interval)
        print(
            f"  iteration {done}/{total}  loss {loss:.2f}  {seconds:.2f} s per iteration  {remaining} left",
            flush=True,
        )


CONFIGS = Path(__file__).parents[3] / "configs" / "toy"
PICTURES = 4
"""Samples that are drawn for each evaluation."""
QUICK_ITERATIONS = 3


def run_demo(folder: str | Path, seed: int = 0, quick: bool = False) -> dict[str, Any]:
    """Make the toy data and the toy CLIP, train the segmentor, evaluate its checkpoint on every task.

    Args:
        folder: gets ``data/``, ``clip.safetensors``, ``train/``, ``pictures/``, ``overview.png``, ``metrics.json`` and
            ``report.md``.
        seed: of data, weights and batches.
        quick: hardly any data and steps: every stage runs, nothing is learned.

    Returns:
        What ``metrics.json`` holds.
    """
    folder = Path(folder)
    os.environ["OMGSEG_TOY"] = str(folder.resolve())  # where configs/toy looks, and its runs, from any folder
    seconds: dict[str, float] = {}

    with _stage("make the toy world", seconds):
        generate(folder / "data", seed, TINY if quick else None, report=_say)
    with _stage("train the toy CLIP", seconds):
        size = {"steps": 2, "num_pictures": 8} if quick else {}
        train_toy_clip(folder / "clip.safetensors", seed, report=_say, **size)
    with _stage("train jointly", seconds):
        checkpoint = _train(folder / "train", seed, QUICK_ITERATIONS if quick else None)

    metrics: dict[str, Any] = {}
    shutil.rmtree(folder / "pictures", ignore_errors=True)
    for evaluation in EVALUATIONS:
        with _stage(f"evaluate {evaluation.config}", seconds):
            values = _evaluate(evaluation, checkpoint, folder)
            for metric in evaluation.metrics:
                metrics[metric.key] = float(values[metric.source or metric.key])
                _say(f"{metric.key} {metrics[metric.key]:.1f}")
    metrics.update({"train/seconds": seconds["train jointly"], "checkpoint": str(checkpoint), "seed": seed})
    metrics.update({f"seconds/{stage}": value for stage, value in seconds.items()})
    write_overview(folder)
    write_report(folder, metrics, seconds)
    for line in shortfalls(metrics):
        _say(f"below the requirement: {line}")
    print(f"{folder / 'report.md'}: {sum(seconds.values()) / 60:.1f} minutes", flush=True)
    return metrics


def _train(work_dir: Path, seed: int, iterations: int | None) -> Path:
    config = _load("joint", work_dir)
    config.randomness.seed = seed
    config.custom_hooks.append(dict(type=ProgressHook.__name__))
    if iterations is not None:
        config.train_cfg.max_iters = config.default_hooks.checkpoint.interval = iterations
    shutil.rmtree(work_dir, ignore_errors=True)
    runner = Runner.from_cfg(config)
    runner.train()
    return work_dir / f"iter_{config.train_cfg.max_iters}.pth"


def _evaluate(evaluation: Evaluation, checkpoint: Path, folder: Path) -> dict[str, float]:
    config = _load(evaluation.config, folder / "test")
    config.load_from = str(checkpoint)
    pictures = str(folder / "pictures" / evaluation.config)
    config.custom_hooks.append(dict(type="PicturesHook", folder=pictures, max_samples=PICTURES))
    return Runner.from_cfg(config).test()


def _load(name: str, work_dir: Path) -> Config:
    return prepared(Config.fromfile(CONFIGS / f"{name}.py"), work_dir)


@contextmanager
def _stage(name: str, seconds: dict[str, float]) -> Iterator[None]:
    print(f"== {name}", flush=True)
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start
    _say(f"{seconds[name]:.0f} s")


def _say(line: str) -> None:
    say(f"  {line}")
