"""Batches of equal sizes from a stream of inputs of mixed sizes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
WINDOW = 4
"""An item waits for others of its size while at most this many batches of later items arrive."""


def run_in_batches(
    items: Iterable[T], key: Callable[[T], Hashable], run: Callable[[list[T]], list[R]], batch_size: int
) -> Iterator[R]:
    """Run items of one key together, and yield the results in the order of the items.

    What is held at a time is bounded: by `WINDOW` batches of items and results.

    Args:
        key: items that may share a batch have the same one.
        run: a result for each item, at most `batch_size` of them.
    """
    groups: dict[Hashable, list[tuple[int, T]]] = {}
    results: dict[int, R] = {}
    due = 0

    def run_group(of: Hashable) -> None:
        positions, group = zip(*groups.pop(of), strict=True)
        results.update(zip(positions, run(list(group)), strict=True))

    def group_of(position: int) -> Hashable:
        return next(name for name, group in groups.items() if group[0][0] == position)

    for position, item in enumerate(items):
        own = key(item)
        groups.setdefault(own, []).append((position, item))
        if len(groups[own]) == batch_size:
            run_group(own)
        elif position - due >= WINDOW * batch_size:
            run_group(group_of(due))
        while due in results:
            yield results.pop(due)
            due += 1
    while groups:
        run_group(group_of(due))
        while due in results:
            yield results.pop(due)
            due += 1
