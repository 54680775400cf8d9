"""Leaving the group of processes."""

from pathlib import Path
from types import SimpleNamespace

import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from omgseg.engine.config import leave_process_group


def gloo_threads() -> int:
    return sum("gloo" in file.read_text() for file in Path("/proc/self/task").glob("*/comm"))


def test_no_thread_of_the_group_is_left(tmp_path):
    """One that is left aborts the process when Python ends before it."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    runner = SimpleNamespace(model=DistributedDataParallel(nn.Linear(1, 1)))
    runner.hook = SimpleNamespace(runner=runner)
    assert gloo_threads()
    del runner
    leave_process_group()
    assert not dist.is_initialized()
    assert not gloo_threads()
    leave_process_group()  # a single process has no group to leave
