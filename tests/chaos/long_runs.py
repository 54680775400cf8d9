"""Runs of hours, in which memory must stay flat, and no open file and no temporary one may be left."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from PIL import Image

from omgseg.cli.main import main
from tests.chaos.campaign import FAILURE, RIGHT, Case, Outcome
from tests.chaos.common_inputs import write_film
from tests.chaos.visitors import (
    STYLE,
    TASK,
    Page,
    Told,
    Visitor,
    click_at,
    events_of,
    file,
    open_handles,
    page,
    png,
    resident_megabytes,
)
from tests.chaos.world import MADE
from tests.fakes import moving_square, picture
from tests.tiny_omgseg import config_for_calls, scene, tiny_inferencer

COUNT = 3
SIZE = (48, 64)
SAMPLES = 200
WARM_UP = 0.2
"""The first part of a run, in which caches fill, does not count."""
GROWTH_MB = 40
"""By which memory may grow through a run after that. A megabyte in each thousand would be twenty."""
VISITORS = 4
THINK_SECONDS = 0.05
"""Between two requests of a visitor."""


class Length(NamedTuple):
    """How long the runs are: frames of the stream, minutes of visits, images to label."""

    frames: int
    minutes: float
    images: int


FULL, QUICK = Length(20_000, 10, 5_000), Length(300, 0.1, 200)


class Memory:
    """Samples of a process' memory by how much it had done, and what it had open at the start."""

    def __init__(self, pid: int | str = "self") -> None:
        self._pid = pid
        self._handles = open_handles(pid)
        self._done: list[float] = []
        self._megabytes: list[float] = []

    def note(self, done: float) -> None:
        self._done.append(done)
        self._megabytes.append(resident_megabytes(self._pid))

    def outcome(self, unit: str, *left: Path) -> Outcome:
        """Whether memory was flat and nothing is left.

        Args:
            unit: what was counted.
            left: temporary files that are there at the end.
        """
        start = int(WARM_UP * len(self._done))
        done, megabytes = np.array(self._done[start:]), np.array(self._megabytes[start:])
        slope = np.polyfit(done, megabytes, 1)[0]
        grown = slope * (done[-1] - done[0])
        more = open_handles(self._pid) - self._handles
        figures = (
            f"{1000 * slope:+.2f} MB per 1000 {unit} ({self._done[-1]:.0f} {unit}, {megabytes[0]:.0f} to "
            f"{megabytes[-1]:.0f} MB); {more:+d} open handles; {len(left)} temporary files"
        )
        holds = grown < GROWTH_MB and more <= 0 and not left
        return Outcome(RIGHT, figures=figures) if holds else Outcome(FAILURE, f"{figures} {left[:5]}")


@contextmanager
def own_temporary(folder: Path) -> Iterator[Path]:
    """A folder for all temporary files."""
    temporary, before = folder / "temporary", tempfile.tempdir
    temporary.mkdir()
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    yield temporary
    tempfile.tempdir = before


