"""Hooks of training and testing that mmengine does not have, and bfloat16 training."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from omgseg.engine.config import NonFiniteLossError
from omgseg.engine.runner import unwrap
from omgseg.models.checkpoints.loading import VOCABULARY_KEY, words_of
from omgseg.registry import HOOKS, OPTIM_WRAPPERS
from omgseg.structures import Vocabulary


def vocabulary_of(dataset: Any) -> Vocabulary:
    """The vocabulary of a dataset, also inside mmengine's wrappers (``RepeatDataset`` and the like).

    Raises:
        TypeError: neither the dataset nor what it wraps has one.
    """
    vocabulary = _vocabulary_or_none(dataset)
    if vocabulary is None:
        raise TypeError(
            f"{type(dataset).__name__} has no vocabulary: give it an attribute `vocabulary`, or join datasets with "
            "omgseg's JointDataset, which merges theirs"
        )
    return vocabulary


def _vocabulary_or_none(dataset: Any) -> Vocabulary | None:
    while dataset is not None:
        vocabulary = getattr(dataset, "vocabulary", None)
        if isinstance(vocabulary, Vocabulary):
            return vocabulary
        dataset = getattr(dataset, "dataset", None)
    return None


@HOOKS.register_module()
class VocabularyHook(Hook):
    """Sets ``model.set_vocabulary(dataset.vocabulary)`` before training, validation and testing.

    A class-agnostic dataset (an empty vocabulary) has no words to set: the training vocabulary is set instead.
    After a validation inside the training loop the training vocabulary returns. Checkpoints hold the training
    vocabulary as JSON under ``meta["train_vocabulary"]``, and loading one restores ``model.train_vocabulary``.

    A model without ``set_vocabulary`` has fixed classes, or none: nothing is set, and its datasets need no vocabulary.
    Where they have one, checkpoints hold it all the same: it says what the classes of the model are.
    """

    def __init__(self) -> None:
        self._training: Vocabulary | None = None

    def before_train(self, runner: Runner) -> None:
        model, dataset = unwrap(runner.model), runner.train_dataloader.dataset
        if hasattr(model, "set_vocabulary"):
            self._training = model.train_vocabulary = vocabulary_of(dataset)
            model.set_vocabulary(self._training)
        else:
            self._training = _vocabulary_or_none(dataset)

    def after_train(self, runner: Runner) -> None:
        self._training = None

    def before_val(self, runner: Runner) -> None:
        self._set(runner, runner.val_dataloader.dataset)

    def after_val(self, runner: Runner) -> None:
        model = unwrap(runner.model)
        if self._training is not None and hasattr(model, "set_vocabulary"):
            model.set_vocabulary(self._training)

    def before_test(self, runner: Runner) -> None:
        self._set(runner, runner.test_dataloader.dataset)

    @staticmethod
    def _set(runner: Runner, dataset: Any) -> None:
        model = unwrap(runner.model)
        if not hasattr(model, "set_vocabulary"):
            return
        vocabulary = vocabulary_of(dataset)
        trained = getattr(model, "train_vocabulary", None)
        model.set_vocabulary(vocabulary if len(vocabulary) else trained or vocabulary)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Put the vocabulary in as JSON and take mmengine's copies of the dataset's ``metainfo`` out: objects of our
        classes would tie the file to the code that wrote it."""
        vocabulary = self._training
        if vocabulary is None:
            vocabulary = getattr(unwrap(runner.model), "train_vocabulary", None)
        if vocabulary is None:  # data of another package, with metainfo of its own
            return
        checkpoint["meta"].pop("dataset_meta", None)
        checkpoint["message_hub"]["runtime_info"].pop("dataset_meta", None)
        if len(vocabulary):  # data without classes have an empty one
            checkpoint["meta"][VOCABULARY_KEY] = json.dumps(vocabulary.to_dict())

    def after_load_checkpoint(self, runner: Runner, checkpoint: Mapping[str, Any]) -> None:
        vocabulary = words_of(checkpoint)
        if vocabulary is None:
            return
        model = unwrap(runner.model)
        if hasattr(model, "set_vocabulary"):
            model.train_vocabulary = vocabulary
        if isinstance(runner._train_loop, Mapping) or runner._train_loop is None:
            return
        # mmengine warns on resuming unless this equals the dataset's metainfo; the vocabulary is what matters in it
        dataset = runner.train_dataloader.dataset
        if vocabulary == _vocabulary_or_none(dataset):
            checkpoint["meta"]["dataset_meta"] = getattr(dataset, "metainfo", None)


