"""Peak memory of one side of one case, in a process of its own.

``python -m omgseg.benchmark.peak_memory CASE SIDE THREADS SIZES`` prints the growth in bytes.
"""

from __future__ import annotations

import ctypes
import gc
import sys

import torch

from omgseg.benchmark.cases import CASES, Run
from omgseg.benchmark.fresh_process import run_fresh
from omgseg.benchmark.sizes import TINY, HeadSizes
from omgseg.engine.benchmarks import peak_bytes, reset_peak


def peak_growth(case: str, side: str, sizes: HeadSizes, threads: int) -> int:
    """Bytes by which a fresh process grows at its peak while it runs a side once.

    Its libraries were loaded by a tiny case before; weights and inputs exist before, too.

    Raises:
        RuntimeError: the process failed; the message ends with its own.
    """
    arguments = [case, side, str(threads), sizes.to_json()]
    # freed blocks return to the system at once: else the C library's heap, not the case, decides over half of it
    variables = {"MALLOC_MMAP_THRESHOLD_": "131072"}
    return int(run_fresh(__spec__.name, arguments, f"the memory of {case}, {side},", **variables))


def _growth_of(run: Run) -> int:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # else what setting up has freed would hide a part of the growth
    reset_peak()
    before = peak_bytes()
    run()
    return peak_bytes() - before


def main(case: str, side: str, threads: str, sizes: str) -> None:
    torch.set_num_threads(int(threads))
    CASES[case].prepare(side, TINY)()
    print(_growth_of(CASES[case].prepare(side, HeadSizes.from_json(sizes))))


if __name__ == "__main__":
    main(*sys.argv[1:])
