"""A short line of progress now and then, instead of every loss of every layer."""

from __future__ import annotations

import time
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from omgseg.registry import HOOKS


@HOOKS.register_module()
class ProgressHook(Hook):
    """Prints iteration, loss and remaining time.

    Args:
        interval: iterations between two lines.
    """

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval
        self._start = 0.0

    def before_train(self, runner: Runner) -> None:
        self._start = time.perf_counter()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        done, total = runner.iter + 1, runner.max_iters
        if done % self.interval and done != total:
            return
        seconds = (time.perf_counter() - self._start) / done
        remaining = time.strftime("%M:%S", time.gmtime(seconds * (total - done)))
        loss = runner.message_hub.get_scalar("train/loss").mean(self.interval)
        print(
            f"  iteration {done}/{total}  loss {loss:.2f}  {seconds:.2f} s each  {remaining} left", flush=True
        )
