"""Mistakes in a dataset's files: an error for whoever reads them, entries of a list for whoever checks them.

The readers say what is wrong in one place. Where they could go on without the part that is wrong they call
:func:`report_problem`, and where they could go on without an item they read it in :func:`collecting` or by
:func:`read_all`. Nothing of this is seen in training and testing: the first mistake is raised. Inside
:func:`collect_problems` all of them are collected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from typing import NamedTuple, TypeVar

from omgseg.messages import names_a_file, placed

Item = TypeVar("Item")
Entry = TypeVar("Entry")


class ProblemKind(str, Enum):
    """What can be wrong with a dataset."""

    MISSING = "missing file or folder"
    UNREADABLE = "unreadable file"
    NO_MASK = "image without annotation"
    SIZE = "sizes do not agree"
    CATEGORY = "category that is not in the vocabulary"
    SEGMENT = "segment of a PNG that is not in the annotation file"
    EMPTY = "segment without pixels"
    AREA = "area that does not fit the mask"
    DUPLICATE_ID = "id used twice"
    DUPLICATE_MASK = "mask annotated twice"
    REFERENCE = "annotation of an image that is not listed"
    ANNOTATION = "annotation that cannot be used"
    NO_SAMPLES = "no samples"


class Problem(NamedTuple):
    """One mistake; the text names the file and what is wrong with it."""

    kind: ProblemKind
    text: str


class NoSamples(ValueError):
    """A dataset's files list nothing, or nothing that can be read."""


_found: ContextVar[list[Problem] | None] = ContextVar("found", default=None)


def report_problem(kind: ProblemKind, error: Exception) -> None:
    """Raise `error`; inside :func:`collect_problems` note it, and return: the caller goes on as well as it can."""
    found = _found.get()
    if found is None:
        raise error
    found.append(Problem(kind, str(error)))


@contextmanager
def collecting(where: str) -> Iterator[None]:
    """Pass errors on; inside :func:`collect_problems` note them, and go on behind the block.

    Args:
        where: what is being read, for errors that do not say it themselves.

    Raises:
        ValueError: see :func:`placed`.
    """
    found = _found.get()
    try:
        with placed(where):
            yield
    except Exception as error:
        if found is None:
            raise
        found.append(_from_error(error, where))


def read_all(read: Callable[[Item], Entry], items: Iterable[Item], where: str) -> list[Entry]:
    """``[read(item) for item in items]``; inside :func:`collect_problems` without those that fail.

    Args:
        where: the file of the items.
    """
    entries: list[Entry] = []
    for item in items:
        try:
            entries.append(read(item))
        except Exception:
            with collecting(f"{where}, {str(item)[:80]}"):  # the text of an item takes longer than to read it
                raise
    return entries


@contextmanager
def collect_problems(where: str) -> Iterator[list[Problem]]:
    """Collect what :func:`report_problem` reports, and the error that ends the block, if one does.

    Args:
        where: what is being read, for errors that do not say it themselves.
    """
    found: list[Problem] = []
    token = _found.set(found)
    try:
        with collecting(where):
            yield found
    finally:
        _found.reset(token)


def _from_error(error: Exception, where: str) -> Problem:
    if isinstance(error, FileNotFoundError):
        return Problem(ProblemKind.MISSING, str(error))
    if isinstance(error, NoSamples):
        return Problem(ProblemKind.NO_SAMPLES, str(error))
    if isinstance(error, OSError):
        return Problem(ProblemKind.UNREADABLE, str(error))
    if type(error) is ValueError and names_a_file(error):
        return Problem(ProblemKind.ANNOTATION, str(error))
    return Problem(ProblemKind.ANNOTATION, f"{where}: {type(error).__name__}: {error}")
