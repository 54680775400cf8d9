"""Disks that are full, folders that are read-only, and folders that vanish: one sentence, no half file under its final
name, and a rerun completes."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from omgseg.cli.main import main
from omgseg.datasets.embedding_cache import EmbeddingCache, EmbeddingWriter, Teacher
from omgseg.evaluation.dump import read_sample, write_sample
from omgseg.models.checkpoints.reading import write_state_dict
from omgseg.structures import Segments
from tests.chaos.campaign import FAILURE, RIGHT, Case, Outcome
from tests.chaos.kills import run_until
from tests.chaos.world import MADE, SAMPLE
from tests.fakes import FakeSegmenter

COUNT = 46
NOBODY = 65534
COMMANDS: dict[str, list[str]] = {
    "pictures": ["predict", "photos", "--format", "png"],
    "results": ["predict", "photos", "--format", "json"],
    "COCO": ["predict", "photos", "--format", "coco"],
    "panoptic": ["predict", "photos", "--format", "panoptic"],
    "masks": ["predict", "photos", "--format", "masks"],
    "film": ["predict", "film.mp4", "--format", "mp4"],
    "animation": ["predict", "film.mp4", "--format", "gif"],
    "tracks": ["predict", "film.mp4", "--task", "instance", "--format", "youtube-vis"],
    "labels": ["label", "photos"],
}


VANISHING = ("pictures", "results", "COCO", "labels")


def _command(name: str, out: Path) -> list[str]:
    target = out / "labels.json" if name == "labels" else out
    model = ["--model", "fake.py", "--weights", "none", "--device", "cpu", "--min-score", "0"]
    again = [] if name == "labels" else ["--overwrite"]
    return [*COMMANDS[name], "--out", str(target), *model, *again]


def _inputs(world: Path, folder: Path, photos: int = 4) -> None:
    """What the commands read, where anybody may read it."""
    (folder / "photos").mkdir()
    for number in range(photos):
        shutil.copy(world / MADE / "photo.png", folder / "photos" / f"{number}.png")
    for name in ("film.mp4", "fake.py"):
        shutil.copy(world / MADE / name, folder / name)
    folder.chmod(0o755)


def _limited(size: int, action: Callable[[], int]) -> int:
    """As on a disk with room for `size` bytes in each file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return action()


def _spoken(arguments: list[str], writer: int) -> int:
    """Run a command; what it says goes to a pipe."""
    said = StringIO()
    with redirect_stderr(said):
        status = main(arguments)
    os.write(writer, said.getvalue().encode())
    return status


def _run_command(name: str, size: int | None, world: Path, folder: Path) -> Outcome:
    """`size`: bytes that fit into a file; None: the folder is read-only."""
    _inputs(world, folder)
    whole, out = folder / "whole", folder / "out"
    run_until(partial(main, _command(name, whole)), None)
    out.mkdir()
    reader, writer = os.pipe()  # pipes are never full
    command = partial(_spoken, _command(name, out), writer)
    action = partial(_limited, size, command) if size is not None else partial(_as_nobody, out, command)
    return _judged(name, action, (reader, writer), folder)


def _judged(
    name: str,
    action: Callable[[], int],
    pipe_ends: tuple[int, int],
    folder: Path,
    repair: Callable[[], None] = lambda: None,
    lacks_inputs: bool = False,
    was_lost: bool = False,
) -> Outcome:
    """Run a command that something befalls, repair what it was, and run the command again.

    Args:
        action: the command; what it says comes through the pipe.
        folder: of the case; ``whole`` in it is what an undisturbed run gives.
        lacks_inputs: files that hold what is known of all inputs may lack some.
        was_lost: nothing could be deleted in the folder of results; the rerun does it.
    """
    whole, out, (reader, writer) = folder / "whole", folder / "out", pipe_ends
    status = run_until(action, None).status
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        said = pipe.read()
    repair()
    complete = _files(out) == _files(whole)
    if status == 0 and not complete:
        return Outcome(FAILURE, f"status 0, but {_files(out).keys() ^ _files(whole).keys()} differ")
    if status not in (0, 1, 2):
        return Outcome(FAILURE, f"status {status}: {said[-300:]}")
    named = (
        folder.name in said or f"'{tempfile.gettempdir()}'" in said
    )  # configs are read by way of a copy there
    if status and not (
        "error: " in said and named or "skipped: " in said
    ):  # an input is named where it is skipped
        return Outcome(FAILURE, f"no sentence that names the file: {said[-300:]!r}")
    half = [path for path, content in _files(out).items() if _files(whole).get(path) != content]
    if lacks_inputs:
        half = [path for path in half if not _is_json(out / path)]
    if half:
        return Outcome(FAILURE, f"half files: {half}")
    if _strays(out) and not was_lost:
        return Outcome(FAILURE, f"left behind: {_strays(out)}")
    run_until(partial(main, _command(name, out)), None)
    if _strays(out):
        return Outcome(FAILURE, f"left behind by the rerun: {_strays(out)}")
    if _files(out) != _files(whole):
        return Outcome(FAILURE, "the rerun does not complete what an undisturbed run gives")
    return Outcome(RIGHT, said.strip())


def _as_nobody(out: Path, action: Callable[[], int]) -> int:
    """Without the right to write: as another user, as no folder is read-only to root."""
    out.chmod(0o555)
    if os.getuid() == 0:
        os.setuid(NOBODY)
    try:
        return action()
    finally:
        if os.getuid() == out.stat().st_uid:
            out.chmod(0o755)


