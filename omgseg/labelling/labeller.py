"""A model that labels images or videos, in this process or in a worker on another machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from omgseg.inference import OMGSegInferencer, SegmentationResult, UnreadableInputs, VideoResult
from omgseg.inference.abilities import require_task
from omgseg.inference.first_masks import given_example
from omgseg.inference.results.json_file import image_content, video_content
from omgseg.inference.sources import open_source
from omgseg.structures import Task, Vocabulary
from omgseg.structures.images import IMAGE_SUFFIXES

Record = dict[str, Any]
"""The record of an image, see :meth:`Journal.add`."""
GROUP = 16
"""Unreadable images are reported after this many batches."""


@dataclass(frozen=True)
class Settings:
    """The settings of the labels; can be pickled for other machines.

    Attributes:
        config, weights, device, dtype: see :class:`OMGSegInferencer`.
        format: of the file that the records become: ``coco``, ``panoptic`` (maps of images), ``youtube-vis`` (videos).
        task: ``instance``, ``panoptic`` (in COCO files the things, which do not overlap), ``semantic``, or
            ``everything`` (all masks).
        vocabulary: the words to find. None: the words of the training; for ``everything`` masks without names.
        background, example: see :meth:`OMGSegInferencer.__call__`.
        min_score: objects with a lower score are left out.
        batch_size: images of one size per batch.
        threads: number of CPU threads, on which the last digits of scores depend; None: PyTorch's default.
    """

    config: str
    weights: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    format: str = "coco"
    task: str = "instance"
    vocabulary: Vocabulary | None = None
    background: tuple[str, ...] | None = None
    example: tuple[str, str] | None = None
    min_score: float = 0.5
    batch_size: int = 1
    threads: int | None = None


class Labeller:
    """Loads a model; each call labels images, or videos.

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
        if settings.example is not None or self.seg.abilities.needs_example:
            _, self.vocabulary = given_example(self.seg.segmenter, settings.example, settings.vocabulary)
            return
        words = self.seg.vocabulary
        if task is Task.EVERYTHING:  # masks get names only on request
            words = None if settings.vocabulary is None else words
        elif words is None and self.seg.abilities.open_vocabulary:
            raise ValueError("the weights do not hold the words of a training; give some with --vocabulary")
        self.vocabulary = words or Vocabulary()

    def __call__(self, sources: Iterable[tuple[str, Path]]) -> Iterator[Record]:
        """Label images or videos, given by name and path; yields a record of each, also if it cannot be read."""
        if self.settings.format == "youtube-vis":
            yield from (self._label_video(name, path) for name, path in sources)
            return
        remaining = iter(sources)
        while group := dict(islice(remaining, GROUP * self.settings.batch_size)):
            yield from self._label_images({path: name for name, path in group.items()})

    def _label_images(self, names: dict[Path, str]) -> Iterator[Record]:
        try:
            for result in self._stream(list(names), batch_size=self.settings.batch_size):
                yield self._record(names[result.path], result)
        except UnreadableInputs as error:
            for file, reason in error.failures:
                yield {"file": names[Path(file)], "error": str(reason)}

    def _label_video(self, name: str, path: Path) -> Record:
        try:
            source = open_source(path, as_video=True)
            frames = [_named(result, name) for result in self._stream(source)]
        except (OSError, ValueError) as error:
            return {"file": name, "error": str(error)}
        if not frames:
            return {"file": name, "error": f"{path} has no frames"}
        video = VideoResult(frames, source.fps, name, source.name)
        return {"file": name, "result": _without_words(video_content(video))}

    def _stream(self, source: Any, **options: Any) -> Iterator[SegmentationResult]:
        settings = self.settings
        return self.seg.stream(
            source,
            settings.task,
            self.vocabulary if len(self.vocabulary) else None,
            background=None if settings.background is None else list(settings.background),
            min_score=settings.min_score,
            example=settings.example,
            **options,
        )

    def _record(self, name: str, result: SegmentationResult) -> Record:
        if self.settings.format == "panoptic":
            return {"file": name, "result": _without_words(image_content(result.replace(path=Path(name))))}
        annotations = result.to_coco()["annotations"]
        for annotation in annotations:  # ids are given when journals are merged
            for field in ("id", "image_id", "instance_id"):
                del annotation[field]
        height, width = result.size
        return {"file": name, "height": height, "width": width, "annotations": annotations}


def _named(result: SegmentationResult, name: str) -> SegmentationResult:
    """A frame without its pixels, whose path begins with the name of its video and holds no folder of this machine."""
    is_file = result.path is not None and result.path.suffix.lower() in IMAGE_SUFFIXES
    return result.replace(path=Path(name, result.path.name) if is_file else Path(name), image=None)


def _without_words(content: dict[str, Any]) -> dict[str, Any]:
    """A result without its vocabulary, which the journal has once for all."""
    return {field: value for field, value in content.items() if field != "vocabulary"}
