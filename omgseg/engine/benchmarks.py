"""Accuracy benchmarks, one after another, for one checkpoint, and their outcomes as one table."""

from __future__ import annotations

import contextlib
import json
import math
import re
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner as MMEngineRunner

from omgseg.engine.config import ConfigError, UnsupportedBenchmark
from omgseg.engine.runner import MissingCheckpointError, Runner, unwrap
from omgseg.engine.seam_model import SeamModel
from omgseg.files import whole_file
from omgseg.messages import did_you_mean
from omgseg.models.checkpoints.loading import CheckpointError
from omgseg.tables import markdown_table

_PROCESS = Path("/proc/self")


def reset_peak() -> None:
    """Start to measure the peak of memory from what is in use now."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    # not Linux, or not allowed: the peak is then that of the whole process
    with contextlib.suppress(OSError):
        (_PROCESS / "clear_refs").write_text("5")


def peak_bytes() -> int:
    """The most bytes in use since :func:`reset_peak`: of GPU memory where there is a GPU, else of this process's RAM.

    0 where the system does not tell.
    """
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return process_bytes("VmHWM")


def process_bytes(entry: str) -> int:
    """Bytes of this process's RAM: ``"VmRSS"``, what is resident now, or ``"VmHWM"``, the most that ever was.

    0 where the system does not tell.
    """
    try:
        status = (_PROCESS / "status").read_text()
    except OSError:
        return 0
    found = re.search(rf"^{entry}:\s+(\d+) kB$", status, re.MULTILINE)
    return 1024 * int(found.group(1)) if found else 0


@dataclass
class Outcome:
    """The result of a benchmark.

    Attributes:
        name: of its config.
        metrics: all numbers by key; empty where it could not run.
        listed: keys of the numbers that the table shows -> the paper's figures by model.
        seconds_per_image: wall time over all processes, reading and scoring included; None where it could not run.
        peak_bytes: the highest of all processes, see :func:`peak_bytes`.
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
        self.images += sum(len(getattr(one, "video_data_samples", (one,))) for one in outputs or ())

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
    """As :func:`run_benchmark`, but an outcome says what is wrong with the data, or what the model cannot do, so that
    other benchmarks can follow.

    Raises:
        MissingCheckpointError, CheckpointError, ConfigError: of the checkpoint or the config: no other benchmark would
            run either. So do files missing that the model is built from.
    """
    runner = Runner.from_cfg(config)
    try:
        return _run(runner, config)
    except UnsupportedBenchmark as error:  # in all processes alike
        return replace(_outcome_of(config), note=str(error))
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
    model = unwrap(runner.model)
    if isinstance(model, SeamModel):
        outcome.note = "; ".join(note for note in (model.report, outcome.note) if note)
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
    return Outcome(
        Path(config.filename).stem, listed={key: dict(paper or {}) for key, paper in figures.items()}
    )


PAPER = {
    "convnext_l": "paper, ConvNeXt-L",
    "convnext_xxl": "paper, XXL",
    "sam": "paper, SAM-H",
    "mobile_sam": "MobileSAM",
    "efficient_sam_ti": "EfficientSAM-Ti",
    "edge_sam": "EdgeSAM",
    "ov_sam": "OV-SAM",
    "rap_sam_r50": "RAP-SAM R50",
}
"""Keys of the figures in ``Outcome.listed``, and the columns they make. Models without a figure have no column."""


def table(outcomes: Sequence[Outcome]) -> str:
    """A Markdown table that reads well as plain text: a row for each listed number, what is wrong below it.

    A benchmark that lists none shows all of its numbers.
    """
    given = {name for outcome in outcomes for figures in outcome.listed.values() for name in figures}
    models = [name for name in PAPER if name in given]
    header = ("benchmark", "metric", "ours", *(PAPER[name] for name in models), "s / image", "peak GB")
    rows = [row for outcome in outcomes for row in _rows(outcome, models)]
    text = markdown_table(header, rows, right=range(2, len(header)))
    for heading, ran in (("Not run:", False), ("To be checked:", True)):
        notes = [f"- {one.name}: {one.note}" for one in outcomes if one.note and bool(one.metrics) is ran]
        if notes:
            text += "\n".join(["", "", heading, "", *notes])
    return text + "\n"


def _rows(outcome: Outcome, models: Sequence[str]) -> list[tuple[str, ...]]:
    speed = "" if outcome.seconds_per_image is None else f"{outcome.seconds_per_image:.3g}"
    memory = "" if not outcome.peak_bytes else f"{outcome.peak_bytes / 1e9:.2f}"
    rows = []
    for key in outcome.listed or outcome.metrics:
        figures = outcome.listed.get(key, {})
        ours = f"{outcome.metrics[key]:.1f}" if key in outcome.metrics else "-"
        paper = [f"{figures[name]:.1f}" if name in figures else "" for name in models]
        rows.append(
            ("", key, ours, *paper, "", "") if rows else (outcome.name, key, ours, *paper, speed, memory)
        )
    return rows


def json_text(content: Any) -> str:
    """JSON that every reader takes: numbers that are undefined (NaN) or infinite become null."""
    return json.dumps(_defined(content), indent=2, allow_nan=False) + "\n"


def _defined(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _defined(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_defined(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def write_table(path: Path, outcomes: Sequence[Outcome], checkpoint: str) -> None:
    """Write the outcomes, as Markdown where the file ends in ``.md``, otherwise as JSON; the file appears whole.

    The JSON of one benchmark holds its numbers under their keys, as mmengine's tools write them; of several, what
    :class:`Outcome` holds by benchmark.
    """
    if path.suffix == ".md":
        text = f"Checkpoint: `{checkpoint}`\n\n{table(outcomes)}"
    elif len(outcomes) == 1:
        text = json_text(outcomes[0].metrics)
    else:
        content: dict[str, Any] = {outcome.name: asdict(outcome) for outcome in outcomes}
        text = json_text({"checkpoint": checkpoint, "benchmarks": content})
    with whole_file(path) as temporary:
        temporary.write_text(text)