def _stream(frames: int, folder: Path) -> Outcome:
    """A film of small frames through a model with a memory of its own, in constant memory."""
    seg = tiny_inferencer(config_for_calls(folder))
    film = folder / "long.mp4"
    _write_long_film(film, frames)
    with own_temporary(folder) as temporary:
        list(seg.stream(scene(), "instance"))  # what is read at the first call stays open
        memory = Memory()
        for done, _ in enumerate(seg.stream(film, "instance"), start=1):
            if done % max(frames // SAMPLES, 1) == 0:
                memory.note(done)
        outcome = memory.outcome("frames", *temporary.iterdir())
    return (
        outcome if done == frames else Outcome(FAILURE, f"{done} of {frames} frames came; {outcome.figures}")
    )


def _write_long_film(path: Path, frames: int) -> None:
    shown = [av.VideoFrame.from_ndarray(scene(shift, *SIZE)) for shift in range(0, 60, 2)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            frame = shown[number % len(shown)]
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _visits(minutes: float, folder: Path) -> Outcome:
    """Visitors who come, upload, click, watch and go, again and again."""
    errors: list[str] = []
    with page(folder / "page") as place:
        _visit(place, folder)
        memory, count = Memory(place.pid), [0] * VISITORS
        end = time.monotonic() + 60 * minutes

        def visit_again(number: int) -> None:
            while time.monotonic() < end and not errors:
                try:
                    count[number] += _visit(place, folder / str(number))
                except Exception as error:
                    errors.append(repr(error))

        for number in range(VISITORS):
            (folder / str(number)).mkdir()
        threads = [threading.Thread(target=visit_again, args=(number,)) for number in range(VISITORS)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            memory.note(sum(count))
            time.sleep(60 * minutes / SAMPLES)
        deadline = time.monotonic() + 30
        while (outcome := memory.outcome("requests")).kind == FAILURE and time.monotonic() < deadline:
            time.sleep(1)  # connections that were left are noticed by and by
    return Outcome(FAILURE, errors[0]) if errors else outcome


def _visit(place: Page, folder: Path) -> int:
    """One visit; returns the number of its requests."""
    visitor = Visitor(place)
    events = events_of(place)
    image = picture(*SIZE, ("red", 5, 5, 30, 40))
    given = file(visitor.upload(png(image)))
    film = file(visitor.upload(write_film(folder / "a.mp4", moving_square(6, *SIZE)).read_bytes(), "a.mp4"))
    click = events["click-picture select"]
    rest = [None] * (len(click.inputs) - 3)
    steps = [
        ("image-start click", [given, TASK, "red, blue", *STYLE], {}),
        ("click-picture upload", [given], {}),
        (
            "click-picture select",
            [None, given, "Part of the object (+)", *rest],
            {"event_data": click_at(20, 20)},
        ),
        ("click-undo click", [None], {}),
        ("video-start click", [film, TASK, "", *STYLE], {}),
    ]
    for name, data, more in steps:
        while True:
            try:
                visitor.do(events[name], data, **more)
                break
            except Told as sentence:
                if "full" not in str(sentence):
                    raise
            time.sleep(THINK_SECONDS)
    return len(steps) + 3


def _label(images: int, world: Path, folder: Path) -> Outcome:
    """One process labels many small images; its journal and its result grow, its memory does not."""
    photos, out = folder / "photos", folder / "labels.json"
    photos.mkdir()
    for number in range(images):
        left = number % 40
        Image.fromarray(picture(*SIZE, ("red", 5, left, 30, left + 20))).save(photos / f"{number}.png")
    model = ["--model", str(world / MADE / "fake.py"), "--weights", "none", "--device", "cpu"]
    command = ["label", str(photos), "--out", str(out), *model]
    with own_temporary(folder) as temporary:
        main(["label", str(photos / "0.png"), "--out", str(folder / "first.json"), *model])
        memory = Memory()
        journal = folder / f"{out.name}.parts" / "1-of-1.jsonl"
        status = _beside(partial(main, command), lambda: memory.note(_lines(journal)))
        outcome = memory.outcome("images", *temporary.iterdir())
    left = [path.name for path in folder.rglob("*.tmp")]
    if status or left:
        return Outcome(FAILURE, f"status {status}, left {left}; {outcome.figures}")
    return outcome


def _lines(journal: Path) -> int:
    if not journal.exists():
        return 0
    with journal.open("rb") as file:
        return sum(1 for _ in file)


def _beside(action: Callable[[], int], sample: Callable[[], None]) -> int:
    """Run `action`, while another thread takes samples."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.1):
            sample()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        return action()
    finally:
        ended.set()
        thread.join()


def cases(seed: int, count: int, world: Path, length: Length = FULL) -> list[Case]:
    """The first `count` of them."""
    seconds = 6 * 3600
    return [
        Case(f"a stream of {length.frames:,} frames", partial(_stream, length.frames), seconds),
        Case(f"a page visited for {length.minutes:g} minutes", partial(_visits, length.minutes), seconds),
        Case(f"{length.images:,} images labelled", partial(_label, length.images, world), seconds),
    ][:count]
