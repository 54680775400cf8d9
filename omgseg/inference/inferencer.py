"""One call for any input and any task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any

from mmengine.config import Config

from omgseg.inference.abilities import UnsupportedRequest, abilities_of, require_prompts, require_task
from omgseg.inference.first_masks import ExampleInput, GivenObjects, ObjectInput, given_example, given_objects
from omgseg.inference.frame_by_frame import FrameByFrame
from omgseg.inference.interactive import ALIKE_MIN_SCORE, InteractivePredictor
from omgseg.inference.interactive import MIN_SCORE as EVERYTHING_MIN_SCORE
from omgseg.inference.loading import load
from omgseg.inference.results import SegmentationResult, VideoResult
from omgseg.inference.running import (
    Failures,
    check_share,
    locked,
    read_ahead,
    run_in_batches,
    without_duplicates,
)
from omgseg.inference.sources import (
    Frame,
    Source,
    SourceInput,
    expand,
    is_video_input,
    open_images,
    open_source,
)
from omgseg.inference.words import (
    WordChoice,
    Words,
    choose_names,
    choose_word,
    choose_words,
    select_words,
    to_vocabulary,
)
from omgseg.messages import did_you_mean
from omgseg.protocols import Abilities, ClipStream, Example, Request, Segmenter, VideoModel
from omgseg.structures import Segments, Task, Vocabulary

Result = SegmentationResult | VideoResult
OnError = Callable[[str, Exception], None]
MAX_OVERLAP = 0.7
MIN_SCORE = {Task.INSTANCE: 0.3, Task.EVERYTHING: EVERYTHING_MIN_SCORE}
"""The default score threshold of these tasks; 0 for all others. Most of a model's segments have low scores."""
LONGEST_EXACT = 40
"""Videos of up to this many frames are segmented as a whole (YouTube-VIS has up to 36), longer ones as streams."""
CLIPS_AHEAD = 2
PROMPTS = {Task.INTERACTIVE: ("points", "labels", "boxes", "exemplars"), Task.VOS: ("masks",)}
DEFAULT_TASKS = (Task.PANOPTIC, Task.INSTANCE, Task.SEMANTIC, Task.EVERYTHING)
"""A call that names no task does the first of these that the model offers."""
IMAGE_TASKS = (Task.INTERACTIVE, Task.EVERYTHING)
"""Tasks that an :class:`InteractivePredictor` does, one image after another."""


@dataclass(frozen=True)
class _Call:
    """The settings of a call, the same for every image or frame.

    Attributes:
        task: one of the tasks that the model offers.
        words: None for tasks and models without words.
        names: words for naming masks; None: masks have no names.
        prompts: for the task ``interactive``: keyword arguments of the predictor.
        objects: the objects to follow, for the task ``vos``.
        min_score: segments with a lower score are left out.
        max_overlap: IoU above which only one of two instances of a class is kept.
        example: what to segment, for models that need one.
    """

    task: Task
    words: WordChoice | None = None
    names: Vocabulary | None = None
    prompts: Mapping[str, Any] = field(default_factory=dict)
    objects: GivenObjects | None = None
    min_score: float = 0.0
    max_overlap: float = 1.0
    example: Example | None = None

    @property
    def request(self) -> Request:
        """The settings that the model needs."""
        return Request(
            self.task, None if self.words is None else self.words.all, self.min_score, self.example
        )

    def to_results(
        self, predictions: Sequence[Segments], frames: Sequence[Frame], is_video: bool
    ) -> list[SegmentationResult]:
        """Turn the model's segments into the results of an image, or of the frames of a clip or video."""
        results = []
        for segments, frame in zip(predictions, frames, strict=True):
            result = _placed(segments, frame, is_video)
            result = result if self.words is None else self.words.restrict(result)
            results.append(result.confident(self.min_score) if self.min_score > 0 else result)
        return without_duplicates(results, self.max_overlap) if self.task is Task.INSTANCE else results


