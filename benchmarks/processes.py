"""How benchmarks measure: sides that take turns, parts in processes of their own, whose memory holds nothing else, and
where the numbers come from."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from omgseg.engine.benchmarks import peak_bytes, reset_peak

Run = Callable[[], object]
NO_HEAP = {"MALLOC_MMAP_THRESHOLD_": "131072"}
"""Variables of a process whose memory is measured: freed blocks return to the system at once, else the C library's
heap, not what runs, decides over half of it."""


@dataclass(frozen=True)
class Timing:
    """Medians.

    Attributes:
        seconds: on the clock.
        cpu_seconds: of the processors, waiting of threads for each other included.
    """

    seconds: float
    cpu_seconds: float


def alternate(runs: Mapping[str, Run], repeats: int) -> dict[str, Timing]:
    """Median times of what takes turns, by name, after one run each that does not count."""
    measured: dict[str, list[Timing]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            gc.collect()
            clock, cpu = time.perf_counter(), time.process_time()
            run()
            timing = Timing(time.perf_counter() - clock, time.process_time() - cpu)
            if repeat:
                measured[name].append(timing)
    return {
        name: Timing(
            statistics.median(timing.seconds for timing in timings),
            statistics.median(timing.cpu_seconds for timing in timings),
        )
        for name, timings in measured.items()
    }


def growth_of(run: Run) -> int:
    """Bytes by which this process grows at its peak while it runs; what loads libraries ran before."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # else what setting up has freed would hide a part of the growth
    reset_peak()
    before = peak_bytes()
    run()
    return peak_bytes() - before


def run_fresh(module: str, arguments: list[str], what: str, **variables: str) -> str:
    """The last line that a module of this package prints as a program.

    Args:
        module: full name.
        arguments: of the program.
        what: is measured, for the message of an error.
        variables: of the environment, added to those of this process.

    Raises:
        RuntimeError: the process failed; the message ends with its own.
    """
    command = [sys.executable, "-W", "ignore", "-m", module, *arguments]
    repository = str(Path(__file__).parents[1])
    paths = [repository, os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else [repository]
    # the safe path: else a checkout in the working folder wins
    search = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}
    finished = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **search, **variables}
    )
    if finished.returncode:
        raise RuntimeError(
            f"measuring {what} failed (exit status {finished.returncode}; negative is a signal, -9 means out of"
            f" memory):\n{finished.stderr[-2000:]}"
        )
    return finished.stdout.splitlines()[-1]


def environment() -> dict[str, Any]:
    """Where the numbers come from."""
    return {
        "device": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "load_average": os.getloadavg(),
    }


def _processor() -> str:
    """Name of the processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
