"""The areas of the campaign: what gives the cases, and how many there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.chaos import (
    common_inputs,
    downloads,
    evaluation,
    full_disks,
    hostile_files,
    kills,
    long_runs,
    mutated_files,
    threads,
    tools_on_data,
    web_page,
)
from tests.chaos.campaign import Case


class Area(NamedTuple):
    """What is tried.

    Attributes:
        cases: gets the seed, how many cases are wanted, and the folder of :func:`tests.chaos.world.write_world`.
        count: of the whole campaign.
        quick: of the part that the tests run; 0 where a case takes too long for that.
        quick_cases: gives the cases of that part, where they are not some of the others.
    """

    cases: Callable[[int, int, Path], Iterable[Case]]
    count: int
    quick: int
    quick_cases: Callable[[int, int, Path], Iterable[Case]] | None = None


AREAS: dict[str, Area] = {
    "mutated files": Area(mutated_files.cases, mutated_files.COUNT, 45),
    "hostile files": Area(hostile_files.cases, hostile_files.COUNT, 10),
    "inputs that people have": Area(common_inputs.cases, common_inputs.COUNT, 12),
    "full disks": Area(full_disks.cases, full_disks.COUNT, 4),
    "threads": Area(threads.cases, threads.COUNT, 0),
    "labelling killed": Area(kills.labelling_cases, kills.LABELLING_COUNT, 1),
    "training killed": Area(kills.training_cases, kills.TRAINING_COUNT, 0),
    "training on NaN": Area(tools_on_data.training_cases, tools_on_data.TRAINING_COUNT, 1),
    "testing on damage": Area(tools_on_data.testing_cases, tools_on_data.TESTING_COUNT, 3),
    "evaluation": Area(evaluation.cases, evaluation.COUNT, 2),
    "downloads": Area(downloads.cases, downloads.COUNT, 0),
    "web page": Area(web_page.cases, web_page.COUNT, 12),
    "long runs": Area(
        long_runs.cases, long_runs.COUNT, long_runs.COUNT, partial(long_runs.cases, length=long_runs.QUICK)
    ),
}