class OMGSegInferencer:
    """Segments images and videos, with any loaded model, in the tasks and with the words that it offers.

    ::

        seg = OMGSegInferencer("work_dirs/main")  # the folder of a training
        seg("street.jpg").save("street.png")
        seg("street.jpg", task="instance", vocabulary=["yellow taxi"])
        seg("photos/*.jpg", vocabulary={"things": ["dog"], "stuff": ["grass"]}, batch_size=4)
        seg("film.mp4", task="instance").save("found.mp4")
        for frame in seg.stream(0, task="panoptic"):  # a camera
            picture = frame.draw()
        seg.track("film.mp4", "first_frame.png")

    Calls from several threads take turns; each gets what it would get alone.

    Args:
        config_or_run_or_segmenter: what :func:`~omgseg.inference.loading.load` loads (a name, a config file, a config,
            or the work folder of ``tools/train.py``), or a model that is loaded already.
        weights, device, dtype, scale: see :func:`~omgseg.inference.loading.load`; not for a loaded model.
        vocabulary: the default words of all calls, see :func:`~omgseg.inference.words.to_vocabulary`.
            Default: the words of the training.

    Attributes:
        segmenter: the loaded model.
        abilities: what it can do.
        vocabulary: the default words of all calls; None if the model knows none.

    Raises:
        FileNotFoundError: the config, the weights, a checkpoint in the work folder, or the image encoder's weights are
            missing.
        ConfigError, CheckpointError, ValueError, TypeError: an argument, the config or the weights do not fit; the
            message names what.
    """

    def __init__(
        self,
        config_or_run_or_segmenter: Segmenter | Config | Mapping[str, Any] | str | Path,
        weights: str | Path | None = None,
        device: str = "auto",
        dtype: str = "auto",
        *,
        vocabulary: Words | None = None,
        scale: tuple[int, int] | None = None,
    ) -> None:
        words = to_vocabulary(vocabulary)  # before the slow loading, so that mistakes show at once
        if not isinstance(config_or_run_or_segmenter, Segmenter):
            segmenter = load(config_or_run_or_segmenter, weights, device, dtype, scale=scale)
        elif (weights, device, dtype, scale) == (None, "auto", "auto", None):
            segmenter = config_or_run_or_segmenter
        else:
            raise ValueError(
                "the model is loaded already; give weights, device, dtype and scale to omgseg.load"
            )
        self.segmenter = segmenter
        self.abilities: Abilities = abilities_of(segmenter)
        if words is not None and not (self.abilities.open_vocabulary or self.abilities.needs_example):
            words = select_words(segmenter, words)
        self.vocabulary = words or self.abilities.vocabulary

    @property
    def default_task(self) -> Task:
        """The task of calls that name none: the first of ``panoptic``, ``instance``, ``semantic`` and ``everything``
        that the model offers."""
        offered = (task for task in DEFAULT_TASKS if task in self.abilities.tasks)
        return next(offered, Task.PANOPTIC)

    @cached_property
    def interactive(self) -> InteractivePredictor:
        """A predictor for clicks with this model, always the same object. It holds one image; calls of the inferencer
        do not change it.

        Raises:
            UnsupportedRequest: the model takes no prompts.
        """
        return InteractivePredictor(self.segmenter)

    def __call__(
        self,
        source: SourceInput | Source,
        task: str | None = None,
        vocabulary: Words | None = None,
        prompts: Mapping[str, Any] | None = None,
        *,
        background: Words | None = None,
        min_score: float | None = None,
        max_overlap: float = MAX_OVERLAP,
        example: ExampleInput | None = None,
        as_video: bool = False,
        online: bool | None = None,
        batch_size: int = 1,
        on_error: str = "raise",
    ) -> Result | list[Result]:
        """Segment everything, then return.

        Args:
            source: an image, many images, a video, or a list of them; see
                :func:`~omgseg.inference.sources.open_source`.
            task: ``panoptic``, ``instance``, ``semantic``; images: ``interactive``, ``everything``; videos: ``vos``.
                Default: :attr:`default_task`.
            vocabulary: words to find, see :func:`~omgseg.inference.words.to_vocabulary`. Default: the model's own. For
                ``interactive`` and ``everything``: words for naming the masks; default: masks have no names. With
                exemplars: one word for what to find.
            prompts: for ``interactive``: ``{"points": [(x, y), ...]}`` or ``{"boxes": [(x1, y1, x2, y2), ...]}`` in
                pixels, one object per point or box; with ``"labels": [1, 0, ...]`` the points are positive (1) and
                negative (0) clicks on one object. ``{"exemplars": [(x1, y1, x2, y2), ...]}`` finds all objects like
                those in the boxes, and not like those with the label 0. For ``vos``: ``{"masks": ...}``, see
                :meth:`track`.
            background: words that compete with the vocabulary and are not reported; see
                :func:`~omgseg.inference.words.choose_words`.
            min_score: segments with a lower score are left out. Default: 0.3 for ``instance`` and exemplars, 0.8 for
                ``everything``, else 0.
            max_overlap: IoU threshold of NMS: of two instances of one class, or two masks of ``everything``, that
                overlap more, the one with the higher score is kept, in a video the earlier one. 1: no NMS.
            example: for models that need one: an image and its mask, see
                :func:`~omgseg.inference.first_masks.given_example`. The vocabulary names the classes of the mask.
            as_video: the images of a folder or list are the frames of one video.
            online: segment a video as a stream (constant memory) or as a whole (exact). Default: as a whole up to 40
                frames.
            batch_size: images of one size per batch.
            on_error: how to treat images among several that fail: ``"raise"`` an error at the end, which holds the
                results of the others, or ``"skip"`` them with a warning.

        Returns:
            One result for an image or a video; a list for a folder, glob or list, in the order of the readable inputs.

        Raises:
            UnreadableInputs: some of several inputs failed; ``results`` holds all others.
            UnsupportedRequest: the model does not offer this; the message says what it offers.
            FileNotFoundError, OSError, ValueError, TypeError: an input, a task, a word or a prompt is wrong; the
                message says how.
        """
        call = self._ask(task, vocabulary, prompts, background, min_score, max_overlap, example)
        failures = Failures(on_error)
        _check_batch_size(batch_size)
        entries = None if as_video or isinstance(source, Source) else expand(source)
        if entries is not None:
            name = str(source) if isinstance(source, (str, Path)) else "list"
            results = self._many(entries, name, call, online, batch_size, failures)
        else:
            opened = open_source(source, as_video)
            if opened.is_video:
                return self._video(opened, call, online)
            if opened.is_single:
                (result,) = self._images(opened, call, batch_size)
                return result
            results = [_slim(result) for result in self._images(opened, call, batch_size, failures.add)]
        failures.raise_or_warn(results)
        return results

    def stream(
        self,
        source: SourceInput | Source,
        task: str | None = None,
        vocabulary: Words | None = None,
        prompts: Mapping[str, Any] | None = None,
        *,
        background: Words | None = None,
        min_score: float | None = None,
        max_overlap: float = MAX_OVERLAP,
        example: ExampleInput | None = None,
        as_video: bool = False,
        batch_size: int = 1,
        on_error: str = "raise",
    ) -> Iterator[SegmentationResult]:
        """Segment one image or frame after another in constant memory; the next ones are read while the model works.

        A live source (a camera, an RTSP stream) never falls behind: if the model is too slow, clips are dropped.
        Closing the iterator ends the reading.

        Args:
            source, task, ...: see :meth:`__call__`; a list must not hold videos.

        Yields:
            Results in the order of the inputs, with their pixels in ``image``.

        Raises:
            UnreadableInputs: at the end, see :meth:`__call__`; its ``results`` are empty, as they were yielded.
        """
        call = self._ask(task, vocabulary, prompts, background, min_score, max_overlap, example)
        failures = Failures(on_error)
        _check_batch_size(batch_size)
        opened = open_source(source, as_video)
        if opened.is_video:
            _check_video(opened, call)
            return self._stream(opened, call, opened.is_live)
        if opened.is_single:
            return self._images(opened, call, batch_size)
        return _ending_with(self._images(opened, call, batch_size, failures.add), failures)

    def track(
        self, source: SourceInput | Source, first_frame_masks: ObjectInput, *, online: bool | None = None
    ) -> VideoResult:
        """Follow objects through a video (video object segmentation).

        Args:
            source: a video file, a folder of frames, a video uint8 (T, H, W, 3), a list of frames.
            first_frame_masks: the objects in the first frame: a PNG or an integer array (H, W) of object ids, a list
                of masks, a dictionary of ids and masks, or a result for that frame; see
                :func:`~omgseg.inference.first_masks.given_objects`.
            online: see :meth:`__call__`.

        Returns:
            The visible objects of each frame, with the given ids.

        Raises:
            UnsupportedRequest: the model does not follow objects.
            FileNotFoundError, OSError, ValueError, TypeError: as :meth:`__call__`; or the masks do not fit the frames.
        """
        call = self._ask_to_follow(first_frame_masks)
        return self._video(open_source(source, as_video=True), call, online)

    def stream_track(
        self, source: SourceInput | Source, first_frame_masks: ObjectInput
    ) -> Iterator[SegmentationResult]:
        """Follow objects as :meth:`track` does, one frame after another in constant memory; see :meth:`stream`."""
        call = self._ask_to_follow(first_frame_masks)
        opened = open_source(source, as_video=True)
        return self._stream(opened, call, opened.is_live)

    def _ask(
        self,
        task: str | None,
        vocabulary: Words | None,
        prompts: Mapping[str, Any] | None,
        background: Words | None,
        min_score: float | None,
        max_overlap: float,
        example: ExampleInput | None,
    ) -> _Call:
        task = self.default_task if task is None else to_task(task)
        require_task(self.segmenter, task)
        prompts = _given_prompts(task, prompts)
        limit = MIN_SCORE.get(task, 0.0) if min_score is None else check_share("min_score", min_score)
        overlap = check_share("max_overlap", max_overlap)
        if example is not None or self.abilities.needs_example:
            words = self.vocabulary if vocabulary is None else vocabulary
            given, names = given_example(self.segmenter, example, words)
            return _Call(task, WordChoice(names, names), min_score=limit, max_overlap=overlap, example=given)
        if task is Task.VOS:
            return _Call(task, objects=given_objects(prompts["masks"]), min_score=limit)
        require_prompts(self.segmenter, *({"points", "boxes", "exemplars"} & set(prompts)))
        if "exemplars" in prompts:
            prompts["word"] = choose_word(self.segmenter, vocabulary)
            return _Call(task, prompts=prompts, min_score=ALIKE_MIN_SCORE if min_score is None else limit)
        if task in IMAGE_TASKS:
            names = choose_names(self.segmenter, vocabulary)
            return _Call(task, names=names, prompts=prompts, min_score=limit, max_overlap=overlap)
        words = choose_words(self.segmenter, vocabulary, background, self.vocabulary, task)
        return _Call(task, words, min_score=limit, max_overlap=overlap)

    def _ask_to_follow(self, objects: ObjectInput) -> _Call:
        require_task(self.segmenter, Task.VOS)
        return _Call(Task.VOS, objects=given_objects(objects))

    def _many(
        self,
        entries: Sequence[Any],
        name: str,
        call: _Call,
        online: bool | None,
        batch_size: int,
        failures: Failures,
    ) -> list[Result]:
        """The images and videos of a list, glob or folder: each run of images as one source, each video by itself."""
        results: list[Result] = []
        for is_video, group in groupby(enumerate(entries), lambda numbered: is_video_input(numbered[1])):
            run = list(group)
            if not is_video:
                images = open_images([entry for _, entry in run], name, first=run[0][0])
                results += map(_slim, self._images(images, call, batch_size, failures.add))
                continue
            for index, entry in run:
                with failures.collect(entry, index):
                    results.append(self._video(open_source(entry), call, online))
        return results

    def _images(
        self, source: Source, call: _Call, batch_size: int, on_error: OnError | None = None
    ) -> Iterator[SegmentationResult]:
        """Results of independent images in their order; `on_error`, if given, gets the errors of single images."""
        if call.task is Task.VOS:
            raise ValueError(
                f"{source.name} is not a video; the task 'vos' follows objects through one (as_video=True?)"
            )
        frames = source.frames(on_error)
        if call.task in IMAGE_TASKS:
            return self._prompted(frames, call, on_error)
        return self._predicted(frames, call, batch_size, on_error)

    def _predicted(
        self, frames: Iterable[Frame], call: _Call, batch_size: int, on_error: OnError | None
    ) -> Iterator[SegmentationResult]:
        def run(batch: list[Frame]) -> list[SegmentationResult | None]:
            try:
                with locked(self.segmenter):
                    predictions = self.segmenter.predict([frame.image for frame in batch], call.request)
            except ValueError as error:
                if on_error is None:
                    raise
                if len(batch) > 1:  # find out which image fails
                    return [result for frame in batch for result in run([frame])]
                on_error(_name(batch[0]), error)
                return [None]
            return [
                result
                for segments, frame in zip(predictions, batch, strict=True)
                for result in call.to_results([segments], [frame], is_video=False)
            ]

        ahead = read_ahead(frames, depth=2 * batch_size)
        try:
            for result in run_in_batches(
                ahead, lambda frame: self.segmenter.group_key(frame.image.shape[:2]), run, batch_size
            ):
                if result is not None:
                    yield result
        finally:
            ahead.close()

    def _prompted(
        self, frames: Iterable[Frame], call: _Call, on_error: OnError | None
    ) -> Iterator[SegmentationResult]:
        """Results of the tasks with prompts. The call has its own predictor, so it replaces no other one's image."""
        predictor = InteractivePredictor(self.segmenter, call.names)
        for frame in frames:
            try:
                predictor.set_image(frame.image)
                if call.task is Task.EVERYTHING:
                    result = predictor.segment_everything(
                        min_score=call.min_score, max_overlap=call.max_overlap
                    )
                elif "exemplars" in call.prompts:
                    result = predictor.find_alike(**call.prompts, min_score=call.min_score)
                else:
                    clicks_on_one = call.prompts.get("labels") is not None
                    predict = predictor.predict if clicks_on_one else predictor.predict_many
                    result = predict(**call.prompts).confident(call.min_score)
            except UnsupportedRequest:
                raise  # it is the same for every image
            except ValueError as error:
                if on_error is None:
                    raise
                on_error(_name(frame), error)
                continue
            yield result.replace(path=frame.path, name=frame.name)

    def _video(self, source: Source, call: _Call, online: bool | None) -> VideoResult:
        _check_video(source, call)
        if source.is_live:
            raise ValueError(
                f"{source.name} has no end; use seg.stream, which yields results as they are ready"
            )
        frames = iter(source)
        first = list(islice(frames, LONGEST_EXACT + 1)) if online is None else []
        if not online and len(first) <= LONGEST_EXACT:
            results = self._whole_video([*first, *frames], call)
        else:
            results = self._stream(chain(first, frames), call)
            del first  # else these frames stay in memory until the end
        return VideoResult(results, source.fps, source.path, source.name)

    def _whole_video(self, frames: list[Frame], call: _Call) -> list[SegmentationResult]:
        if not frames:
            return []
        images = [frame.image for frame in frames]
        with locked(self.segmenter):
            if call.objects is None:
                predictions = self._video_model().predict_video(images, call.request)
            else:
                call.objects.check_size(images[0].shape[:2])
                predictions = self.segmenter.track_video(images, call.objects.masks, call.objects.ids)
        return call.to_results(predictions, frames, is_video=True)

    def _stream(
        self, frames: Iterable[Frame], call: _Call, is_live: bool = False
    ) -> Iterator[SegmentationResult]:
        """Results of the frames of a video, computed clip by clip in constant memory.

        Args:
            is_live: if the model is too slow, clips are dropped instead of delaying the results.
        """
        model = self._video_model() if call.objects is None else self.segmenter
        stream: ClipStream | None = None
        ahead = read_ahead(_clips(frames, model.clip_size), CLIPS_AHEAD, drop_oldest=is_live)
        try:
            for clip in ahead:
                images = [frame.image for frame in clip]
                with locked(self.segmenter):
                    if stream is None and call.objects is None:
                        stream = model.open_stream(call.request)
                    elif stream is None:
                        call.objects.check_size(images[0].shape[:2])
                        stream = model.open_tracker()
                        stream.add(call.objects.masks, call.objects.ids)
                    predictions = stream.push(images)
                yield from call.to_results(predictions, clip, is_video=True)
        finally:
            ahead.close()

    def _video_model(self) -> VideoModel:
        return self.segmenter if isinstance(self.segmenter, VideoModel) else FrameByFrame(self.segmenter)


