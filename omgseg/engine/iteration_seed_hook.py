"""Random numbers of the model that depend on the iteration, not on what came before."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from omgseg.registry import HOOKS


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Seeds torch before each training iteration from (the run's seed, rank, iteration).

    The points at which the losses compare masks are random. Checkpoints do not hold the generators' states, so this
    is what makes a resumed run equal an uninterrupted one; augmentation is seeded sample by sample, see
    :class:`omgseg.datasets.samplers.SeededIndex`.
    """

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        entropy = (runner.seed or 0, get_rank(), runner.iter)
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))
