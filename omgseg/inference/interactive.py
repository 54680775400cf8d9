"""Clicks and boxes: the image is encoded once, every prompt then costs little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from omgseg.inference.abilities import UnsupportedRequest, require_prompts
from omgseg.inference.results import SegmentationResult
from omgseg.inference.running import check_share, locked
from omgseg.inference.sources import ImageInput, to_image
from omgseg.inference.words import Words, choose_names
from omgseg.protocols import ImageState, MaskSet, PromptableModel, Prompts, Proposer
from omgseg.structures import NO_CLASS, Task, Vocabulary
from omgseg.structures.run_lengths import encode_masks

Coordinates = np.ndarray | Tensor | Sequence
POINTS_PER_SIDE = 16
MIN_SCORE = 0.8
"""Masks that nobody asked for are kept from this score on."""
MAX_OVERLAP = 0.7


@dataclass(frozen=True)
class _Answer:
    """What the model was told about an object so far, and its mask.

    Attributes:
        points: float32 (K, 2).
        labels: int8 (K,).
        boxes: float32 (1, 4), or None.
        rle: of the mask.
        carry: see :attr:`~omgseg.protocols.MaskSet.carry`.
    """

    points: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray | None
    rle: dict[str, Any]
    carry: Any


class InteractivePredictor:
    """Masks of prompts on one image at a time, in the manner of Segment Anything's predictor.

    ::

        predictor = OMGSegInferencer("work_dirs/main").interactive
        predictor.set_image("street.jpg")
        result = predictor.predict(points=[(320, 200)])
        result = predictor.predict(points=[(350, 260)], labels=[0], mask=result.masks[0])  # not this part
        everything = predictor.segment_everything()

    A predictor holds one image, so use one predictor per thread: ``InteractivePredictor(seg.segmenter)`` makes another
    one, which shares the model and its lock.

    Args:
        segmenter: a loaded model that takes prompts (:class:`~omgseg.protocols.PromptableModel`).
        vocabulary: see :attr:`vocabulary`.

    Raises:
        UnsupportedRequest: the model takes no prompts, or does not name masks.
    """

    def __init__(self, segmenter: PromptableModel, vocabulary: Words | None = None) -> None:
        if not isinstance(segmenter, PromptableModel):
            raise UnsupportedRequest("clicks and boxes", segmenter)
        self.segmenter = segmenter
        self.vocabulary = vocabulary
        self._forget()

    def _forget(self) -> None:
        self._image: np.ndarray | None = None
        self._path: Path | None = None
        self._state: ImageState = None
        self._last: _Answer | None = None

    @property
    def vocabulary(self) -> Vocabulary:
        """Words that masks are named with, by the model's view of what lies under them; empty (the default): no names.

        May be set to anything that :func:`~omgseg.inference.words.to_vocabulary` takes, or None.
        """
        return self._vocabulary

    @vocabulary.setter
    def vocabulary(self, words: Words | None) -> None:
        self._vocabulary = choose_names(self.segmenter, words) or Vocabulary()

    def set_image(self, image: ImageInput) -> None:
        """Encode an image; later prompts belong to it. All that they need of it is computed here, and kept until the
        next image. After an error there is no image, also not the one before.

        Args:
            image: a file, RGB uint8 (H, W, 3), or a PIL image.

        Raises:
            FileNotFoundError, OSError, ValueError, TypeError: the image cannot be read; says why.
        """
        with locked(self.segmenter):
            self._forget()  # first: two images must not be in memory at once
            pixels = to_image(image)
            self._state = self.segmenter.encode_image(pixels)
            self._image = pixels
            self._path = Path(image) if isinstance(image, (str, Path)) else None

    @property
    def image(self) -> np.ndarray | None:
        """RGB uint8 (H, W, 3), the image that prompts belong to; None before there is one."""
        return self._image

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) of the image.

        Raises:
            RuntimeError: no image is set.
        """
        self._encoded()
        return self._image.shape[1], self._image.shape[0]

    def _encoded(self) -> ImageState:
        if self._image is None:
            raise RuntimeError("no image: call set_image first")
        return self._state

    def predict(
        self,
        points: Coordinates | None = None,
        labels: Sequence[int] | np.ndarray | None = None,
        boxes: Coordinates | None = None,
        mask: np.ndarray | Tensor | None = None,
    ) -> SegmentationResult:
        """The mask of one object, from any number of clicks, a box, or both.

        The first positive click, the box or the mask shows the object; each further click corrects it. Clicks may come
        one by one, with the mask that was the result before, or all at once: the predictor remembers the clicks of its
        last result, and the model gets all of them. With any other mask it gets that mask and the new clicks.

        Args:
            points: (K, 2) or one (2,), x and y in pixels from the upper left corner of the first pixel.
            labels: (K,), 1 for a click on the object, 0 for one on what does not belong to it. Default: all 1.
            boxes: one box around the object, (4,) or (1, 4): x1, y1, x2, y2.
            mask: bool (H, W), what the clicks correct: an earlier result, or drawn by hand.

        Returns:
            One mask, with the model's confidence in it.

        Raises:
            RuntimeError: no image is set.
            UnsupportedRequest: the model does not take prompts of this kind.
            ValueError: there is neither a point nor a box; nothing shows where the object is (only negative points);
                both a box and a mask; several boxes; or values out of place, see :func:`check_prompts`.
        """
        with locked(self.segmenter):
            size = self.image_size
            if points is None and boxes is None:
                raise ValueError("give points=[(x, y), ...] or boxes=(x1, y1, x2, y2)")
            if boxes is not None and mask is not None:
                raise ValueError("give a box or a mask to begin with, not both")
            if points is None and labels is not None:
                raise ValueError("labels say what the points mean; give points=[(x, y), ...], too")
            clicks = np.zeros((0, 2), np.float32) if points is None else check_prompts("points", points, size)
            meaning = check_labels(labels, len(clicks))
            box = None if boxes is None else check_prompts("boxes", boxes, size)
            if box is not None and len(box) > 1:
                raise ValueError(
                    "predict finds one object, in one box; for several objects call predict_many"
                )
            drawn = None if mask is None else check_mask(mask, size)
            if box is None and drawn is None and not meaning.any():
                raise ValueError(
                    "negative points correct a mask: give a positive point (label 1), a box, or mask=... too"
                )
            return self._predict(clicks, meaning, box, drawn)

    def _predict(
        self, points: np.ndarray, labels: np.ndarray, boxes: np.ndarray | None, mask: np.ndarray | None
    ) -> SegmentationResult:
        carry, last = None, self._last
        if mask is not None and last is not None and encode_masks([mask])[0] == last.rle:
            points, labels = np.concatenate([last.points, points]), np.concatenate([last.labels, labels])
            if "masks" in self.segmenter.abilities.prompts:
                carry = last.carry
            else:  # it starts again, from all that was said
                boxes, mask = last.boxes, None
        prompts = self._prompts(
            points[None], labels[None], boxes, None if mask is None else mask[None], carry
        )
        found = self.segmenter.segment_prompts(self._state, prompts)
        self._last = _Answer(points, labels, boxes, found.rles[0], found.carry)
        return self._result(found)

    def _prompts(
        self,
        points: np.ndarray | None,
        labels: np.ndarray | None,
        boxes: np.ndarray | None,
        masks: np.ndarray | None = None,
        carry: Any = None,
    ) -> Prompts:
        """What is given of these, if the model takes it; labels only where a click is negative."""
        points = None if points is None or not points.size else points
        labels = None if points is None or labels is None or labels.all() else labels
        given = {"points": points, "labels": labels, "boxes": boxes, "masks": masks}
        require_prompts(self.segmenter, *(kind for kind, value in given.items() if value is not None))
        return Prompts(**given, carry=carry)

    def predict_many(
        self, points: Coordinates | None = None, boxes: Coordinates | None = None
    ) -> SegmentationResult:
        """The masks of many objects, one per prompt, in their order.

        Args:
            points: (N, 2), or
            boxes: (N, 4), as in :meth:`predict`.

        Returns:
            N masks, with the model's confidence in each.

        Raises:
            RuntimeError: no image is set.
            UnsupportedRequest: the model does not take prompts of this kind.
            ValueError: not exactly one of `points` and `boxes`, or see :meth:`predict`.
        """
        if (points is None) == (boxes is None):
            raise ValueError("give either points=[(x, y), ...] or boxes=[(x1, y1, x2, y2), ...]")
        with locked(self.segmenter):
            if boxes is None:
                points = check_prompts("points", points, self.image_size)[:, None]
            else:
                boxes = check_prompts("boxes", boxes, self.image_size)
            prompts = self._prompts(points, None, boxes)
            return self._result(self.segmenter.segment_prompts(self._state, prompts))

    def segment_everything(
        self,
        points_per_side: int = POINTS_PER_SIDE,
        min_score: float = MIN_SCORE,
        max_overlap: float = MAX_OVERLAP,
    ) -> SegmentationResult:
        """All masks of the image, without prompts.

        Args:
            points_per_side: the grid of points that asks for masks has ``points_per_side`` squared points.
            min_score: masks below are left out; 0..1.
            max_overlap: of two masks with a higher IoU the one of the higher score stays; 0..1.

        Returns:
            Masks by falling score, of the task ``everything``. They may overlap: an object and its part are both masks.

        Raises:
            RuntimeError: no image is set.
            UnsupportedRequest: the model finds no masks without prompts.
            ValueError, TypeError: `points_per_side` is less than 1, or a limit is not in 0..1.
        """
        if not isinstance(self.segmenter, Proposer):
            raise UnsupportedRequest(f"the task {Task.EVERYTHING.value!r}", self.segmenter)
        if points_per_side < 1:
            raise ValueError(f"points_per_side is {points_per_side}, at least 1 is needed")
        limits = check_share("min_score", min_score), check_share("max_overlap", max_overlap)
        with locked(self.segmenter):
            found = self.segmenter.propose(self._encoded(), points_per_side, *limits)
            return self._result(found, Task.EVERYTHING)

    def _result(self, found: MaskSet, task: Task = Task.INTERACTIVE) -> SegmentationResult:
        labels = np.full(len(found.rles), NO_CLASS)
        if len(self.vocabulary) and len(labels):
            probabilities = self.segmenter.name_masks(self._state, found.rles, self.vocabulary)
            labels = np.where(probabilities.any(1), probabilities.argmax(1), NO_CLASS)
        return SegmentationResult(
            task,
            self._image.shape[:2],
            found.rles,
            labels,
            found.scores,
            vocabulary=self.vocabulary,
            path=self._path,
            image=self._image,
        )