def to_task(name: str) -> Task:
    """The task of a name. Raises ValueError for an unknown name; the message gives similar ones."""
    known = [task.value for task in Task]
    if name not in known:
        raise ValueError(f"unknown task {name!r}{did_you_mean(name, known)} (tasks: {', '.join(known)})")
    return Task(name)


def _given_prompts(task: Task, prompts: Mapping[str, Any] | None) -> dict[str, Any]:
    """The prompts that are not None, checked against the task.

    Raises:
        ValueError: a prompt is missing, or the task does not take it.
    """
    known = PROMPTS.get(task, ())
    if not known and prompts is not None:
        raise ValueError(f"the task {task.value!r} takes no prompts; tasks with prompts: interactive, vos")
    for key in prompts or {}:
        if key not in known:
            raise ValueError(
                f"prompts of the task {task.value!r} have no key {key!r}; keys: {', '.join(known)}"
            )
    chosen = {key: value for key, value in (prompts or {}).items() if value is not None}
    if task is Task.VOS and not chosen:
        raise ValueError(
            "the task 'vos' needs prompts={'masks': ...}, the objects in the first frame; or use seg.track"
        )
    kinds = {"points", "boxes", "exemplars"} & set(chosen)
    if task is Task.INTERACTIVE and not kinds:
        raise ValueError(
            "the task 'interactive' needs prompts={'points': [(x, y), ...]}, {'boxes': [...]} or {'exemplars': [...]}"
        )
    if "exemplars" in kinds and len(kinds) > 1:
        raise ValueError("prompts are either exemplars, or points and boxes; give one kind")
    return chosen


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")


