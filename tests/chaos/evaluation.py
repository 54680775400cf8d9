"""Every benchmark by 1, 2 and 3 processes, whose metrics have 0 or 2 workers: the same numbers, to the last digit, and
the same files for servers."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mmengine.config import Config

from omgseg.engine.benchmarks import run_benchmark
from omgseg.inference.evaluating import with_segmenter
from omgseg.inference.loading import RANDOM
from tests.chaos.campaign import FAILURE, RIGHT, Case, Outcome
from tests.chaos.ranks import run_ranks
from tests.chaos.toy_eyes import write_eyes

ROOT = Path(__file__).parents[2]
FIRST = ("cityscapes", "vipseg")
"""Are tried first: with them the quick part has three metrics of images and one of videos."""
FILES = [
    *sorted(ROOT.glob("configs/benchmarks/*.py"), key=lambda file: (file.stem not in FIRST, file.stem)),
    ROOT / "configs/submissions/youtube_vos.py",
]
PROCESSES = (2, 3, 1)
COUNT = len(FILES) * len(PROCESSES)
WORKERS = 2
RESULT = "result.json"


def _numbers(file: Path, world: Path, folder: Path, processes: int, workers: int) -> str:
    """What a benchmark gives, as text: all numbers with all their digits, and digests of what it wrote for servers.

    Raises:
        ChildProcessError: it fails.
    """
    folder.mkdir(parents=True)
    status = run_ranks(partial(_evaluate, file, world, folder, processes, workers), processes, folder)
    if status:
        raise ChildProcessError(f"{processes} processes, {workers} workers: status {status}")
    return (folder / RESULT).read_text()


def _evaluate(file: Path, world: Path, folder: Path, processes: int, workers: int, rank: int) -> int:
    os.environ.update(OMGSEG_DATA=str(world / "data"), OMGSEG_VOCABULARIES=str(world / "data/vocabularies"))
    os.chdir(folder)
    config = Config.fromfile(file)
    config = with_segmenter(config, str(write_eyes(folder / f"eyes-{rank}.py")), RANDOM)
    config.update(work_dir="run", launcher="pytorch" if processes > 1 else "none")
    config.test_dataloader.update(num_workers=0, persistent_workers=False)
    for metric in (
        config.test_evaluator if isinstance(config.test_evaluator, Sequence) else [config.test_evaluator]
    ):
        metric.num_workers = workers
    metrics = run_benchmark(config).metrics
    if rank == 0:
        sent = {str(path): _content(path) for path in sorted(Path("work_dirs").rglob("*.zip"))}
        Path(RESULT).write_text(json.dumps([metrics, sent]))
    return 0


def _content(file: Path) -> list[tuple[str, str]]:
    with zipfile.ZipFile(file) as archive:
        return sorted((name, hashlib.sha256(archive.read(name)).hexdigest()) for name in archive.namelist())


def _alone(file: Path, world: Path) -> str:
    """The numbers of one process without workers; the first case of a benchmark computes them."""
    kept = world / f"numbers-{file.stem}.json"
    if not kept.exists():
        temporary = world / f"numbers-{os.getpid()}"
        text = _numbers(file, world, temporary, processes=1, workers=0)
        (temporary / RESULT).rename(kept)
        return text
    return kept.read_text()


def _differing(found: str, expected: str) -> str:
    """What differs between two texts of :func:`_numbers`, shortly."""
    (ours, sent), (theirs, whole) = json.loads(found), json.loads(expected)
    numbers = [
        f"{key} {ours.get(key)}, not {value}" for key, value in theirs.items() if ours.get(key) != value
    ]
    return "; ".join([*numbers, *(name for name in whole if sent.get(name) != whole[name])])[:500]


def _run(file: Path, processes: int, world: Path, folder: Path) -> Outcome:
    try:
        expected = _alone(file, world)
        metrics, sent = json.loads(expected)
        if not metrics and not sent:
            return Outcome(FAILURE, "it gives no numbers")
        for workers in (0, WORKERS)[processes == 1 :]:
            found = _numbers(file, world, folder / str(workers), processes, workers)
            if found != expected:
                return Outcome(FAILURE, f"{workers} workers: {_differing(found, expected)}")
    except ChildProcessError as error:
        return Outcome(FAILURE, str(error))
    return Outcome(RIGHT, expected)


def cases(seed: int, count: int, world: Path) -> list[Case]:
    """Every benchmark by every number of processes; the same for every seed."""
    found = [
        Case(
            f"{file.stem}: {processes} process{'es' * (processes > 1)}",
            partial(_run, file, processes, world),
            240,
        )
        for processes in PROCESSES
        for file in FILES
    ]
    return found[:count]
