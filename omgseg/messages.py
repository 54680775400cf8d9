"""Parts of error messages that are the same everywhere. Imports the standard library only."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 80


def shown(value: object) -> str:
    """A value of somebody's file in an error: its ``repr``, of which long texts, lists and numbers are cut."""
    return _SHORT.repr(value)


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: ``"; did you mean 'panoptic'?"``, or "" if no name is similar.

    Args:
        name: the unknown name.
        known: the names that exist. Upper and lower case are equal; the hint spells names as in `known`.

    Returns:
        Up to three names, the nearest first, joined by "or".
    """
    spelled: dict[str, str] = {}
    for known_name in known:
        spelled.setdefault(known_name.lower(), known_name)
    similar = [
        spelled[match] for match in get_close_matches(str(name).lower(), list(spelled), n=3, cutoff=0.6)
    ]
    return f"; did you mean {' or '.join(map(repr, similar))}?" if similar else ""


@contextmanager
def placed(where: str) -> Iterator[None]:
    """Say where it was, where a field is missing or holds something else than it should.

    Args:
        where: what is being read.

    Raises:
        ValueError: instead of an error of Python itself, such as a TypeError.
    """
    try:
        yield
    except (AttributeError, LookupError, OverflowError, TypeError) as error:
        raise ValueError(f"{where}: {_described(error)}") from error
    except ValueError as error:
        if type(error) is ValueError and not names_a_file(error):
            raise ValueError(f"{where}: {error}") from error
        raise


def names_a_file(error: ValueError) -> bool:
    """Whether it is about a file of the user, as the errors of all readers are."""
    return "/" in str(error)


def _described(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"there is no {error}"
    return f"a field holds what it should not ({type(error).__name__}: {error})"
