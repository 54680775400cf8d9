"""Clicks, boxes and exemplars on one image, which is encoded once for all prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from omgseg.inference.abilities import UnsupportedRequest, require_prompts
from omgseg.inference.pixels import ImageInput, to_image
from omgseg.inference.results import SegmentationResult
from omgseg.inference.running import check_share, locked
from omgseg.inference.words import Words, choose_names, choose_word
from omgseg.protocols import ExemplarModel, Exemplars, ImageState, MaskSet, PromptableModel, Prompts, Proposer
from omgseg.structures import NO_CLASS, Category, Task, Vocabulary
from omgseg.structures.run_lengths import encode_masks

Coordinates = np.ndarray | Tensor | Sequence
POINTS_PER_SIDE = 16
MIN_SCORE = 0.8
"""Default score threshold of masks without prompts."""
ALIKE_MIN_SCORE = 0.3
"""Default score threshold of objects like exemplars."""
MAX_OVERLAP = 0.7
TOP_NAMES = 5
"""Names that a mask has at most, the most probable ones."""


@dataclass(frozen=True)
class _Answer:
    """All prompts of an object so far, and its mask.

    Attributes:
        points: float32 (K, 2), x and y in pixels.
        labels: int8 (K,), 1 for positive and 0 for negative clicks.
        boxes: float32 (1, 4), x1, y1, x2, y2 in pixels, or None.
        rle: COCO run lengths of the mask.
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
        taxis = predictor.find_alike([(300, 180, 420, 260)])  # all that look like it

    A predictor holds one image, so use one predictor per thread: ``InteractivePredictor(seg.segmenter)`` makes another
    one that shares the model and its lock.

    Args:
        segmenter: a loaded model that takes prompts (:class:`~omgseg.protocols.PromptableModel`,
            :class:`~omgseg.protocols.ExemplarModel`).
        vocabulary: see :attr:`vocabulary`.

    Raises:
        UnsupportedRequest: the model takes no prompts, or does not name masks.
    """

    def __init__(self, segmenter: PromptableModel | ExemplarModel, vocabulary: Words | None = None) -> None:
        if not isinstance(segmenter, (PromptableModel, ExemplarModel)):
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
        """The words from which the model chooses names for masks; empty (the default): masks have no names.

        Can be set to anything that :func:`~omgseg.inference.words.to_vocabulary` takes, or to None.

        Raises:
            UnsupportedRequest, FileNotFoundError, ValueError, TypeError: see
                :func:`~omgseg.inference.words.choose_names`.
        """
        return self._vocabulary

    @vocabulary.setter
    def vocabulary(self, words: Words | None) -> None:
        self._vocabulary = choose_names(self.segmenter, words) or Vocabulary()

    def set_image(self, image: ImageInput) -> None:
        """Encode an image for the prompts that follow. Its features are kept until the next image is set. After an
        error no image is set, also not the previous one.

        Args:
            image: a file, an RGB array, a tensor or a PIL image, see :mod:`omgseg.inference.pixels`.

        Raises:
            FileNotFoundError, OSError, ValueError, TypeError: the image cannot be read; the message says why.
        """
        with locked(self.segmenter):
            self._forget()  # before encoding, so that only one image is in memory
            pixels = to_image(image)
            self._state = self.segmenter.encode_image(pixels)
            self._image = pixels
            self._path = Path(image) if isinstance(image, (str, Path)) else None

    @property
    def image(self) -> np.ndarray | None:
        """The current image, RGB uint8 (H, W, 3); None if no image is set."""
        return self._image

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) of the image in pixels.

        Raises:
            RuntimeError: no image is set.
        """
        self._encoded()
        return self._image.shape[1], self._image.shape[0]

    def _encoded(self) -> ImageState:
        if self._image is None:
            raise RuntimeError("no image is set: call set_image first")
        return self._state

    def predict(
        self,
        points: Coordinates | None = None,
        labels: Sequence[int] | np.ndarray | None = None,
        boxes: Coordinates | None = None,
        mask: np.ndarray | Tensor | None = None,
    ) -> SegmentationResult:
        """Predict the mask of one object from any number of clicks, a box, or both.

        The first positive click, the box or the mask defines the object; further clicks correct it. Clicks can be given
        all at once, or one by one with the mask of the previous result: the predictor remembers the clicks of its last
        result and passes all of them to the model. With any other mask the model gets this mask and the new clicks; an
        empty mask shows nothing, and negative clicks alone leave it empty.

        Args:
            points: (K, 2) or one (2,), x and y in pixels from the upper left corner of the first pixel.
            labels: (K,), 1 for a click on the object (positive), 0 for a click beside it (negative). Default: all 1.
            boxes: one box around the object, (4,) or (1, 4): x1, y1, x2, y2 in pixels.
            mask: bool (H, W), the mask that the clicks correct: an earlier result, or drawn by hand.

        Returns:
            One mask with its confidence score.

        Raises:
            RuntimeError: no image is set.
            UnsupportedRequest: the model does not take prompts of this kind.
            ValueError: neither a point nor a box is given; all points are negative, without a box or mask; both a box
                and a mask are given; several boxes are given; or a value is wrong, see :func:`check_prompts`,
                :func:`check_labels` and :func:`check_mask`.
        """
        with locked(self.segmenter):
            size = self.image_size
            if points is None and boxes is None:
                raise ValueError("give points=[(x, y), ...] or boxes=(x1, y1, x2, y2)")
            if boxes is not None and mask is not None:
                raise ValueError("give a box or a mask to begin with, not both")
            if points is None and labels is not None:
                raise ValueError("labels belong to points; give points=[(x, y), ...], too")
            clicks = np.zeros((0, 2), np.float32) if points is None else check_prompts("points", points, size)
            click_labels = check_labels(labels, len(clicks))
            box = None if boxes is None else check_prompts("boxes", boxes, size)
            if box is not None and len(box) > 1:
                raise ValueError(
                    "predict finds one object, in one box; for several objects call predict_many"
                )
            start = None if mask is None else check_mask(mask, size)
            if box is None and start is None and not click_labels.any():
                raise ValueError(
                    "negative points correct a mask: give a positive point (label 1), a box, or mask=... too"
                )
            return self._predict(clicks, click_labels, box, start)

    def _predict(
        self, points: np.ndarray, labels: np.ndarray, boxes: np.ndarray | None, mask: np.ndarray | None
    ) -> SegmentationResult:
        carry, last = None, self._last
        if mask is not None and last is not None and encode_masks([mask])[0] == last.rle:
            points, labels = np.concatenate([last.points, points]), np.concatenate([last.labels, labels])
            if "masks" in self.segmenter.abilities.prompts:
                carry = last.carry
            else:  # the model starts again with all prompts
                boxes, mask = last.boxes, None
        prompts = self._prompts(
            points[None], labels[None], boxes, None if mask is None else mask[None], carry
        )
        masks = self.segmenter.segment_prompts(self._state, prompts)
        self._last = _Answer(points, labels, boxes, masks.rles[0], masks.carry)
        return self._result(masks)

    def _prompts(
        self,
        points: np.ndarray | None,
        labels: np.ndarray | None,
        boxes: np.ndarray | None,
        masks: np.ndarray | None = None,
        carry: Any = None,
    ) -> Prompts:
        """The prompts that are not None, checked against the model; labels only if a click is negative."""
        points = None if points is None or not points.size else points
        labels = None if points is None or labels is None or labels.all() else labels
        fields = {"points": points, "labels": labels, "boxes": boxes, "masks": masks}
        require_prompts(self.segmenter, *(kind for kind, value in fields.items() if value is not None))
        return Prompts(**fields, carry=carry)

    def predict_many(
        self, points: Coordinates | None = None, boxes: Coordinates | None = None
    ) -> SegmentationResult:
        """Predict the masks of many objects, one per point or per box.

        Args:
            points: (N, 2), see :meth:`predict`.
            boxes: (N, 4), see :meth:`predict`; either points or boxes.

        Returns:
            N masks with their confidence scores, in the order of the prompts.

        Raises:
            RuntimeError: no image is set.
            UnsupportedRequest: the model does not take prompts of this kind.
            ValueError: not exactly one of `points` and `boxes` is given; or see :meth:`predict`.
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

    def find_alike(
        self,
        exemplars: Coordinates,
        labels: Sequence[int] | np.ndarray | None = None,
        word: str | Category | None = None,
        min_score: float = ALIKE_MIN_SCORE,
    ) -> SegmentationResult:
        """Find all objects of the image that are like exemplars.

        Args:
            exemplars: (K, 4) or one (4,), x1, y1, x2, y2 in pixels: boxes around one object each.
            labels: (K,), 1 for objects to find the like of, 0 for what is not meant. Default: all 1.
            word: what the objects are. Default: the exemplars alone say it.
            min_score: objects with a lower score are left out; 0..1.

        Returns:
            Masks by falling score, those of the exemplars included, with the word as their name.

        Raises:
            RuntimeError: no image is set.
            UnsupportedRequest: the model takes no exemplars, or does not have the word.
            ValueError, TypeError: all exemplars are negative, without a word; or a value is wrong, see
                :func:`check_prompts`, :func:`check_labels` and :func:`~omgseg.inference.words.choose_word`.
        """
        require_prompts(self.segmenter, "exemplars")
        category = choose_word(self.segmenter, None if word is None else [word])
        limit = check_share("min_score", min_score)
        with locked(self.segmenter):
            boxes = check_prompts("exemplars", exemplars, self.image_size)
            kinds = check_labels(labels, len(boxes), "exemplar")
            if category is None and not kinds.any():
                raise ValueError("negative exemplars need a positive one (label 1), or a word")
            masks = self.segmenter.find_alike(self._state, Exemplars(boxes, kinds, category), limit)
            return self._result(masks, word=category)

    def segment_everything(
        self,
        points_per_side: int = POINTS_PER_SIDE,
        min_score: float = MIN_SCORE,
        max_overlap: float = MAX_OVERLAP,
    ) -> SegmentationResult:
        """Find all masks of the image without prompts.

        Args:
            points_per_side: side length of the grid of points that prompt for masks.
            min_score: masks with a lower score are left out; 0..1.
            max_overlap: IoU threshold of NMS; 0..1.

        Returns:
            Masks of the task ``everything``, by falling score. They may overlap: an object and its part are both masks.

        Raises:
            RuntimeError: no image is set.
            UnsupportedRequest: the model finds no masks without prompts.
            ValueError, TypeError: `points_per_side` is less than 1, or a threshold is not in 0..1.
        """
        if not isinstance(self.segmenter, Proposer):
            raise UnsupportedRequest(f"the task {Task.EVERYTHING.value!r}", self.segmenter)
        if points_per_side < 1:
            raise ValueError(f"points_per_side must be at least 1, not {points_per_side}")
        limits = check_share("min_score", min_score), check_share("max_overlap", max_overlap)
        with locked(self.segmenter):
            masks = self.segmenter.propose(self._encoded(), points_per_side, *limits)
            return self._result(masks, Task.EVERYTHING)

    def _result(
        self, masks: MaskSet, task: Task = Task.INTERACTIVE, word: Category | None = None
    ) -> SegmentationResult:
        """The result of an answer, whose masks get their names by `word`, or else by :attr:`vocabulary`."""
        labels = np.full(len(masks.rles), NO_CLASS if word is None else 0)
        tops = {}
        if word is None and len(self.vocabulary) and len(labels):
            probabilities = self.segmenter.name_masks(self._state, masks.rles, self.vocabulary)
            top_labels, top_scores = best_of(probabilities, TOP_NAMES)
            labels = np.where(top_scores[:, 0] > 0, top_labels[:, 0], NO_CLASS)
            tops = dict(top_labels=top_labels, top_scores=top_scores)
        return SegmentationResult(
            task,
            self._image.shape[:2],
            masks.rles,
            labels,
            masks.scores,
            vocabulary=self.vocabulary if word is None else Vocabulary([word]),
            path=self._path,
            image=self._image,
            **tops,
        )


def best_of(probabilities: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest values of each row, the largest first, and of equals that of the lower index.

    Args:
        probabilities: (N, C), C > 0.
        count: K; C if there are no more.

    Returns:
        Their indices (N, K) and the values (N, K).
    """
    count = min(count, probabilities.shape[1])
    rows = np.arange(len(probabilities))[:, None]
    # a full sort takes 20 times as long
    best = np.argpartition(-probabilities, count - 1, axis=1)[:, :count]
    best = best[rows, np.lexsort((best, -probabilities[rows, best]), axis=1)]
    return best, probabilities[rows, best]


