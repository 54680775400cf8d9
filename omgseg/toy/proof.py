"""What the proofs on the toy world share: quiet trainings that go on where they were, and tables over seeds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config

from omgseg.engine import Runner
from omgseg.files import whole_file
from omgseg.tables import markdown_table
from omgseg.toy.clip import train_toy_clip

QUICK_ITERATIONS = 4
"""Of a training that only shows that everything runs."""
ROOT = Path(__file__).resolve().parents[2]


def train(config: Config, folder: Path, iterations: int, every: int | None = None) -> Path:
    """Train a config, unless the folder has its checkpoint already.

    Args:
        config: with a warm-up and an annealing of its learning rate, which are fitted into `iterations`.
        folder: of the run.
        every: keep a checkpoint each time after so many iterations, ``iter_N.pth`` in the folder, besides the last.

    Returns:
        The checkpoint.
    """
    checkpoint = folder / f"iter_{iterations}.pth"
    if checkpoint.is_file():
        say(f"{checkpoint} is there")
        return checkpoint
    warm_up, annealing = config.param_scheduler
    warm_up.end = annealing.begin = min(warm_up.end, iterations // 2)
    annealing.end = config.train_cfg.max_iters = iterations
    config.default_hooks.checkpoint.update(interval=every or iterations, max_keep_ckpts=-1)
    start = time.perf_counter()
    Runner.from_cfg(prepared(config, folder)).train()
    say(f"{folder.name}: {iterations} iterations in {time.perf_counter() - start:.0f} s")
    return checkpoint


def prepared(config: Config, folder: Path) -> Config:
    """The config of a quiet run in a folder."""
    config.work_dir, config.log_level = str(folder), "ERROR"
    config.experiment_name = f"{folder.name}_{time.time_ns()}"  # mmengine keeps one of each name in a process
    return config


def make_clip(file: Path, seed: int = 0, quick: bool = False) -> None:
    """Train the toy CLIP, unless the file is there; `quick`: it learns nothing."""
    if not file.is_file():
        train_toy_clip(file, seed, report=say, **(dict(steps=2, num_pictures=8) if quick else {}))


def fill_teacher_cache(student: Path, teacher: Path, weights: Path, cache: Path) -> None:
    """Run ``tools/teacher_embeddings.py``: what a teacher gives of the images that a student is trained with.

    Args:
        student: config of a student.
        teacher, weights: config and checkpoint of the teacher.
        cache: folder of its embeddings.

    Raises:
        SystemExit: it failed, and has said why.
    """
    options = [f"teacher.weights={weights}", f"teacher.cache={cache}", f"teacher.config={teacher}"]
    run_python(ROOT / "tools" / "teacher_embeddings.py", student, "--cfg-options", *options)


def run_python(*arguments: str | Path) -> None:
    """Run Python in a process of its own; a program that fails has said why, and ends this one, too.

    Raises:
        SystemExit: it failed.
    """
    failed = subprocess.run(
        [sys.executable, *arguments], env={**os.environ, "PYTHONPATH": str(ROOT)}
    ).returncode
    if failed:
        sys.exit(failed)


def use_teacher(config: Config, weights: Path, cache: Path) -> None:
    """Put a teacher's checkpoint and the cache of its embeddings into the config of a student."""
    config.model.teacher = str(weights)
    for step in config.train_dataloader.dataset.pipeline:
        if step.type == "LoadTeacherEmbedding":
            step.cache = str(cache)


def seed_table(scores: Mapping[str, Sequence[Mapping[str, float]]], columns: Sequence[str]) -> str:
    """Markdown: a row for each title, with the mean over its runs and half of the range.

    Args:
        scores: title -> the numbers of each run.
        columns: those that are shown.
    """
    rows = []
    for title, runs in scores.items():
        values = np.array([[run[name] for name in columns] for run in runs])
        mean, spread = values.mean(0), np.ptp(values, axis=0) / 2
        shown = [
            f"{a:.1f} ± {b:.1f}" if len(runs) > 1 else f"{a:.1f}" for a, b in zip(mean, spread, strict=True)
        ]
        rows.append((title, *shown))
    return markdown_table(("", *columns), rows, right=range(1, 1 + len(columns)))


def write_numbers(
    folder: Path,
    scores: Mapping[str, Sequence[Mapping[str, float]]],
    columns: Sequence[str],
    **settings: object,
) -> str:
    """Write ``metrics.json``, with the settings, and ``table.md``, which is returned; see :func:`seed_table`."""
    table = seed_table(scores, columns)
    write_text(folder / "metrics.json", json.dumps({**settings, "scores": scores}, indent=2))
    write_text(folder / "table.md", table)
    return table


def write_text(file: Path, text: str) -> None:
    """Write a file and a last line's end, at once."""
    with whole_file(file) as temporary:
        temporary.write_text(text + "\n")


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)
