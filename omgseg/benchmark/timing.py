"""Times of two sides that take turns, so that a machine's other work disturbs both alike."""

from __future__ import annotations

import gc
import statistics
import time
from dataclasses import dataclass

from omgseg.benchmark.cases import SIDES, Case
from omgseg.benchmark.sizes import HeadSizes


@dataclass(frozen=True)
class Timing:
    """Medians.

    Attributes:
        seconds: on the clock.
        cpu_seconds: of the processors, waiting of threads for each other included.
    """

    seconds: float
    cpu_seconds: float


def take_turns(case: Case, sizes: HeadSizes, repeats: int) -> dict[str, Timing]:
    """Median times of each side, after one run each that does not count."""
    runs = {side: case.prepare(side, sizes) for side in SIDES}
    measured: dict[str, list[Timing]] = {side: [] for side in SIDES}
    for repeat in range(repeats + 1):
        for side, run in runs.items():
            gc.collect()
            clock, cpu = time.perf_counter(), time.process_time()
            run()
            timing = Timing(time.perf_counter() - clock, time.process_time() - cpu)
            if repeat:
                measured[side].append(timing)
    return {
        side: Timing(
            statistics.median(timing.seconds for timing in timings),
            statistics.median(timing.cpu_seconds for timing in timings),
        )
        for side, timings in measured.items()
    }
