"""A model that labels images, in this process or in a worker on another machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from omgseg.inference import OMGSegInferencer, SegmentationResult, UnreadableInputs
from omgseg.inference.abilities import require_task
from omgseg.structures import Task, Vocabulary

Record = dict[str, Any]
"""The record of an image, see :meth:`Journal.add`."""
GROUP = 16
"""Unreadable images are reported after this many batches."""


@dataclass(frozen=True)
class Settings:
    """The settings of the labels; can be pickled for other machines.

    Attributes:
        config, weights, device, dtype: see :class:`OMGSegInferencer`.
        task: ``instance``, ``panoptic`` (things that do not overlap), ``semantic`` or ``everything`` (all masks).
        vocabulary: the words to find. None: the words of the training; for ``everything`` masks without names.
        background: see :meth:`OMGSegInferencer.__call__`.
        min_score: objects with a lower score are left out.
        batch_size: images of one size per batch.
        threads: number of CPU threads, on which the last digits of scores depend; None: PyTorch's default.
    """

    config: str
    weights: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    task: str = "instance"
    vocabulary: Vocabulary | None = None
    background: tuple[str, ...] | None = None
    min_score: float = 0.5
    batch_size: int = 1
    threads: int | None = None


class Labeller:
    """Loads a model; each call labels images.

    Attributes:
        vocabulary: the words to find; empty if masks have no names.

    Raises:
        OSError, ValueError: see :class:`OMGSegInferencer`; or the model does not offer the task, or has no words.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        self.settings = settings
        self.seg = OMGSegInferencer(
            settings.config,
            settings.weights,
            device=settings.device,
            dtype=settings.dtype,
            vocabulary=settings.vocabulary,
        )
        task = Task(settings.task)
        require_task(self.seg.segmenter, task)
        if self.seg.abilities.needs_example:
            raise ValueError("the model needs an example image, which only `omgseg predict --example` takes")
        words = self.seg.vocabulary
        if task is Task.EVERYTHING:  # masks get names only on request
            words = None if settings.vocabulary is None else words
        elif words is None and self.seg.abilities.open_vocabulary:
            raise ValueError("the weights do not hold the words of a training; give some with --vocabulary")
        self.vocabulary = words or Vocabulary()

    def __call__(self, images: Iterable[tuple[str, Path]]) -> Iterator[Record]:
        """Label images, given by name and path; yields a record per image, also for those that cannot be read."""
        remaining = iter(images)
        while group := dict(islice(remaining, GROUP * self.settings.batch_size)):
            yield from self._label_group({path: name for name, path in group.items()})

    def _label_group(self, names: dict[Path, str]) -> Iterator[Record]:
        settings = self.settings
        results = self.seg.stream(
            list(names),
            settings.task,
            self.vocabulary if len(self.vocabulary) else None,
            background=None if settings.background is None else list(settings.background),
            min_score=settings.min_score,
            batch_size=settings.batch_size,
        )
        try:
            for result in results:
                yield _record(names[result.path], result)
        except UnreadableInputs as error:
            for file, reason in error.failures:
                yield {"file": names[Path(file)], "error": str(reason)}


def _record(name: str, result: SegmentationResult) -> Record:
    annotations = result.to_coco()["annotations"]
    for annotation in annotations:  # ids are given when journals are merged
        for field in ("id", "image_id", "instance_id"):
            del annotation[field]
    height, width = result.size
    return {"file": name, "height": height, "width": width, "annotations": annotations}