def check_prompts(kind: str, prompts: Coordinates, image_size: tuple[int, int]) -> np.ndarray:
    """Prompts as float32 (N, 2) or (N, 4).

    Args:
        kind: "points" or "boxes".
        prompts: N rows, or one.
        image_size: (width, height).

    Raises:
        ValueError: there are none, a row has another number of columns, a coordinate lies outside of the image, or
            a box has no area.
    """
    columns = 2 if kind == "points" else 4
    try:
        values = np.atleast_2d(np.asarray(prompts, dtype=np.float32))
    except (TypeError, ValueError):
        values = np.empty((1, 0), np.float32)
    if not values.size and not np.size(prompts):
        raise ValueError(f"there are no {kind}; give at least one")
    if values.shape[1:] != (columns,):
        raise ValueError(f"{kind} are N rows of {columns} numbers, got {prompts!r}")
    limit = np.asarray(image_size, np.float32)
    for row in values:
        corners = row.reshape(-1, 2)
        inside = (corners >= 0) & (corners < limit if kind == "points" else corners <= limit)
        if not inside.all():  # also where a coordinate is not a number
            raise ValueError(
                f"the {'point' if kind == 'points' else 'box'} ({', '.join(f'{value:g}' for value in row.tolist())}) "
                f"lies outside of the image of {image_size[0]}x{image_size[1]} pixels (width x height)"
            )
        if kind == "boxes" and not (corners[1] > corners[0]).all():
            raise ValueError(f"a box is x1, y1, x2, y2 with x1 < x2 and y1 < y2, got {row.tolist()}")
    return values


def check_labels(labels: Sequence[int] | np.ndarray | Tensor | None, count: int) -> np.ndarray:
    """What `count` points mean, int8 (count,): 1 where they belong to the object, which all do where nothing is said.

    Raises:
        ValueError: not one number 0 or 1 per point.
    """
    if labels is None:
        return np.ones(count, np.int8)
    values = np.asarray(labels).reshape(-1)
    if len(values) != count or not np.isin(values, (0, 1)).all():
        raise ValueError(
            "labels are one number per point, 1 (belongs to the object) or 0 (does not); got "
            f"{labels!r} for {count} points"
        )
    return values.astype(np.int8)


def check_mask(mask: np.ndarray | Tensor, image_size: tuple[int, int]) -> np.ndarray:
    """A mask as bool (H, W).

    Args:
        image_size: (width, height).

    Raises:
        ValueError: another shape.
    """
    array = mask.cpu().numpy() if isinstance(mask, Tensor) else np.asarray(mask)
    if array.shape != image_size[::-1]:
        raise ValueError(
            f"a mask is (H, W) = {image_size[::-1]} like the image, got {array.shape}; of a result take "
            "result.masks[0]"
        )
    return array != 0
