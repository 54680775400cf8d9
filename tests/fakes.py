"""Models without weights that implement the protocols: whatever uses a model is tested with them.

They live in a world of a few solid colours. Every connected region of one colour is an object, its word is the name of
the colour, and its score depends on the colour alone, so that a test knows the right answer::

    image = picture(60, 80, ("red", 10, 10, 30, 40), ("blue", 20, 50, 50, 70))  # on black, which is nothing
    model = FakeSegmenter()
    model.predict([image], Request(Task.INSTANCE))  # a red and a blue object, scores 0.9 and 0.6

- :class:`FakeSegmenter` implements every protocol, with an open vocabulary.
- :class:`ImageOnlyFake` segments images with the fixed words ``COLOURS``, and does nothing else.
- :class:`ClickOnlyFake` answers clicks and boxes, and does nothing else.
- :class:`ExampleFake` segments what an example shows, and does nothing else.

All are registered: ``omgseg.load(dict(segmenter=dict(type="tests.fakes.FakeSegmenter")))``; :func:`write_config` writes
a config file for the command line. ``model.calls`` lists the calls as (method, sizes of the images).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from omgseg.protocols import Abilities, Exemplars, MaskSet, Prompts, Request
from omgseg.registry import SEGMENTERS
from omgseg.structures import NO_CLASS, Category, Segments, Task, Vocabulary
from omgseg.structures.run_lengths import decode_masks, encode_masks

COLOURS = {
    "red": (230, 20, 20),
    "green": (20, 200, 20),
    "blue": (20, 20, 230),
    "yellow": (240, 230, 20),
    "white": (250, 250, 250),
}
SCORES = {"red": 0.9, "green": 0.8, "blue": 0.6, "yellow": 0.2, "white": 0.95}
TOLERANCE = 60
"""A pixel is of a colour if no channel differs by more: what JPEG and video codecs change is no more than that."""
WORDS = Vocabulary([Category(name, is_thing=name not in ("green", "white")) for name in COLOURS])
"""The words of the fakes' training: red, blue and yellow things; green and white stuff."""
IMAGE_TASKS = frozenset({Task.PANOPTIC, Task.INSTANCE, Task.SEMANTIC})
_NAMES = list(COLOURS)


def picture(height: int, width: int, *rectangles: tuple[str, int, int, int, int]) -> np.ndarray:
    """RGB uint8 (H, W, 3): rectangles (colour, top, left, bottom, right) on black."""
    image = np.zeros((height, width, 3), np.uint8)
    for colour, top, left, bottom, right in rectangles:
        image[top:bottom, left:right] = COLOURS[colour]
    return image


def moving_square(frames: int, height: int = 60, width: int = 80, colour: str = "red") -> list[np.ndarray]:
    """A square of 20 pixels that moves four pixels to the right per frame, and a blue one that stays."""
    stays = ("blue", 35, 5, 55, 25)
    return [picture(height, width, stays, (colour, 5, 5 + 4 * t, 25, 25 + 4 * t)) for t in range(frames)]


def write_config(path: Path, kind: str = "FakeSegmenter", **options: Any) -> Path:
    """Write a config file of a fake model."""
    path.write_text(
        'custom_imports = dict(imports=["tests.fakes"], allow_failed_imports=False)\n'
        f"segmenter = dict(type={kind!r}, **{options!r})\n"
    )
    return path


def colour_map(image: np.ndarray) -> np.ndarray:
    """int (H, W): index of the colour of every pixel in ``COLOURS``, -1 for none."""
    values = np.array(list(COLOURS.values()), np.int64)
    away = np.abs(image[:, :, None].astype(np.int64) - values).max(-1)
    nearest = away.argmin(-1)
    return np.where(away.min(-1) <= TOLERANCE, nearest, -1)