GONE = ".gone"
MANY = 24
"""More photos than are read ahead."""


def _vanishing(target: Path, way: str, after: int, action: Callable[[], int]) -> int:
    """As on a network drive whose server is lost after some images: a folder is not there any more, or answers nothing
    but that its handle is stale."""
    segment, seen = FakeSegmenter._segment, 0

    def watched(*args: Any, **kwargs: Any) -> Segments:
        nonlocal seen
        seen += 1
        if seen == after and way == "renamed":
            target.rename(f"{target}{GONE}")
        if seen == after and way == "stale":
            sys.addaudithook(partial(_refuse, str(target)))
        return segment(*args, **kwargs)

    FakeSegmenter._segment = watched
    return action()


def _refuse(folder: str, event: str, arguments: tuple[Any, ...]) -> None:
    """Fail whatever Python asks of the files of a folder."""
    if event in ("open", "os.rename", "os.listdir", "os.scandir", "os.mkdir"):
        path = os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes | os.PathLike) else ""
        if os.path.abspath(path).startswith(folder):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)


def _run_vanishing(name: str, lost: str, way: str, after: int, world: Path, folder: Path) -> Outcome:
    """`lost`: the folder that vanishes, "photos" or "out"."""
    _inputs(world, folder, MANY)
    whole, out = folder / "whole", folder / "out"
    run_until(partial(main, _command(name, whole)), None)
    out.mkdir()
    reader, writer = os.pipe()
    action = partial(_vanishing, folder / lost, way, after, partial(_spoken, _command(name, out), writer))

    def repair() -> None:
        """The folder is there again; what was written to its place meanwhile is not in it."""
        gone = folder / f"{lost}{GONE}"
        if gone.exists():
            shutil.rmtree(folder / lost, ignore_errors=True)
            gone.rename(folder / lost)

    return _judged(name, action, (reader, writer), folder, repair, lost == "photos", lost == "out")


def _files(folder: Path) -> dict[str, bytes]:
    """The finished files; journals grow by lines and are no results."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".jsonl", ".tmp")
    }


def _is_json(file: Path) -> bool:
    try:
        return bool(json.loads(file.read_bytes()))
    except ValueError:
        return False


def _strays(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*.tmp")]


def _weights() -> dict[str, torch.Tensor]:
    return {"w": torch.arange(30_000.0)}


def _write_weights(out: Path) -> None:
    write_state_dict(out / "w.safetensors", _weights())


def _write_cache(out: Path) -> None:
    with EmbeddingWriter(out / "cache", Teacher("sam.pth", "0" * 64, 64)) as writer:
        for number in range(5):
            if writer.claim(f"{number:064x}"):
                writer.add(f"{number:064x}", torch.full((64, 8, 8), float(number)))
    cache = EmbeddingCache(out / "cache")
    if not all(float(cache[f"{number:064x}"][0, 0, 0]) == number for number in range(5)):
        raise AssertionError("the cache holds other embeddings")


def _write_dump(out: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 2**31, (200, 200))
    write_sample(out, {"img_id": SAMPLE, "pred": noise})
    if not np.array_equal(read_sample(out, SAMPLE)["pred"], noise):
        raise AssertionError("the dump holds another sample")


WRITERS: dict[str, Callable[[Path], None]] = {
    "weights": _write_weights,
    "embeddings": _write_cache,
    "dump": _write_dump,
}


def _run_writer(name: str, size: int, folder: Path) -> Outcome:
    """Of the package's own files: an OSError that names the file, and nothing under its final name."""

    def write() -> int:
        try:
            WRITERS[name](folder)
        except OSError as error:
            return 1 if str(folder) in str(error) else 3
        except ValueError as error:
            return 1 if str(folder) in str(error) else 4
        return 0

    status = run_until(partial(_limited, size, write), None).status
    left = [path.name for path in folder.rglob("*") if path.is_file() and path.stat().st_size > 1000]
    if status != 1 or left or _strays(folder):
        return Outcome(FAILURE, f"status {status}, left: {left + _strays(folder)}")
    status = run_until(write, None).status
    return Outcome(RIGHT) if status == 0 else Outcome(FAILURE, f"the rerun ends with {status}")


def cases(seed: int, count: int, world: Path) -> list[Case]:
    """Every command with read-only folders and with disks of two random sizes, some while a folder vanishes, and every
    writer."""
    rng = random.Random(f"full disks {seed}")
    found = [Case(f"{name}, read-only", partial(_run_command, name, None, world)) for name in COMMANDS]
    for name in COMMANDS:
        for size in (rng.randrange(300), rng.randrange(300, 8000)):
            found.append(Case(f"{name}, room for {size} bytes", partial(_run_command, name, size, world)))
    for name in VANISHING:
        for lost in ("photos", "out"):
            for way in ("renamed", "stale"):
                act = partial(_run_vanishing, name, lost, way, rng.randint(1, 12), world)
                found.append(Case(f"{name}, {lost} {way}", act))
    for name in WRITERS:
        size = rng.randrange(400, 8000)
        found.append(Case(f"{name}, room for {size} bytes", partial(_run_writer, name, size)))
    return found if count >= len(found) else rng.sample(found, count)
