"""Any model behind the seam in the place of a runner's model, so that every benchmark can test it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.model import BaseModel

from omgseg.datasets.transforms.loading import read_rgb
from omgseg.engine.config import UnsupportedBenchmark
from omgseg.models.mask_queries.video import given_objects
from omgseg.protocols import Request, Segmenter, TrackingModel, VideoModel
from omgseg.structures import NO_CLASS, Category, Segments, Task, Vocabulary
from omgseg.structures.predictions import set_predictions

Sample = DetDataSample | TrackDataSample
SHOWN_WORDS = 8
WORD_TASKS = (Task.PANOPTIC, Task.INSTANCE, Task.SEMANTIC)


class SeamModel(BaseModel):
    """Asks a model behind the seam for the tasks of each sample, and sets the fields that metrics read.

    The model gets images as their files have them, and resizes them itself. A model of any words is asked for those of
    the dataset. The classes of others are mapped to the dataset's by their words, see :func:`map_words`.

    The loops of :mod:`omgseg.engine.click_loop` prompt :attr:`segmenter` itself.

    Args:
        segmenter: implements any of :mod:`omgseg.protocols`.
        video: segments videos; the segmenter itself where it can.

    Attributes:
        report: which words did not map, in one line; empty where all did.
    """

    def __init__(self, segmenter: Segmenter, video: VideoModel) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.video = video
        self.vocabulary = Vocabulary()
        self.report = ""
        self._labels: np.ndarray | None = None

    def set_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Choose the words of the labels of predictions, those of the dataset."""
        self.vocabulary, self.report, self._labels = vocabulary, "", None
        abilities = self.segmenter.abilities
        if len(vocabulary) and not abilities.open_vocabulary and abilities.vocabulary:
            self._labels, self.report = map_words(abilities.vocabulary, vocabulary)

    def test_step(self, data: dict[str, Any]) -> list[Sample]:
        return self.forward(**data, mode="predict")

    def forward(self, inputs: Any, data_samples: list[Sample], mode: str = "tensor") -> list[Sample]:
        """Set the predictions of each sample's tasks, and return the samples; `inputs` are not looked at.

        Raises:
            UnsupportedBenchmark: the model does not offer a task, or has none of the words.
        """
        for sample in data_samples:
            is_video = isinstance(sample, TrackDataSample)
            frames = list(sample.video_data_samples) if is_video else [sample]
            images = [read_rgb(frame.img_path, str(frame.get("source", ""))) for frame in frames]
            for task in map(Task, frames[0].tasks):
                found = (
                    self._follow(frames, images)
                    if task is Task.VOS
                    else self._segment(images, task, is_video)
                )
                set_predictions(frames, found, is_video)
        return data_samples

    def _segment(self, images: Sequence[np.ndarray], task: Task, is_video: bool) -> list[Segments]:
        abilities = self.segmenter.abilities
        if task not in abilities.tasks or task not in WORD_TASKS:
            offered = ", ".join(known.value for known in Task if known in abilities.tasks) or "none"
            raise UnsupportedBenchmark(
                f"the benchmark needs the task {task.value}, which {self._name} does not offer (its tasks: {offered})"
            )
        request = Request(task, self.vocabulary if abilities.open_vocabulary else None)
        found = (
            self.video.predict_video(images, request) if is_video else self.segmenter.predict(images, request)
        )
        return [self._in_dataset_words(segments) for segments in found]

    def _in_dataset_words(self, segments: Segments) -> Segments:
        if self._labels is None:
            return segments
        if (self._labels == NO_CLASS).all():
            raise UnsupportedBenchmark(f"{self._name} knows none of the benchmark's words")
        return segments.replace(labels=self._labels[segments.labels], vocabulary=self.vocabulary)

    def _follow(self, frames: Sequence[DetDataSample], images: Sequence[np.ndarray]) -> list[Segments]:
        """The given objects in all frames. An object may be given in a later frame than the first; the model then
        follows a stream."""
        model = self.segmenter
        if not isinstance(model, TrackingModel):
            raise UnsupportedBenchmark(
                f"the benchmark needs the task vos, and {self._name} does not follow given objects"
            )
        objects = given_objects(frames)
        if [given.frame for given in objects] == [0]:
            (given,) = objects
            return model.track_video(images, given.masks.numpy(), given.ids.numpy())
        start = objects[0].frame if objects else len(images)
        found = [Segments(Task.VOS, image.shape[:2], [], [], []) for image in images[:start]]
        stream = model.open_tracker()
        for first in range(start, len(images), model.clip_size):
            clip = images[first : first + model.clip_size]
            for given in objects:
                if 0 <= given.frame - first < len(clip):
                    stream.add(given.masks.numpy(), given.ids.numpy(), given.frame - first)
            found += stream.push(clip)
        return found

    @property
    def _name(self) -> str:
        return type(self.segmenter).__name__


def map_words(own: Vocabulary, wanted: Vocabulary) -> tuple[np.ndarray, str]:
    """Map a model's classes to those of a dataset.

    A class takes the equal category, else the first one of its kind (thing or stuff) that shares a word with it, else
    the first one of the other kind that does. Several classes may take one category.

    Args:
        own: classes of the model.
        wanted: categories of the dataset.

    Returns:
        The category of each class, int64 (C + 1,), ``NO_CLASS`` where there is none, and at the end for segments
        without a class; and which categories no class takes, and how many classes take none, in one line, empty if all
        map.
    """
    labels = np.full(len(own) + 1, NO_CLASS)
    for number, category in enumerate(own):
        labels[number] = _place_of(category, wanted)
    known = set(labels.tolist())
    missing = [category.name for label, category in enumerate(wanted) if label not in known]
    parts = []
    if missing:
        names = ", ".join(missing[:SHOWN_WORDS]) + (", ..." if len(missing) > SHOWN_WORDS else "")
        parts.append(
            f"{len(missing)} of the benchmark's {len(wanted)} words are not among the model's: {names}"
        )
    if unused := int((labels[:-1] == NO_CLASS).sum()):
        parts.append(f"{unused} of the model's {len(own)} words are not among the benchmark's")
    return labels, "; ".join(parts)


def _place_of(category: Category, wanted: Vocabulary) -> int:
    if category in wanted:
        return wanted.index(category)
    sharing = [label for label, other in enumerate(wanted) if {*category.words} & {*other.words}]
    of_kind = [label for label in sharing if wanted[label].is_thing == category.is_thing]
    return next(iter(of_kind + sharing), NO_CLASS)