def prepare_names(segmenter: PromptableModel, words: Words) -> None:
    """Let a model do now for what the first mask that these words name would wait: their text embeddings, mostly.

    It names the mask of one prompt on a blank picture, as the seam has no other way.

    Raises:
        UnsupportedRequest, MissingWords, FileNotFoundError, ValueError, TypeError: the model cannot name masks by them;
            see :attr:`InteractivePredictor.vocabulary`.
    """
    predictor = InteractivePredictor(segmenter, words)
    predictor.set_image(np.zeros((64, 64, 3), np.uint8))
    if "points" in segmenter.abilities.prompts:
        predictor.predict(points=[(32, 32)])
    else:
        predictor.predict(boxes=[(16, 16, 48, 48)])


def check_prompts(kind: str, prompts: Coordinates, image_size: tuple[int, int]) -> np.ndarray:
    """Prompts as float32 (N, 2) or (N, 4).

    Args:
        kind: "points", "boxes" or "exemplars", which are boxes.
        prompts: N rows of x and y, or of x1, y1, x2 and y2, in pixels; or one row.
        image_size: (width, height) in pixels.

    Raises:
        ValueError: there are no rows, a row has another number of columns, a coordinate lies outside of the image, or
            a box has no area.
    """
    columns = 2 if kind == "points" else 4
    try:
        values = np.atleast_2d(np.asarray(prompts, dtype=np.float32))
    except (TypeError, ValueError):
        values = np.empty((1, 0), np.float32)
    if not values.size and not np.size(prompts):
        raise ValueError(f"no {kind} are given; give at least one")
    if values.shape[1:] != (columns,):
        raise ValueError(f"{kind} must be N rows of {columns} numbers, got {prompts!r}")
    limit = np.asarray(image_size, np.float32)
    for row in values:
        corners = row.reshape(-1, 2)
        inside = (corners >= 0) & (corners < limit if kind == "points" else corners <= limit)
        if not inside.all():  # true for NaN, too
            raise ValueError(
                f"the {'point' if kind == 'points' else 'box'} ({', '.join(f'{value:g}' for value in row.tolist())}) "
                f"lies outside of the image of {image_size[0]}x{image_size[1]} pixels (width x height)"
            )
        if kind != "points" and not (corners[1] > corners[0]).all():
            raise ValueError(f"a box must be x1, y1, x2, y2 with x1 < x2 and y1 < y2, got {row.tolist()}")
    return values