def batch_files(data_samples: Iterable[Any]) -> list[str]:
    """Image files of a batch; a clip (``TrackDataSample``) gives all its frames."""
    files: list[str] = []
    for sample in data_samples:
        frames = getattr(sample, "video_data_samples", None)
        if frames is not None:
            files.extend(batch_files(frames))
        else:
            files.append(str(sample.metainfo.get("img_path", "(file unknown)")))
    return files


SHOWN_WEIGHTS = 3


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Checks the losses of every iteration, and the weights before they are written; the last checkpoint on disk is
    from before the bad step."""

    priority = "VERY_HIGH"  # before the logger and the checkpoint of this iteration

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Mapping[str, Any] | None = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        names = list(outputs or {})
        if not names:
            return
        values = [torch.as_tensor(value).detach().float().reshape(()) for value in outputs.values()]
        device = next((value.device for value in values if value.device.type != "cpu"), values[0].device)
        # one tensor: to read it waits for the device once, not once per loss
        stacked = torch.stack([value.to(device) for value in values])
        bad = {n: v for n, v in zip(names, stacked.tolist(), strict=True) if not math.isfinite(v)}
        if bad:
            samples = data_batch.get("data_samples", ()) if isinstance(data_batch, Mapping) else ()
            raise NonFiniteLossError(
                f"iteration {runner.iter}: {', '.join(f'{name} = {value}' for name, value in bad.items())}. "
                f"Files of the batch: {', '.join(batch_files(samples)) or '(none named)'}. "
                "Look at these files, or lower the learning rate and resume from the last checkpoint."
            )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """A gradient may be NaN or infinite where no loss is, and the next losses would show it too late."""
        trained = {name: value for name, value in runner.model.named_parameters() if value.requires_grad}
        if not trained:
            return
        finite = torch.stack([value.isfinite().all() for value in trained.values()]).tolist()
        bad = [name for name, is_finite in zip(trained, finite, strict=True) if not is_finite]
        if bad:
            shown = ", ".join(bad[:SHOWN_WEIGHTS]) + (", ..." if len(bad) > SHOWN_WEIGHTS else "")
            raise NonFiniteLossError(
                f"iteration {runner.iter}: {len(bad)} of {len(trained)} weights are not finite, though the losses were "
                f"({shown}); no checkpoint is written. Lower the learning rate, or clip the gradients "
                "(optim_wrapper.clip_grad), and resume from the last checkpoint."
            )


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


@HOOKS.register_module()
class ResumeDataHook(Hook):
    """Move a batch sampler that has ``skip`` (:class:`omgseg.datasets.samplers.SourceBatchSampler`) to the
    iteration that training resumes at. Then an interrupted run sees exactly the batches of an uninterrupted
    one.

    Without it mmengine's iteration-based loop draws and drops all earlier batches, and its epoch-based loop
    begins the epoch again.
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


@OPTIM_WRAPPERS.register_module()
class Bf16OptimWrapper(OptimWrapper):
    """Runs the forward pass in bfloat16 autocast, on any device. Weights, gradients and optimizer stay float32.

    bfloat16 has float32's range, so gradients need no scaling (mmengine's ``AmpOptimWrapper`` scales, and needs a GPU).
    """

    @contextlib.contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, dtype=torch.bfloat16):
            yield
