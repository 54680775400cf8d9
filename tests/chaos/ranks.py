"""Several processes that work as one: forks of a case, joined by gloo over a file in place of a launcher's port."""

from __future__ import annotations

import os
import signal
import tempfile
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import torch.distributed

from omgseg.engine.config import leave_process_group

TIMEOUT = timedelta(seconds=120)


def run_ranks(action: Callable[[int], int], processes: int, folder: Path) -> int:
    """Call ``action(rank)`` in each of several forks. When one fails the others are killed, as torchrun does it.

    Args:
        action: gives an exit status.
        processes: of one process no group is made.
        folder: gets the file over which the processes meet, a new one each time.

    Returns:
        The exit status: 0, or that of the first fork that failed. If that one was killed, this process is, too.
    """
    store = Path(tempfile.mkdtemp(prefix="store-", dir=folder)) / "store"
    children = set()
    for rank in range(processes):
        child = os.fork()
        if child == 0:
            os._exit(_run_rank(action, rank, processes, store))
        children.add(child)
    failed = 0
    while children:
        child, status = os.wait()
        children.discard(child)
        if status and not failed:
            failed = status
            for other in children:
                os.kill(other, signal.SIGKILL)
    if os.WIFSIGNALED(failed):
        os.kill(os.getpid(), os.WTERMSIG(failed))
    return os.waitstatus_to_exitcode(failed)


def _run_rank(action: Callable[[int], int], rank: int, processes: int, store: Path) -> int:
    try:
        if processes > 1:
            os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(processes))
            torch.distributed.init_process_group(
                "gloo", init_method=f"file://{store}", rank=rank, world_size=processes, timeout=TIMEOUT
            )
        status = action(rank)
        leave_process_group()
        return status
    except BaseException:
        traceback.print_exc()
        return 99