def regions(image: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Colour and mask (H, W) of the connected regions, by colour, then from left to right."""
    colours = colour_map(image)
    for index, name in enumerate(_NAMES):
        _, parts, boxes, _ = cv2.connectedComponentsWithStats(
            (colours == index).astype(np.uint8), connectivity=4
        )
        rows = [row for row in range(1, len(boxes)) if boxes[row][cv2.CC_STAT_AREA] >= 4]
        for row in sorted(rows, key=lambda row: boxes[row][cv2.CC_STAT_LEFT]):
            yield name, parts == row


@dataclass(frozen=True)
class FakeImage:
    """An encoded image."""

    image: np.ndarray


class Fake:
    """What all fakes share; the arguments are those of a factory of ``omgseg.load``."""

    abilities: Abilities

    def __init__(
        self,
        config: Any = None,
        weights: Any = None,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
        batch_by_size: bool = True,
    ) -> None:
        self.config, self.weights, self.dtype = config, weights, dtype
        self.device = torch.device("cpu") if device is None else device
        self.batch_by_size = batch_by_size
        self.calls: list[tuple[str, list[tuple[int, int]]]] = []

    def note(self, method: str, images: Sequence[np.ndarray]) -> None:
        self.calls.append((method, [image.shape[:2] for image in images]))

    def group_key(self, size: tuple[int, int]) -> Any:
        return size if self.batch_by_size else None

    def _label_of(self, colour: str, words: Vocabulary) -> int:
        """The first word that is the colour's name; ``NO_CLASS`` if there is none."""
        return next((label for label, category in enumerate(words) if colour in category.words), NO_CLASS)


class SegmentsImages(Fake):
    """Implements Segmenter."""

    def predict(self, images: Sequence[np.ndarray], request: Request) -> list[Segments]:
        if len({self.group_key(image.shape[:2]) for image in images}) > 1:
            raise AssertionError("images of different group keys were put into one batch")
        self.note("predict", images)
        return [self._segment(image, request) for image in images]

    def _segment(self, image: np.ndarray, request: Request, in_video: bool = False) -> Segments:
        words = self.abilities.vocabulary if request.words is None else request.words
        if not self.abilities.open_vocabulary and any(c not in self.abilities.vocabulary for c in words):
            raise ValueError(f"this model knows only {', '.join(self.abilities.vocabulary.names)}")
        found: dict[int, tuple[int, float, np.ndarray]] = {}
        counts: dict[str, int] = {}
        for colour, mask in regions(image):
            label = self._label_of(colour, words)
            if label == NO_CLASS or (request.task is Task.INSTANCE and not words[label].is_thing):
                continue
            merged = request.task is Task.SEMANTIC or not words[label].is_thing
            counts[colour] = 1 if merged else counts.get(colour, 0) + 1
            identity = 100 * _NAMES.index(colour) + counts[colour]
            if identity in found:
                mask = mask | found[identity][2]
            found[identity] = (label, SCORES[colour], mask)
        rows = [(identity, *row) for identity, row in found.items() if row[1] >= request.min_score]
        rows.sort(key=lambda row: -row[2])
        return Segments(
            request.task,
            image.shape[:2],
            encode_masks(row[3] for row in rows),
            [row[1] for row in rows],
            [row[2] for row in rows],
            [row[0] for row in rows] if in_video else None,
            words,
        )


class EncodesImages(Fake):
    """What all fakes with prompts share."""

    def encode_image(self, image: np.ndarray) -> FakeImage:
        self.note("encode_image", [image])
        return FakeImage(image)


class AnswersPrompts(EncodesImages):
    """Implements PromptableModel: a click takes the connected region under it, a negative one takes it away, a box
    what is coloured in it."""

    def segment_prompts(self, state: FakeImage, prompts: Prompts) -> MaskSet:
        self.note("segment_prompts", [state.image] * len(prompts))
        masks, counts = [], []
        for row in range(len(prompts)):
            mask, count = self._answer(state.image, prompts, row)
            masks.append(mask)
            counts.append(count)
        scores = np.array([0.9 if mask.any() else 0.0 for mask in masks], np.float32)
        return MaskSet(encode_masks(masks), scores, carry=counts)

    def _answer(self, image: np.ndarray, prompts: Prompts, row: int) -> tuple[np.ndarray, int]:
        """The mask of one object, and the number of its clicks."""
        mask = np.zeros(image.shape[:2], bool)
        if prompts.masks is not None:
            mask = prompts.masks[row].copy()
        elif prompts.boxes is not None:
            x1, y1, x2, y2 = prompts.boxes[row].round().astype(int)
            mask[y1:y2, x1:x2] = colour_map(image)[y1:y2, x1:x2] >= 0
        if prompts.points is None:
            return mask, 0
        points = prompts.points[row]
        labels = np.ones(len(points), int) if prompts.labels is None else prompts.labels[row]
        clicks = [(int(x), int(y), label) for (x, y), label in zip(points, labels, strict=True) if label >= 0]
        answered = 0 if prompts.carry is None else prompts.carry[row]
        for x, y, label in clicks[answered:]:
            mask[self._region_at(image, x, y)] = label == 1
        return mask, len(clicks)

    @staticmethod
    def _region_at(image: np.ndarray, x: int, y: int) -> np.ndarray:
        found = [mask for _, mask in regions(image) if mask[y, x]]
        return found[0] if found else np.zeros(image.shape[:2], bool)


class FindsAlike(EncodesImages):
    """Implements ExemplarModel: regions of the colours that are in positive boxes or are the word, but in no negative
    box."""

    def find_alike(self, state: FakeImage, exemplars: Exemplars, min_score: float) -> MaskSet:
        self.note("find_alike", [state.image])
        colours = colour_map(state.image)
        wanted = set() if exemplars.word is None else {*exemplars.word.words}
        for label in (1, 0):
            for x1, y1, x2, y2 in exemplars.boxes[exemplars.labels == label].astype(int):
                inside = {_NAMES[number] for number in np.unique(colours[y1:y2, x1:x2]) if number >= 0}
                wanted = wanted | inside if label else wanted - inside
        found = [
            (SCORES[name], mask)
            for name, mask in regions(state.image)
            if name in wanted and SCORES[name] >= min_score
        ]
        found.sort(key=lambda row: -row[0])
        return MaskSet(encode_masks(mask for _, mask in found), np.array([s for s, _ in found], np.float32))


class FindsEverything(Fake):
    """Implements Proposer: every region."""

    def propose(
        self, state: FakeImage, points_per_side: int, min_score: float, max_overlap: float
    ) -> MaskSet:
        self.note("propose", [state.image])
        found = [(SCORES[name], mask) for name, mask in regions(state.image) if SCORES[name] >= min_score]
        found.sort(key=lambda row: -row[0])
        return MaskSet(encode_masks(mask for _, mask in found), np.array([s for s, _ in found], np.float32))


class NamesMasks(Fake):
    """Implements MaskNamer: the colour of most of a mask's pixels, with probability 0.9."""

    def name_masks(self, state: FakeImage, rles: Sequence[dict[str, Any]], words: Vocabulary) -> np.ndarray:
        self.note("name_masks", [state.image])
        colours = colour_map(state.image)
        probabilities = np.zeros((len(rles), len(words)), np.float32)
        for row, mask in enumerate(decode_masks(rles, state.image.shape[:2])):
            counts = np.bincount(colours[mask & (colours >= 0)], minlength=len(_NAMES))
            if counts.any():
                label = self._label_of(_NAMES[counts.argmax()], words)
                probabilities[row] = 0.1 / len(words)
                probabilities[row, label if label >= 0 else slice(None)] += 0.9 if label >= 0 else 0
        return probabilities


class SegmentsVideos(SegmentsImages):
    """Implements VideoModel: objects of a colour are numbered from left to right in each frame."""

    clip_size = 2

    def predict_video(self, frames: Sequence[np.ndarray], request: Request) -> list[Segments]:
        self.note("predict_video", frames)
        return self.segment_frames(frames, request, 0)

    def open_stream(self, request: Request) -> FakeStream:
        return FakeStream(self, request)

    def segment_frames(self, frames: Sequence[np.ndarray], request: Request, start: int) -> list[Segments]:
        return [
            self._segment(image, request, in_video=True).replace(frame_index=start + number)
            for number, image in enumerate(frames)
        ]


class FakeStream:
    """A ClipStream."""

    def __init__(self, model: SegmentsVideos, request: Request) -> None:
        self._model, self._request, self._start = model, request, 0

    def push(self, frames: Sequence[np.ndarray]) -> list[Segments]:
        self._model.note("push", frames)
        found = self._model.segment_frames(frames, self._request, self._start)
        self._start += len(frames)
        return found


class FollowsObjects(Fake):
    """Implements TrackingModel: an object is the region of its colour that overlaps what it was before most."""

    clip_size = 2

    def track_video(self, frames: Sequence[np.ndarray], masks: np.ndarray, ids: np.ndarray) -> list[Segments]:
        self.note("track_video", frames)
        tracker = FakeTracker(self)
        tracker.add(masks, ids)
        return tracker.follow(frames)

    def open_tracker(self) -> FakeTracker:
        return FakeTracker(self)


class FakeTracker:
    """An ObjectStream."""

    def __init__(self, model: Fake) -> None:
        self._model, self._start = model, 0
        self._given: list[tuple[int, np.ndarray, np.ndarray]] = []
        self._objects: dict[int, tuple[int, np.ndarray]] = {}

    def add(self, masks: np.ndarray, ids: np.ndarray, frame: int = 0) -> None:
        if masks.ndim != 3 or len(masks) != len(ids):
            raise ValueError(f"masks {masks.shape} and ids {ids.shape} do not fit each other")
        self._given.append((frame, masks, ids))

    def push(self, frames: Sequence[np.ndarray]) -> list[Segments]:
        self._model.note("track", frames)
        return self.follow(frames)

    def follow(self, frames: Sequence[np.ndarray]) -> list[Segments]:
        for frame, masks, _ in self._given:
            if frame >= len(frames) or masks.shape[1:] != frames[0].shape[:2]:
                raise ValueError(f"objects {masks.shape} of frame {frame} do not fit {len(frames)} frames")
        found = [self._frame(number, image) for number, image in enumerate(frames)]
        self._given, self._start = [], self._start + len(frames)
        return found

    def _frame(self, number: int, image: np.ndarray) -> Segments:
        shown: dict[int, np.ndarray] = {}
        for identity, (colour, before) in self._objects.items():
            parts = [mask for name, mask in regions(image) if _NAMES.index(name) == colour]
            best = max(parts, key=lambda mask: np.count_nonzero(mask & before), default=None)
            if best is not None:
                shown[identity] = best
                self._objects[identity] = (colour, best)
        for frame, masks, ids in self._given:
            if frame != number:
                continue
            for mask, identity in zip(masks, ids.tolist(), strict=True):
                shown[identity] = mask
                inside = colour_map(image)[mask & (colour_map(image) >= 0)]
                colour = int(np.bincount(inside, minlength=1).argmax()) if inside.size else -1
                self._objects[identity] = (colour, mask)
        seen = sorted(identity for identity, mask in shown.items() if mask.any())
        rles = encode_masks(shown[identity] for identity in seen)
        count = len(seen)
        place = dict(frame_index=self._start + number)
        return Segments(Task.VOS, image.shape[:2], rles, [NO_CLASS] * count, [1.0] * count, seen, **place)


@SEGMENTERS.register_module(force=True)
class FakeSegmenter(SegmentsVideos, FollowsObjects, AnswersPrompts, FindsAlike, FindsEverything, NamesMasks):
    """Can do everything that the protocols know, with any words."""

    abilities = Abilities(
        tasks=frozenset(Task),
        prompts=frozenset({"points", "labels", "boxes", "masks", "exemplars"}),
        open_vocabulary=True,
        vocabulary=WORDS,
        test_size=(80, 60),
    )


@SEGMENTERS.register_module(force=True)
class ImageOnlyFake(SegmentsImages):
    """Segments images with its own words; no prompts, no videos."""

    abilities = Abilities(tasks=IMAGE_TASKS, vocabulary=WORDS)


@SEGMENTERS.register_module(force=True)
class ExemplarFake(SegmentsImages, FindsAlike):
    """Finds what is like exemplars or any words, each by itself; takes no clicks."""

    abilities = Abilities(
        tasks=frozenset({Task.INSTANCE, Task.SEMANTIC}),
        prompts=frozenset({"exemplars"}),
        open_vocabulary=True,
        independent_words=True,
    )


@SEGMENTERS.register_module(force=True)
class ClickOnlyFake(AnswersPrompts):
    """Answers clicks, boxes and masks; knows no words and segments nothing by itself."""

    abilities = Abilities(
        tasks=frozenset({Task.INTERACTIVE}), prompts=frozenset({"points", "labels", "boxes", "masks"})
    )

    def predict(self, images: Sequence[np.ndarray], request: Request) -> list[Segments]:
        raise AssertionError(f"this model cannot do the task {request.task.value!r}; its abilities say so")


@SEGMENTERS.register_module(force=True)
class ExampleFake(Fake):
    """Segments by an example: what has the colour of most of a class's pixels in the example is of this class."""

    abilities = Abilities(tasks=frozenset({Task.SEMANTIC}), needs_example=True)

    def predict(self, images: Sequence[np.ndarray], request: Request) -> list[Segments]:
        self.note("predict", images)
        shown = colour_map(request.example.image)
        colours = [
            np.bincount(shown[request.example.labels == label] + 1).argmax() - 1
            for label in range(len(request.words))
        ]
        results = []
        for image in images:
            masks = [colour_map(image) == colour for colour in colours]
            labels = [label for label, mask in enumerate(masks) if mask.any()]
            rles = encode_masks(masks[label] for label in labels)
            ones = [1.0] * len(labels)
            results.append(
                Segments(request.task, image.shape[:2], rles, labels, ones, vocabulary=request.words)
            )
        return results
