"""What errors say in the same words everywhere. Imports the standard library only."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: ``"; did you mean 'panoptic'?"``, or nothing if no name is near.

    Args:
        name: what was given.
        known: names that exist. Case does not matter for being near; the hint spells them as they are given here.

    Returns:
        Up to three names, the nearest first, joined by "or".
    """
    spelled: dict[str, str] = {}
    for one in known:
        spelled.setdefault(one.lower(), one)
    near = [spelled[match] for match in get_close_matches(str(name).lower(), list(spelled), n=3, cutoff=0.6)]
    return f"; did you mean {' or '.join(repr(one) for one in near)}?" if near else ""
