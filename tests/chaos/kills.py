"""Labelling and training that are killed with SIGKILL: a rerun gives what an undisturbed run gives."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from PIL import Image
from tqdm import tqdm

import omgseg.files
from omgseg.cli.main import main
from omgseg.engine import Runner, read_checkpoint
from tests.chaos.campaign import FAILURE, RIGHT, Case, Outcome
from tests.chaos.world import MADE
from tests.fakes import picture
from tests.small_toy import SMALL

LABELLING_COUNT, TRAINING_COUNT = 20, 20
IMAGES = 40
MOST_KILLS = 6
"""After so many a run is left alone."""
PR_SET_PDEATHSIG = 1
"""Of Linux: the signal that a process gets when its parent dies."""
ITERATIONS, INTERVAL = 6, 2


class Run(NamedTuple):
    """How a process ended: its exit status, None if it was killed, and after how many seconds."""

    status: int | None
    seconds: float


def run_until(action: Callable[[], int], delay: float | None) -> Run:
    """Run `action` in a fork, and kill it and all that it started after `delay` seconds."""
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # where the case itself is ended
        tqdm.set_lock(
            threading.RLock()
        )  # forks share tqdm's own lock, and whoever is killed never gives it back
        os._exit(_status(action))
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        seconds = time.monotonic() - started
        if ended:
            return Run(None if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status), seconds)
        if delay is not None and seconds > delay:
            for target, kill in ((child, os.kill), (child, os.killpg)):  # the group may not be there yet
                try:
                    kill(target, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        time.sleep(0.002)


def _status(action: Callable[[], int]) -> int:
    try:
        return action()
    except BaseException:
        return 99


def _kill_until_done(action: Callable[[], int], rng: random.Random, seconds: float) -> tuple[int, int | None]:
    """Start `action` again and again, killed within `seconds`; the number of kills and the last exit status."""
    for kills in range(MOST_KILLS):
        status = run_until(action, rng.uniform(0, seconds)).status
        if status is not None:
            return kills, status
    return MOST_KILLS, run_until(action, None).status


def _label(photos: Path, out: Path, config: Path, *more: str) -> int:
    model = ["--model", str(config), "--weights", "none", "--device", "cpu", "--batch-size", "2"]
    return main(["label", str(photos), "--out", str(out), *model, *more])


def _photos(folder: Path) -> Path:
    folder.mkdir()
    for number in range(IMAGES):
        red = ("red", 10, number, 30, number + 20)
        Image.fromarray(picture(60, 80, red, ("blue", 40, 5, 55, 25))).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def _kill_labelling(world: Path, shards: int, seed: str, folder: Path) -> Outcome:
    rng = random.Random(seed)
    photos, config = _photos(folder / "photos"), world / MADE / "fake.py"
    undisturbed = run_until(partial(_label, photos, folder / "whole.json", config), None)
    out, kills = folder / "killed.json", 0
    for number in range(1, shards + 1):
        part = ["--shard", f"{number}/{shards}"] if shards > 1 else []
        label = partial(_label, photos, out, config, *part)
        killed, status = _kill_until_done(label, rng, undisturbed.seconds / shards)
        kills += killed
        if status not in (0, 1):
            return Outcome(FAILURE, f"the run after {killed} kills ends with {status}")
    if shards > 1:
        run_until(lambda: main(["label", "--merge", "--out", str(out)]), None)
    if not out.exists() or out.read_bytes() != (folder / "whole.json").read_bytes():
        return Outcome(FAILURE, f"another file after {kills} kills")
    stray = [path.name for path in folder.glob(".*")]
    return Outcome(FAILURE, f"left behind: {stray}") if stray else Outcome(RIGHT, f"{kills} kills")


def _train(work_dir: Path, world: Path, workers: int, die: Callable[[], None] | None = None) -> int:
    os.environ["OMGSEG_TOY"] = str(world)
    if die is not None:
        die()
    (work_dir.parent / f"{work_dir.name}.py").write_text(SMALL)
    config = Config.fromfile(work_dir.parent / f"{work_dir.name}.py")
    config.train_cfg.max_iters = ITERATIONS
    config.default_hooks.checkpoint.interval = INTERVAL
    config.train_dataloader.num_workers = workers
    config.update(work_dir=str(work_dir), resume=True, experiment_name=f"{work_dir.name}_{os.getpid()}")
    Runner.from_cfg(config).train()
    return 0


def _undisturbed(world: Path, workers: int) -> Path:
    """The folder of a training that nobody killed; made by the first case that needs it."""
    whole = world / f"undisturbed-{workers}"
    if not whole.exists():
        unfinished = world / f"unfinished-{os.getpid()}"
        run = run_until(partial(_train, unfinished, world, workers), None)
        (unfinished / "seconds").write_text(str(run.seconds))
        unfinished.rename(whole)
    return whole


def _die_in_write(number: int, place: str) -> None:
    """Let this process kill itself in the midst of writing its n-th file, or just before or after the file gets its
    name."""
    replace, count = os.replace, 0

    def deadly(source: Any, target: Any) -> None:
        nonlocal count
        count += 1
        if count == number and place == "half":
            os.truncate(source, os.path.getsize(source) // 2)
        if count == number and place == "after":
            replace(source, target)
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    omgseg.files.os.replace = deadly


def _kill_training(world: Path, way: str, workers: int, seed: str, folder: Path) -> Outcome:
    rng = random.Random(seed)
    whole = _undisturbed(world, workers)
    work_dir = folder / "killed"
    train = partial(_train, work_dir, world, workers)
    if way == "time":
        kills, status = _kill_until_done(train, rng, float((whole / "seconds").read_text()))
    else:
        place = way.removeprefix("write ")
        kills = 1
        dead = run_until(partial(train, partial(_die_in_write, rng.randint(1, 3), place)), None)
        if dead.status is not None:
            return Outcome(FAILURE, f"the process did not die: {dead}")
        status = run_until(train, None).status
    if (
        way == "time" and rng.random() < 0.5 and status == 0
    ):  # the newest checkpoint is damaged afterwards, too
        newest = work_dir / f"iter_{ITERATIONS}.pth"
        os.truncate(newest, rng.randrange(newest.stat().st_size))
        status = run_until(train, None).status
    if status != 0:
        return Outcome(FAILURE, f"the training after {kills} kills ends with {status}")
    one, other = (read_checkpoint(place / f"iter_{ITERATIONS}.pth") for place in (whole, work_dir))
    different = [
        part for part in ("state_dict", "optimizer", "param_schedulers") if not _same(one[part], other[part])
    ]
    if different:
        return Outcome(FAILURE, f"after {kills} kills {different} differ from the undisturbed training")
    stray = [path.name for path in work_dir.glob(".*.tmp")]
    return Outcome(FAILURE, f"left behind: {stray}") if stray else Outcome(RIGHT, f"{kills} kills")


def _same(one: Any, other: Any) -> bool:
    """Bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other


def labelling_cases(seed: int, count: int, world: Path) -> list[Case]:
    """Of every four one is labelled in three shards."""
    return [
        Case(
            f"{n}: {shards} shard{'s' * (shards > 1)}",
            partial(_kill_labelling, world, shards, f"{seed} {n}"),
            300,
        )
        for n in range(count)
        for shards in [3 if n % 4 == 3 else 1]
    ]


def training_cases(seed: int, count: int, world: Path) -> list[Case]:
    """At random moments and in the midst of writing a checkpoint, with no and with two workers that read data."""
    ways = ("write half", "time", "write before", "time", "write after", "time")
    return [
        Case(
            f"{n}: {way}, {workers} workers", partial(_kill_training, world, way, workers, f"{seed} {n}"), 900
        )
        for n in range(count)
        for way, workers in [(ways[n % len(ways)], 2 * (n // len(ways) % 2))]
    ]
