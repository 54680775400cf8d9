"""A part of a benchmark in a process of its own, whose memory holds nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import omgseg


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
    package = str(Path(omgseg.__file__).parents[1])
    paths = [package, os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else [package]
    own = {
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONSAFEPATH": "1",
    }  # else a checkout in the working folder wins
    environment = {**os.environ, **own, **variables}
    finished = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if finished.returncode:
        raise RuntimeError(
            f"measuring {what} failed (exit status {finished.returncode}; negative is a signal, -9 means out of"
            f" memory):\n{finished.stderr[-2000:]}"
        )
    return finished.stdout.splitlines()[-1]