def check_labels(
    labels: Sequence[int] | np.ndarray | Tensor | None, count: int, kind: str = "point"
) -> np.ndarray:
    """Labels of `count` points or exemplars as int8 (count,): 1 for positive, 0 for negative ones. None: all positive.

    Raises:
        ValueError: there is not one label per point (or `kind`), or a label is neither 0 nor 1.
    """
    if labels is None:
        return np.ones(count, np.int8)
    values = (labels.cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)).reshape(-1)
    if len(values) != count or not np.isin(values, (0, 1)).all():
        raise ValueError(
            f"labels must be one number per {kind}, 1 (positive) or 0 (negative); got {labels!r} for {count} {kind}s"
        )
    return values.astype(np.int8)


def check_mask(mask: np.ndarray | Tensor, image_size: tuple[int, int]) -> np.ndarray:
    """A mask as bool (H, W).

    Args:
        mask: (H, W), of any type; everything but 0 belongs to the mask.
        image_size: (width, height) in pixels.

    Raises:
        ValueError: the mask has another shape than the image.
    """
    array = mask.cpu().numpy() if isinstance(mask, Tensor) else np.asarray(mask)
    if array.shape != image_size[::-1]:
        raise ValueError(
            f"the mask must have the shape (H, W) = {image_size[::-1]} of the image, got {array.shape}; of a result "
            "give result.masks[0]"
        )
    return array != 0
