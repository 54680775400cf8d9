"""One call for any input and any task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device

from omgseg.apis.background import AskedWords, ask
from omgseg.apis.building import build_model, read_config, test_resize
from omgseg.apis.failures import Failures
from omgseg.apis.gate import ModelGate, choose_dtype
from omgseg.apis.interactive import InteractivePredictor
from omgseg.apis.model_calls import ModelCalls, Question
from omgseg.apis.objects import ObjectInput, given_objects
from omgseg.apis.prompting import check_prompts_given, predict_frame, to_task
from omgseg.apis.results import SegmentationResult, VideoResult
from omgseg.apis.run_folder import locate_run
from omgseg.apis.sources import Source, SourceInput, expand, is_video_input, open_source
from omgseg.apis.words import Words, to_vocabulary
from omgseg.datasets.transforms import Resize
from omgseg.structures import Task

Result = SegmentationResult | VideoResult
MAX_OVERLAP = 0.7
MIN_SCORE = {Task.INSTANCE: 0.3}
"""Instances below are left out, where a call does not say another limit: most of a model's guesses are poor ones."""
LONGEST_EXACT = 40
"""Videos of up to so many frames are read out as a whole (YouTube-VIS has up to 36), longer ones as streams."""


class OMGSegInferencer:
    """Segments images and videos with any words, in any task, with one model.

    ::

        seg = OMGSegInferencer("work_dirs/main")  # the folder of a training
        seg("street.jpg").save("street.png")
        seg("street.jpg", task="instance", vocabulary=["yellow taxi"])
        seg("photos/*.jpg", vocabulary={"things": ["dog"], "stuff": ["grass"]}, batch_size=4)
        seg("film.mp4", task="instance").save("found.mp4")
        for frame in seg.stream(0, task="panoptic"):  # a camera
            picture = frame.draw()
        seg.track("film.mp4", "first_frame.png")

    Args:
        config_or_run_dir: a config file, a config, or the work folder of ``tools/train.py``. The config's test
            pipeline says to what size images are resized.
        weights: a file, or ``hf://owner/repository/file``. None: the newest checkpoint of the work folder; for a
            config, random weights, with a warning.
        device: where to compute; ``"auto"``: the accelerator if there is one.
        dtype: ``"float32"``, ``"bfloat16"`` (autocast) or ``"auto"``: bfloat16 on an accelerator that computes with it.
        vocabulary: the words of all calls that give none, see :func:`~omgseg.apis.words.to_vocabulary`.
            Default: the words of the training, from the checkpoint.
        scale: (width, height) to which images are resized, instead of the config's.

    Attributes:
        model: the model, in eval mode.
        resize: the transform that gives images their test size.
        vocabulary: the words of calls that give none; None if there are none.
        interactive: an :class:`InteractivePredictor` of the same model.

    Raises:
        FileNotFoundError: config, weights, a checkpoint in the work folder, or the image encoder's weights.
        ConfigError, CheckpointError, ValueError: what does not fit, by name.
    """

    def __init__(
        self,
        config_or_run_dir: Config | Mapping[str, Any] | str | Path,
        weights: str | Path | None = None,
        device: str = "auto",
        dtype: str = "auto",
        *,
        vocabulary: Words | None = None,
        scale: tuple[int, int] | None = None,
    ) -> None:
        config, weights = locate_run(config_or_run_dir, weights)
        config = read_config(config)
        words = to_vocabulary(vocabulary)
        self.model = build_model(config, weights, get_device() if device == "auto" else device)
        self.resize = test_resize(config) if scale is None else Resize(tuple(scale))
        self.vocabulary = words or self.model.train_vocabulary
        gate = ModelGate(self.model, choose_dtype(dtype, next(self.model.parameters()).device))
        self.interactive = InteractivePredictor(self.model, self.resize, gate=gate)
        self._calls = ModelCalls(gate, self.resize)

    def __call__(
        self,
        source: SourceInput | Source,
        task: str = "panoptic",
        vocabulary: Words | None = None,
        prompts: Mapping[str, Any] | None = None,
        *,
        background: Words | None = None,
        min_score: float | None = None,
        max_overlap: float = MAX_OVERLAP,
        as_video: bool = False,
        online: bool | None = None,
        batch_size: int = 1,
        on_error: str = "raise",
    ) -> Result | list[Result]:
        """Segment everything, then return.

        Args:
            source: an image, many images, a video, or a list of them; see :func:`~omgseg.apis.sources.open_source`.
            task: ``panoptic``, ``instance``, ``semantic``; ``interactive`` on images; ``vos`` on videos.
            vocabulary: words to find, see :func:`~omgseg.apis.words.to_vocabulary`. Default: the model's own. For
                ``interactive``: words to name the masks with; default: masks have no names.
            prompts: for ``interactive`` ``{"points": [(x, y), ...]}`` or ``{"boxes": [(x1, y1, x2, y2), ...]}`` in
                pixels, one object each; with ``"labels": [1, 0, ...]`` the points are clicks into (1) and beside (0)
                one object. For ``vos`` ``{"masks": ...}``, see :meth:`track`.
            background: words that compete for the scores, but are not found, so that what is none of the asked words
                is rejected; see :func:`~omgseg.apis.background.ask`. ``[]``: none.
            min_score: segments below are left out. Default: 0.3 for ``instance``, else 0.
            max_overlap: of instances of one class that overlap more (IoU) one is kept: the surest, in a video the
                first one. 1: all.
            as_video: the images of a folder or list are the frames of one video.
            online: read a video out as a stream (memory does not grow, identities and classes follow from the past
                alone) or as a whole (exact, as in benchmarks). Default: as a whole up to 40 frames.
            batch_size: images of one size that the model sees at a time.
            on_error: what becomes of unreadable images among several: ``"raise"`` an error at the end, which has
                the results of the others, or ``"skip"`` them with a warning.

        Returns:
            A :class:`SegmentationResult` for an image, a :class:`VideoResult` for a video; for a folder, glob or list
            a list, in the order of the readable inputs.

        Raises:
            UnreadableInputs: some of several images cannot be read; ``results`` has all others.
            FileNotFoundError, OSError, ValueError, TypeError: an input, a task, a word or a prompt is wrong; says
                which, and what is right.
        """
        limits = dict(background=background, min_score=min_score, max_overlap=max_overlap)
        question = self._ask(task, vocabulary, prompts, **limits)
        failures = Failures(on_error)
        entries = None if as_video or isinstance(source, Source) else expand(source)
        if entries is not None and any(is_video_input(entry) for entry in entries):
            results: list[Result] = []
            for entry in entries:
                with failures.of(entry):
                    results.append(self(entry, task, vocabulary, prompts, online=online, **limits))
            failures.finish(results)
            return results
        opened = open_source(source, as_video)
        if opened.is_video:
            return self._video(opened, question, online)
        found = self._images(opened, question, prompts, batch_size, None if opened.is_single else failures)
        if opened.is_single:
            (result,) = found
            return result
        results = [each.replace(image=None) if each.path is not None else each for each in found]
        failures.finish(results)
        return results

    def stream(
        self,
        source: SourceInput | Source,
        task: str = "panoptic",
        vocabulary: Words | None = None,
        prompts: Mapping[str, Any] | None = None,
        *,
        background: Words | None = None,
        min_score: float | None = None,
        max_overlap: float = MAX_OVERLAP,
        as_video: bool = False,
        batch_size: int = 1,
        on_error: str = "raise",
    ) -> Iterator[SegmentationResult]:
        """Segment one image or frame after the other; reading goes on while the model works, and memory stays flat.

        A live source (a camera, an RTSP stream) never falls behind: where the model is too slow, clips are left
        out. Closing the iterator ends the reading.

        Args:
            source, task, ...: see :meth:`__call__`; but one video only.

        Yields:
            Results in the order of the inputs, with their pixels in ``image``.

        Raises:
            UnreadableInputs: at the end, see :meth:`__call__`; without results, as they were yielded.
        """
        question = self._ask(task, vocabulary, prompts, background, min_score, max_overlap)
        failures = Failures(on_error)
        opened = open_source(source, as_video)
        if opened.is_video:
            _check_video(opened, question)
            return self._calls.stream(opened, question, opened.is_live)
        return self._images(
            opened, question, prompts, batch_size, None if opened.is_single else failures, True
        )

    def track(
        self, source: SourceInput | Source, first_frame_masks: ObjectInput, *, online: bool | None = None
    ) -> VideoResult:
        """Follow objects through a video (video object segmentation).

        Args:
            source: a video file, a folder of frames, a video uint8 (T, H, W, 3), a list of frames.
            first_frame_masks: the objects in the first frame: a PNG or integers (H, W) of object numbers, a list of
                masks, a dictionary of ids and masks, or a result for that frame; see
                :func:`~omgseg.apis.objects.given_objects`.
            online: see :meth:`__call__`.

        Returns:
            The objects that are seen in each frame, with the given ids.

        Raises:
            FileNotFoundError, OSError, ValueError, TypeError: as :meth:`__call__`; or the masks do not fit the frames.
        """
        question = self._ask(Task.VOS, None, {"masks": first_frame_masks})
        return self._video(open_source(source, as_video=True), question, online)

    def stream_track(
        self, source: SourceInput | Source, first_frame_masks: ObjectInput
    ) -> Iterator[SegmentationResult]:
        """As :meth:`track`, frame by frame, with flat memory, see :meth:`stream`."""
        question = self._ask(Task.VOS, None, {"masks": first_frame_masks})
        opened = open_source(source, as_video=True)
        return self._calls.stream(opened, question, opened.is_live)

    def _ask(
        self,
        task: str,
        vocabulary: Words | None,
        prompts: Mapping[str, Any] | None,
        background: Words | None = None,
        min_score: float | None = None,
        max_overlap: float = MAX_OVERLAP,
    ) -> Question:
        task = to_task(task)
        check_prompts_given(task, prompts)
        limit = MIN_SCORE.get(task, 0.0) if min_score is None else min_score
        if task is Task.INTERACTIVE:
            words = to_vocabulary(vocabulary)
            return Question(task, None if words is None else AskedWords(words, words), limit)
        if task is Task.VOS:
            return Question(task, None, limit, given_objects(prompts["masks"]))
        words = ask(vocabulary, background, self.vocabulary, self.model.train_vocabulary)
        return Question(task, words, limit, max_overlap=max_overlap)

    def _images(
        self,
        source: Source,
        question: Question,
        prompts: Mapping[str, Any] | None,
        batch_size: int,
        failures: Failures | None,
        raise_at_end: bool = False,
    ) -> Iterator[SegmentationResult]:
        if question.task is Task.VOS:
            raise ValueError(
                f"{source.name} is no video; the task 'vos' follows objects through one (as_video=True?)"
            )
        if batch_size < 1:
            raise ValueError(f"batch_size is a number of images from 1 up, not {batch_size}")
        frames = source.frames(None if failures is None else failures.add)
        if question.task is Task.INTERACTIVE:
            words = None if question.words is None else question.words.asked
            found = (predict_frame(self.interactive, frame, prompts, words) for frame in frames)
        else:
            found = self._calls.images(frames, question, batch_size)
        return _ending_with(found, failures) if failures is not None and raise_at_end else found

    def _video(self, source: Source, question: Question, online: bool | None) -> VideoResult:
        _check_video(source, question)
        if source.is_live:
            raise ValueError(
                f"{source.name} has no end; use seg.stream, which gives results as they are ready"
            )
        frames = iter(source)
        first = list(islice(frames, LONGEST_EXACT + 1)) if online is None else []
        if not online and len(first) <= LONGEST_EXACT:
            results = self._calls.video([*first, *frames], question)
        else:
            results = self._calls.stream(chain(first, frames), question)
            del first  # else these frames stay in memory until the end
        return VideoResult(results, source.fps, source.path, source.name)


def _check_video(source: Source, question: Question) -> None:
    if question.task is Task.INTERACTIVE:
        raise ValueError(
            f"{source.name} is a video; prompts are for images: give one of its frames, or use InteractiveVideo"
        )


def _ending_with(found: Iterator[SegmentationResult], failures: Failures) -> Iterator[SegmentationResult]:
    yield from found
    failures.finish()
