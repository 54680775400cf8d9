"""Resuming in the middle of an epoch without loading the data that has been trained on."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

from omgseg.registry import HOOKS


@HOOKS.register_module()
class ResumeDataHook(Hook):
    """Move a batch sampler that has ``skip`` (:class:`omgseg.datasets.samplers.SourceBatchSampler`) to the
    iteration that training resumes at. Then an interrupted run sees exactly the batches of an uninterrupted
    one.

    Without it mmengine's iteration-based loop draws and drops all earlier batches, and its epoch-based loop
    begins the epoch anew.
    """

    def before_train(self, runner: Runner) -> None:
        batch_sampler = runner.train_dataloader.batch_sampler
        if runner.iter == 0 or not hasattr(batch_sampler, "skip"):
            return
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            batch_sampler.skip(runner.iter - runner.epoch * len(batch_sampler))
        else:
            batch_sampler.skip(runner.iter)
            runner.train_loop.fast_forward_on_resume = True
