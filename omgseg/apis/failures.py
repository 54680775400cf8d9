"""One unreadable input among many does not lose the others."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

SHOWN = 5
"""So many failures are spelled out in a message."""


class UnreadableInputs(OSError):
    """Some of several inputs could not be read; the others were segmented.

    Attributes:
        failures: (name, error) of each of them.
        results: of the others, in their order; empty where they were yielded one by one.
    """

    def __init__(self, failures: Sequence[tuple[str, Exception]], results: Sequence[Any] = ()) -> None:
        super().__init__(_report(failures))
        self.failures = list(failures)
        self.results = list(results)


class Failures:
    """Collects the errors of a call.

    Args:
        on_error: ``"raise"`` them together at the end, or ``"skip"`` with a warning.

    Raises:
        ValueError: neither.
    """

    def __init__(self, on_error: str) -> None:
        if on_error not in ("raise", "skip"):
            raise ValueError(f"on_error is 'raise' or 'skip', not {on_error!r}")
        self.on_error = on_error
        self._failures: list[tuple[str, Exception]] = []

    def add(self, name: str, error: Exception) -> None:
        """Note an input that cannot be read."""
        self._failures.append((name, error))

    @contextmanager
    def of(self, entry: object) -> Iterator[None]:
        """Note what reading `entry` raises."""
        try:
            yield
        except OSError as error:
            self.add(str(entry) if isinstance(entry, (str, Path)) else "an input", error)

    def finish(self, results: Sequence[Any] = ()) -> None:
        """The end of the inputs.

        Raises:
            UnreadableInputs: there were failures, which are not skipped.
        """
        if not self._failures:
            return
        if self.on_error == "raise":
            raise UnreadableInputs(self._failures, results)
        print_log(_report(self._failures), logger="current", level=logging.WARNING)


def _report(failures: Sequence[tuple[str, Exception]]) -> str:
    lines = [f"{len(failures)} inputs could not be read (on_error='skip' leaves such inputs out):"]
    lines += [
        f"  {error}" if name in str(error) else f"  {name}: {error}" for name, error in failures[:SHOWN]
    ]
    if len(failures) > SHOWN:
        lines.append(f"  ... and {len(failures) - SHOWN} more")
    return "\n".join(lines)
