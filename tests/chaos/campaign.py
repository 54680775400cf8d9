"""Cases of a campaign. Each runs in a process of its own, so that a crash of the interpreter is a failure of one case.

An area gives cases, a case gives an :class:`Outcome`. What runs a case measures it, too: it must end in time and within
its memory.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from omgseg.tables import markdown_table

RIGHT, CLEAR, FAILURE = "right result", "clear error", "failure"
LONGEST_SENTENCE = 1000
"""Characters of a clear error, besides those of file names: a page of numbers is no sentence."""
SECONDS = 60
MEGABYTES = 2000
"""By which the memory of a case may grow."""


class Outcome(NamedTuple):
    """What a case gave; the text is the error, or what went wrong; the figures, if there are any, are what the case
    measured."""

    kind: str
    text: str = ""
    figures: str = ""


@dataclass(frozen=True)
class Case:
    """One thing that is tried.

    Attributes:
        name: says what; no two cases of an area have the same.
        run: is called in a process of its own, in an empty folder that it gets, too.
        seconds: after which it is a failure.
        megabytes: more memory is a failure.
    """

    name: str
    run: Callable[[Path], Outcome]
    seconds: float = SECONDS
    megabytes: int = MEGABYTES


class Result(NamedTuple):
    area: str
    case: str
    outcome: Outcome


def outcome_of(action: Callable[[], Any], *names: str | Path) -> tuple[Outcome, Any]:
    """Call `action` and judge its error, if it raises one.

    Args:
        names: a clear error names one of them: the file, the field or the argument that is wrong.

    Returns:
        The outcome, and the result of the action; None after an error.
    """
    try:
        return Outcome(RIGHT), action()
    except (OSError, ValueError) as error:
        text = str(error)
        if not any(str(name) in text for name in names):
            return Outcome(FAILURE, f"the error does not say where: {_raw(error)}"), None
        if len(text) > LONGEST_SENTENCE + text.count(str(names[0])) * len(str(names[0])):
            return Outcome(FAILURE, f"the error has {len(text)} characters: {text[:200]}"), None
        return Outcome(CLEAR, text), None
    except Exception as error:
        return Outcome(FAILURE, _raw(error)), None


def _raw(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {str(error)[:300]} ({Path(place.filename).name}:{place.lineno})"


def run_cases(
    area: str, cases: Iterable[Case], progress: Callable[[Result], None] = lambda result: None
) -> list[Result]:
    """Run all cases, one after another."""
    results = []
    for case in cases:
        results.append(Result(area, case.name, run_case(case)))
        progress(results[-1])
    return results


def run_case(case: Case) -> Outcome:
    """Run one case in a fork of this process, which has imported everything already."""
    folder = Path(tempfile.mkdtemp(prefix="omgseg-chaos-"))
    receiver, sender = multiprocessing.Pipe(duplex=False)
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _run_in_child(case, folder, sender)
    sender.close()
    try:
        outcome = _received(receiver, case.seconds)
        if outcome is None:
            os.killpg(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if outcome is None:
            return Outcome(FAILURE, f"does not end within {case.seconds:g} seconds")
        if os.WIFSIGNALED(status):
            return Outcome(FAILURE, f"the process died of {signal.Signals(os.WTERMSIG(status)).name}")
        return outcome
    finally:
        receiver.close()
        with_rights(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _received(receiver: Connection, seconds: float) -> Outcome | None:
    """What the child sends; None if it sends nothing in time. A child that died has closed its end."""
    if not receiver.poll(seconds):
        return None
    try:
        return Outcome(*receiver.recv())
    except EOFError:
        return Outcome(FAILURE, "the process ended without a word")


def _run_in_child(case: Case, folder: Path, sender: Connection) -> None:
    os.setsid()  # so that what it starts can be ended with it
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    os.chdir(folder)
    before = _peak_megabytes()
    try:
        outcome = case.run(folder)
    except BaseException as error:
        outcome = Outcome(FAILURE, f"{type(error).__name__}: {error}\n{traceback.format_exc()[-600:]}")
    grown = _peak_megabytes() - before
    if grown > case.megabytes:
        outcome = Outcome(FAILURE, f"took {grown} MB of memory; {outcome.text}")
    sender.send(tuple(outcome))
    sender.close()
    os._exit(0)


def _peak_megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def with_rights(folder: Path) -> None:
    """Give back the rights to folders that a case made read-only."""
    for place, _, _ in os.walk(folder):
        os.chmod(place, 0o700)


def counts(results: Iterable[Result]) -> Iterator[tuple[str, int, int, int, int]]:
    """Area, cases, right results, clear errors and failures, in the order of the areas."""
    areas: dict[str, list[str]] = {}
    for area, _, outcome in results:
        areas.setdefault(area, []).append(outcome.kind)
    for area, kinds in areas.items():
        yield area, len(kinds), kinds.count(RIGHT), kinds.count(CLEAR), kinds.count(FAILURE)


def report(results: list[Result], seed: int) -> str:
    """The table of a campaign as Markdown, and below it every failure."""
    header = ("area", "cases", "right results", "clear errors", "failures")
    lines = [f"Seed {seed}.", "", markdown_table(header, list(counts(results)), right=range(1, 5))]
    measured = [result for result in results if result.outcome.figures]
    if measured:
        lines += ["", "## Measured", ""]
        lines += [f"- {area}, {case}: {outcome.figures}" for area, case, outcome in measured]
    failed = [result for result in results if result.outcome.kind == FAILURE]
    if failed:
        lines += ["", "## Failures", ""]
        lines += [
            f"- {area}, {case}: {' '.join(outcome.text.split())[:600]}" for area, case, outcome in failed
        ]
    return "\n".join(lines) + "\n"
