"""The model on images, videos and streams, with pixels prepared in a thread of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch
from mmdet.structures import DetDataSample

from omgseg.apis.background import AskedWords
from omgseg.apis.batches import run_in_batches
from omgseg.apis.duplicates import without_duplicates
from omgseg.apis.frames import Frame
from omgseg.apis.gate import ModelGate
from omgseg.apis.inputs import Clip
from omgseg.apis.objects import GivenObjects
from omgseg.apis.packing import pack_clip
from omgseg.apis.prefetch import read_ahead
from omgseg.apis.results import SegmentationResult, result_of
from omgseg.datasets.transforms import Resize
from omgseg.models.video.object_tracker import ObjectTracker
from omgseg.models.video.stream import VideoStream
from omgseg.structures import Task

CLIPS_AHEAD = 2


@dataclass(frozen=True)
class Question:
    """What is asked of every frame.

    Attributes:
        task: one.
        words: what to find; None for the task ``vos``.
        min_score: segments of lower scores are left out.
        objects: to follow, for the task ``vos``.
        max_overlap: of instances of one class that overlap more (IoU) one is kept.
    """

    task: Task
    words: AskedWords | None = None
    min_score: float = 0.0
    objects: GivenObjects | None = None
    max_overlap: float = 1.0

    def answer(
        self, samples: Sequence[DetDataSample], frames: Sequence[Frame], is_video: bool
    ) -> list[SegmentationResult]:
        """The results for an image, or for the frames of a clip or video, from the model's samples."""
        results = [
            self._answer(sample, frame, is_video) for sample, frame in zip(samples, frames, strict=True)
        ]
        return without_duplicates(results, self.max_overlap) if self.task is Task.INSTANCE else results

    def _answer(self, sample: DetDataSample, frame: Frame, is_video: bool) -> SegmentationResult:
        result = result_of(
            sample,
            None if self.words is None else self.words.all,
            path=frame.path,
            name=frame.name,
            image=frame.image,
            frame_index=frame.index if is_video else None,
            time=frame.time,
            task=self.task,
        )
        if self.words is not None:
            result = self.words.answer(result)
        if self.min_score > 0:
            result = result.confident(self.min_score)
        return result


class ModelCalls:
    """The model behind the inferencer.

    Args:
        gate: to the model.
        resize: the test size.
    """

    def __init__(self, gate: ModelGate, resize: Resize) -> None:
        self.model = gate.model
        self.resize = resize
        self._gate = gate

    def images(
        self, frames: Iterable[Frame], question: Question, batch_size: int = 1
    ) -> Iterator[SegmentationResult]:
        """Results of independent images, in their order; those of one size share batches."""

        def run(batch: list[tuple[Frame, dict[str, Any]]]) -> list[SegmentationResult]:
            data = {key: [packed[key] for _, packed in batch] for key in ("inputs", "data_samples")}
            with self._asking(question):
                samples = self.model.test_step(data)
            return [
                result
                for (frame, _), sample in zip(batch, samples, strict=True)
                for result in question.answer([sample], [frame], False)
            ]

        packed = ((frame, self._pack([frame], question, is_video=False)) for frame in frames)
        ahead = read_ahead(packed, depth=2 * batch_size)
        try:
            yield from run_in_batches(ahead, lambda item: item[1]["inputs"].shape, run, batch_size)
        finally:
            ahead.close()

    def video(self, frames: Sequence[Frame], question: Question) -> list[SegmentationResult]:
        """Results of the frames of a video that is read out as a whole: exact, and as large as the video is long."""
        packed = self._pack(frames, question, is_video=True, objects=question.objects)
        with self._asking(question):
            (sample,) = self.model.test_step({key: [value] for key, value in packed.items()})
        return question.answer(sample.video_data_samples, frames, True)

    def stream(
        self, frames: Iterable[Frame], question: Question, is_live: bool = False
    ) -> Iterator[SegmentationResult]:
        """Results of the frames of a video clip by clip, as they are ready; memory does not grow.

        Args:
            is_live: where the model is too slow, clips are dropped rather than results delayed.
        """
        steps: VideoStream | ObjectTracker
        if question.objects is None:
            steps = VideoStream(self.model, (question.task,))
        else:
            steps = ObjectTracker(self.model)
            steps.add(torch.from_numpy(question.objects.masks), torch.from_numpy(question.objects.ids))
        clips = ((clip, self._pack(clip, question, is_video=True)) for clip in self._clips(frames))
        ahead = read_ahead(clips, CLIPS_AHEAD, drop_oldest=is_live)
        try:
            for clip, packed in ahead:
                if question.objects is not None:
                    question.objects.check_size(clip[0].image.shape[:2])
                samples = packed["data_samples"].video_data_samples
                with self._asking(question):
                    samples = steps.push(packed["inputs"], samples)
                yield from question.answer(samples, clip, True)
        finally:
            ahead.close()

    @contextmanager
    def _asking(self, question: Question) -> Iterator[None]:
        """The model with the words and the limit of the question."""
        with self._gate.open():
            config = self.model.test_config
            if question.words is not None:
                self.model.set_vocabulary(question.words.all)
                self.model.test_config = replace(config, min_score=question.min_score)
            try:
                yield
            finally:
                self.model.test_config = config

    def _clips(self, frames: Iterable[Frame]) -> Iterator[list[Frame]]:
        iterator = iter(frames)
        try:
            while clip := list(islice(iterator, self.model.test_config.clip_size)):
                yield clip
        finally:
            if hasattr(iterator, "close"):
                iterator.close()

    def _pack(
        self,
        frames: Sequence[Frame],
        question: Question,
        is_video: bool,
        objects: GivenObjects | None = None,
    ) -> dict[str, Any]:
        paths = [frame.path for frame in frames if frame.path is not None]
        clip = Clip([frame.image for frame in frames], paths, is_video, frames[0].name)
        return pack_clip(clip, (question.task.value,), self.resize, objects)
