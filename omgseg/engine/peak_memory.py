"""The most memory that was in use at once."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import torch

_PROCESS = Path("/proc/self")


def reset_peak() -> None:
    """Start to measure from what is in use now."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(
        OSError
    ):  # not Linux, or not allowed: the mark then is that of the whole process
        (_PROCESS / "clear_refs").write_text("5")


def peak_bytes() -> int:
    """Bytes at the highest point since :func:`reset_peak`: of GPU memory where there is a GPU, else of this process.

    0 where the system does not tell.
    """
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return process_bytes("VmHWM")


def process_bytes(entry: str) -> int:
    """Bytes of this process's memory: ``"VmRSS"``, what is resident now, or ``"VmHWM"``, the most that ever was.

    0 where the system does not tell.
    """
    try:
        status = (_PROCESS / "status").read_text()
    except OSError:
        return 0
    found = re.search(rf"^{entry}:\s+(\d+) kB$", status, re.MULTILINE)
    return 1024 * int(found.group(1)) if found else 0
