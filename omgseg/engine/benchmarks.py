"""One benchmark after another, for one checkpoint."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner as MMEngineRunner

from omgseg.engine.checkpoint import CheckpointError
from omgseg.engine.config import ConfigError
from omgseg.engine.peak_memory import peak_bytes, reset_peak
from omgseg.engine.runner import MissingCheckpointError, Runner
from omgseg.messages import did_you_mean
from omgseg.models.losses import frames_of


@dataclass
class Outcome:
    """What came out of a benchmark.

    Attributes:
        name: of its config.
        metrics: all numbers by key; empty where it could not run.
        listed: keys of the numbers that the table shows -> the paper's figures by model.
        seconds_per_image: wall time over all processes, reading and scoring included; None where it could not run.
        peak_bytes: highest memory use of a process, see :func:`peak_bytes`.
        note: why it could not run, or what is wrong with its numbers.
        failed: something else is wrong than missing data.
    """

    name: str
    metrics: dict[str, float] = field(default_factory=dict)
    listed: dict[str, dict[str, float]] = field(default_factory=dict)
    seconds_per_image: float | None = None
    peak_bytes: int | None = None
    note: str = ""
    failed: bool = False


class _Stopwatch(Hook):
    """Counts images (frames) and the time from the first batch's request to the last batch's result."""

    priority = "LOWEST"

    def __init__(self) -> None:
        self.start = self.end = 0.0
        self.images = 0

    def before_test_epoch(self, runner: MMEngineRunner) -> None:
        self.start = self.end = time.perf_counter()

    def after_test_iter(
        self,
        runner: MMEngineRunner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        self.end = time.perf_counter()
        self.images += sum(len(frames_of(sample)) for sample in outputs or ())

    def seconds_per_image(self) -> float:
        seconds, images = torch.tensor(self.end - self.start), torch.tensor(float(self.images))
        all_reduce(seconds, "max")
        all_reduce(images, "sum")
        return float(seconds / images)


def run_benchmark(config: Config) -> Outcome:
    """Test a config's model on its data.

    Raises:
        FileNotFoundError: a file of the data is missing.
        MissingCheckpointError, CheckpointError, ConfigError: see ``Runner``.
    """
    return _run(Runner.from_cfg(config), config)


def try_benchmark(config: Config) -> Outcome:
    """As :func:`run_benchmark`, but an outcome says what is wrong with the data, so that other benchmarks can follow.

    Raises:
        MissingCheckpointError, CheckpointError, ConfigError: of the checkpoint or the config: no other benchmark would
            run either. So do files missing that the model is built from.
    """
    runner = Runner.from_cfg(config)
    try:
        return _run(runner, config)
    except (CheckpointError, ConfigError, MissingCheckpointError):
        raise
    except FileNotFoundError as error:
        return replace(_outcome_of(config), note=f"data missing: {error}")
    except Exception as error:
        if get_world_size() > 1:  # the other processes wait for this one
            raise
        traceback.print_exc()
        return replace(_outcome_of(config), note=f"failed: {type(error).__name__}: {error}", failed=True)


def _run(runner: Runner, config: Config) -> Outcome:
    outcome = _outcome_of(config)
    reset_peak()
    watch = _Stopwatch()
    runner.register_hook(watch)
    metrics = runner.test()
    outcome.metrics = {key: float(value) for key, value in metrics.items()}
    outcome.seconds_per_image = watch.seconds_per_image()
    peak = torch.tensor(float(peak_bytes()))
    all_reduce(peak, "max")
    outcome.peak_bytes = int(peak)
    _check_listed(outcome)
    return outcome


def _check_listed(outcome: Outcome) -> None:
    """Note which numbers the config lists and the test did not give. The test's own numbers, maybe of hours, stay."""
    absent = [key for key in outcome.listed if key not in outcome.metrics]
    if absent:
        outcome.note = "; ".join(
            f"no metric gives {key!r}, which the config lists under 'benchmark'"
            f"{did_you_mean(key, outcome.metrics)}"
            for key in absent
        )
        # a submission to a server has no numbers, a misspelt name has one nearby
        outcome.failed = any(did_you_mean(key, outcome.metrics) for key in absent)


def _outcome_of(config: Config) -> Outcome:
    figures = config.get("benchmark", {})
    return Outcome(Path(config.filename).stem, listed={key: dict(own or {}) for key, own in figures.items()})