def _check_video(source: Source, call: _Call) -> None:
    if call.task is Task.INTERACTIVE:
        raise ValueError(
            f"{source.name} is a video; prompts are for images: give one of its frames, or use InteractiveVideo"
        )
    if call.task is Task.EVERYTHING:
        raise ValueError(f"{source.name} is a video; the task 'everything' is for images, e.g. its frames")


def _placed(segments: Segments, frame: Frame, is_video: bool) -> SegmentationResult:
    """The model's segments as the result of a frame."""
    number = frame.index if is_video else None
    place = dict(path=frame.path, name=frame.name, frame_index=number, time=frame.time, image=frame.image)
    return SegmentationResult.of(segments.replace(**place))


def _slim(result: SegmentationResult) -> SegmentationResult:
    """The result without its pixels if they can be read from the file again."""
    return result if result.path is None else result.replace(image=None)


def _name(frame: Frame) -> str:
    return str(frame.path or frame.name)


def _clips(frames: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    iterator = iter(frames)
    try:
        while clip := list(islice(iterator, size)):
            yield clip
    finally:
        if hasattr(iterator, "close"):
            iterator.close()


def _ending_with(results: Iterator[SegmentationResult], failures: Failures) -> Iterator[SegmentationResult]:
    yield from results
    failures.raise_or_warn()
