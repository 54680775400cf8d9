"""Where numbers come from, and parts of a benchmark in processes of their own, whose memory holds nothing else."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch


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
