"""Parts of error messages that are the same everywhere. Imports the standard library only."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
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
