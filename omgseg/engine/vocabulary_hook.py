"""Tells the model which classes the data at hand has, and remembers in checkpoints which ones it was trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from omgseg.engine.unwrap import unwrap
from omgseg.registry import HOOKS
from omgseg.structures import Vocabulary

META_KEY = "train_vocabulary"


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

    A class-agnostic dataset (an empty vocabulary) has no words to set; the training vocabulary stays, or returns.
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
        vocabulary = self._training or getattr(unwrap(runner.model), "train_vocabulary", None)
        if vocabulary is None:  # data of another package, with metainfo of its own
            return
        checkpoint["meta"].pop("dataset_meta", None)
        checkpoint["message_hub"]["runtime_info"].pop("dataset_meta", None)
        checkpoint["meta"][META_KEY] = json.dumps(vocabulary.to_dict())

    def after_load_checkpoint(self, runner: Runner, checkpoint: Mapping[str, Any]) -> None:
        meta = checkpoint.get("meta") or {}
        if META_KEY not in meta:
            return
        vocabulary = Vocabulary.from_dict(json.loads(meta[META_KEY]))
        model = unwrap(runner.model)
        if hasattr(model, "set_vocabulary"):
            model.train_vocabulary = vocabulary
        if isinstance(runner._train_loop, Mapping) or runner._train_loop is None:
            return
        # mmengine warns on resuming unless this equals the dataset's metainfo; the vocabulary is what matters in it
        dataset = runner.train_dataloader.dataset
        if vocabulary == _vocabulary_or_none(dataset):
            meta["dataset_meta"] = getattr(dataset, "metainfo", None)
