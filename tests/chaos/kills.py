"""Labelling and training that are killed with SIGKILL: a rerun gives what an undisturbed run gives."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import subprocess
import sys
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
from tests.chaos.ranks import run_ranks
from tests.chaos.world import MADE
from tests.fakes import picture
from tests.small_toy import SMALL

LABELLING_COUNT, TRAINING_COUNT = 20, 32
TOGETHER = 12
"""Of the trainings, those of two processes."""
IMAGES = 40
MOST_KILLS = 6
"""After so many a run is left alone."""
PR_SET_PDEATHSIG = 1
"""Of Linux: the signal that a process gets when its parent dies."""
ITERATIONS, INTERVAL, GLOBAL_BATCH = 6, 2, 2
ROOT = Path(__file__).parents[2]
LAUNCHER_SECONDS = 400
FAILED_LAUNCHER = -1
"""In place of an exit status: the launcher took the death of a process for success."""


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


class Training(NamedTuple):
    """The small toy training; a global batch has two samples, whatever the number of processes."""

    world: Path
    workers: int
    processes: int

    def start(self, work_dir: Path, die: Callable[[int], None] | None = None) -> int:
        """Train, or resume what is in the folder; each process calls ``die(rank)`` before it begins."""
        if self.processes == 1:
            return self._train(work_dir, die, rank=0)
        return run_ranks(partial(self._train, work_dir, die), self.processes, work_dir.parent)

    def _train(self, work_dir: Path, die: Callable[[int], None] | None, rank: int) -> int:
        os.environ["OMGSEG_TOY"] = str(self.world)
        if die is not None:
            die(rank)
        file = work_dir.parent / f"{work_dir.name}-{rank}.py"
        file.write_text(SMALL)
        config = Config.fromfile(file)
        config.merge_from_dict(self.options())
        config.update(work_dir=str(work_dir), resume=True, experiment_name=f"{work_dir.name}_{os.getpid()}")
        config.launcher = "pytorch" if self.processes > 1 else "none"
        Runner.from_cfg(config).train()
        return 0

    def options(self) -> dict[str, int]:
        """What differs from the config."""
        return {
            "train_cfg.max_iters": ITERATIONS,
            "default_hooks.checkpoint.interval": INTERVAL,
            "train_dataloader.num_workers": self.workers,
            "train_dataloader.batch_size": GLOBAL_BATCH // self.processes,
        }


def _undisturbed(training: Training) -> Path:
    """The folder of a training that nobody killed; made by the first case that needs it."""
    world = training.world
    whole = world / f"undisturbed-{training.workers}-{training.processes}"
    if not whole.exists():
        unfinished = world / f"unfinished-{os.getpid()}"
        run = run_until(partial(training.start, unfinished), None)
        (unfinished / "seconds").write_text(str(run.seconds))
        unfinished.rename(whole)
    return whole


def _die_in_write(number: int, place: str, rank: int) -> None:
    """Let the process that writes checkpoints kill itself in the midst of writing its n-th file, or just before or
    after the file gets its name."""
    if rank != 0:
        return
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


def _die_alone(victim: int, delay: float, rank: int) -> None:
    """Let one of several processes kill itself after `delay` seconds."""
    if rank == victim:
        timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()


def _kill_training(training: Training, way: str, seed: str, folder: Path) -> Outcome:
    rng = random.Random(seed)
    whole = _undisturbed(training)
    seconds = float((whole / "seconds").read_text())
    work_dir = folder / "killed"
    train = partial(training.start, work_dir)
    if way == "time":
        kills, status = _kill_until_done(train, rng, seconds)
    elif way == "launcher":
        kills, status = _kill_under_launcher(training, work_dir, rng)
    else:
        die = partial(_die_alone, rng.randrange(training.processes), rng.uniform(0.5, 1) * seconds)
        if way != "one process":
            die = partial(_die_in_write, rng.randint(1, 3), way.removeprefix("write "))
        dead = run_until(partial(train, die), None)
        if dead.status is not None and (way != "one process" or dead.status != 0):
            return Outcome(FAILURE, f"the process did not die: {dead}")
        kills = int(dead.status is None)
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


def _kill_under_launcher(training: Training, work_dir: Path, rng: random.Random) -> tuple[int, int]:
    """As users train with several processes: tools/dist_train.sh, one of whose processes is killed after the first
    checkpoint. It must end by itself; the number of kills, and the exit status of the same command afterwards."""
    config = work_dir.parent / "small.py"
    config.write_text(SMALL)
    options = [f"{key}={value}" for key, value in training.options().items()]
    command = [str(ROOT / "tools/dist_train.sh"), str(config), str(training.processes), "--resume"]
    command += ["--work-dir", str(work_dir), "--cfg-options", *options]
    environment = {**os.environ, "OMGSEG_TOY": str(training.world), "PYTHON": sys.executable}
    launcher = subprocess.Popen(command, env=environment)
    while launcher.poll() is None and not (work_dir / f"iter_{INTERVAL}.pth").exists():
        time.sleep(0.01)
    time.sleep(rng.uniform(0, 0.5))
    ranks = [pid for pid in _children(launcher.pid) if "tools/train.py" in _command_line(pid)]
    kills = 0
    if ranks:
        os.kill(rng.choice(ranks), signal.SIGKILL)
        kills = 1
    if (launcher.wait(timeout=LAUNCHER_SECONDS) == 0) is (kills == 1):
        return kills, FAILED_LAUNCHER
    return kills, subprocess.run(command, env=environment, timeout=LAUNCHER_SECONDS).returncode


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:  # it has ended
        return []


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except FileNotFoundError:
        return ""


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
    """At random moments and in the midst of writing a checkpoint, with no and with two workers that read data, in one
    process and, the last twelve, in two, of which the kill takes one or both."""
    alone = ("write half", "time", "write before", "time", "write after", "time")
    together = ("one process", "time", "write half", "one process", "launcher", "write before")
    found = []
    for number in range(TRAINING_COUNT):
        place = number - (TRAINING_COUNT - TOGETHER)
        ways, place, processes = (alone, number, 1) if place < 0 else (together, place, 2)
        way, workers = ways[place % len(ways)], 2 * (place // len(ways) % 2)
        act = partial(_kill_training, Training(world, workers, processes), way, f"{seed} {number}")
        several = f", {processes} processes" * (processes > 1)
        found.append(Case(f"{number}: {way}, {workers} workers{several}", act, 900))
    return found[:count]
