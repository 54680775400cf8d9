"""The seam between models and their uses.

Whatever segments implements the protocols here; whatever uses a model (the inferencer, clicks, videos, the command
line, the web page, labelling, the click benchmark) sees nothing else of it. Images are NumPy arrays of the original
size, answers are :class:`~omgseg.structures.Segments` or :class:`MaskSet` of that size. Resizing, padding, batches of
tensors, text encoders and precision lie behind the seam.

Only :class:`Segmenter` is required. The others are optional, one class may implement any of them, and
``isinstance(model, PromptableModel)`` tells. :class:`Abilities` says what a loaded model can do in particular.

Calls come one at a time, from any thread: callers hold :func:`omgseg.inference.locked`. Models compute without
gradients, in the precision with which they were loaded.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from omgseg.structures import Segments, Task, Vocabulary

if TYPE_CHECKING:
    import torch

PROMPT_KINDS = ("points", "labels", "boxes", "masks")
"""What :attr:`Abilities.prompts` may hold; the fields of :class:`Prompts`."""

ImageState = Any
"""An encoded image. Opaque: only the model that made it reads it. Dropping the last reference frees it."""


@dataclass(frozen=True)
class Abilities:
    """What a loaded model can do.

    Attributes:
        tasks: that may be asked for, on images or videos.
        prompts: fields of :class:`Prompts` that are honoured, of :data:`PROMPT_KINDS`; ``labels`` means negative
            clicks.
        open_vocabulary: :attr:`Request.words` may be any words; else only words of `vocabulary`.
        vocabulary: the words of the training, or the fixed words; None if the model knows none.
        test_size: (width, height) to which images are resized, keeping their ratio where the model does; None if the
            model takes them as they are.
    """

    tasks: frozenset[Task]
    prompts: frozenset[str] = frozenset()
    open_vocabulary: bool = False
    vocabulary: Vocabulary | None = None
    test_size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Request:
    """What is asked of every image or frame of a call.

    Attributes:
        task: one of :attr:`Abilities.tasks`.
        words: what the model chooses from; labels of the answer index them. None: the model's own words, or a task
            without words.
        min_score: segments of a lower score need not be returned.
    """

    task: Task
    words: Vocabulary | None = None
    min_score: float = 0.0


@dataclass(frozen=True)
class Prompts:
    """Where N objects of one image are, in pixels of the original image. At least one field is given.

    Attributes:
        points: float32 (N, K, 2), x and y from the upper left corner of the first pixel: all clicks on an object so
            far, in their order.
        labels: int8 (N, K): 1 on the object, 0 not on it, -1 padding. None: all 1.
        boxes: float32 (N, 4): x1, y1, x2, y2.
        masks: bool (N, H, W): the answer so far, which the clicks correct.
        carry: :attr:`MaskSet.carry` of the answer that `masks` are, if it is still at hand. It may hold more than the
            masks do, and says how many of the clicks they already answer. None: all clicks are corrections of `masks`.
    """

    points: np.ndarray | None = None
    labels: np.ndarray | None = None
    boxes: np.ndarray | None = None
    masks: np.ndarray | None = None
    carry: Any = None

    def __len__(self) -> int:
        """N."""
        return next(len(given) for given in (self.points, self.boxes, self.masks) if given is not None)


@dataclass(frozen=True)
class MaskSet:
    """N masks of one image, which may overlap or be empty.

    Attributes:
        rles: N compressed COCO run lengths of the original size (:mod:`omgseg.structures.run_lengths`).
        scores: float32 (N,), 0..1: how good the model thinks a mask is.
        carry: opaque; for :attr:`Prompts.carry` of the next call on the same objects.
    """

    rles: list[dict[str, Any]]
    scores: np.ndarray
    carry: Any = field(default=None, compare=False, repr=False)


@runtime_checkable
class Segmenter(Protocol):
    """A loaded model. All others are optional beside it."""

    abilities: Abilities
    device: torch.device

    def group_key(self, size: tuple[int, int]) -> Hashable:
        """Images (height, width) of equal keys may share a batch."""
        ...

    def predict(self, images: Sequence[np.ndarray], request: Request) -> list[Segments]:
        """Segment independent images.

        Args:
            images: RGB uint8 (H, W, 3) of one :meth:`group_key`.
            request: its task is one of :attr:`Abilities.tasks` that needs no prompts.

        Returns:
            One result per image, of its original size, with the task and the vocabulary of the request; without
            path, name or pixels, which the caller knows. What a segment is per task, says
            :class:`~omgseg.structures.Segments`.

        Raises:
            ValueError: words that the model does not have.
        """
        ...


@runtime_checkable
class PromptableModel(Protocol):
    """Encodes an image once, then answers prompts on it."""

    abilities: Abilities

    def encode_image(self, image: np.ndarray) -> ImageState:
        """Encode RGB uint8 (H, W, 3); all that prompts need of it."""
        ...

    def segment_prompts(self, state: ImageState, prompts: Prompts) -> MaskSet:
        """One mask per object of the prompts, in their order; several candidates are reduced to the best one.

        Args:
            prompts: coordinates lie inside of the image, boxes have an area, and only fields of
                :attr:`Abilities.prompts` are given: the caller has checked.
        """
        ...


@runtime_checkable
class Proposer(Protocol):
    """Finds all masks of an encoded image without a prompt. Needs :meth:`PromptableModel.encode_image`."""

    def propose(
        self, state: ImageState, points_per_side: int, min_score: float, max_overlap: float
    ) -> MaskSet:
        """Masks by falling score; an object and its part are both masks.

        Args:
            points_per_side: a grid of ``points_per_side`` squared points asks for masks, besides the model's own ways.
            min_score: masks below are left out.
            max_overlap: of two masks with a higher IoU the one of the higher score stays.
        """
        ...


@runtime_checkable
class MaskNamer(Protocol):
    """Says which words fit given masks. Needs :meth:`PromptableModel.encode_image`."""

    def name_masks(self, state: ImageState, rles: Sequence[dict[str, Any]], words: Vocabulary) -> np.ndarray:
        """Probabilities float32 (N, C) of the words for masks of the original size; zeros where a mask is too small
        to be seen."""
        ...


@runtime_checkable
class VideoModel(Protocol):
    """Segments videos: segments of one identity keep their id over the frames."""

    clip_size: int
    """Frames that a stream is best given at a time."""

    def predict_video(self, frames: Sequence[np.ndarray], request: Request) -> list[Segments]:
        """A video read out as a whole, exact and as large as the video is long; see :meth:`Segmenter.predict`."""
        ...

    def open_stream(self, request: Request) -> ClipStream:
        """Begin a video of unknown length."""
        ...


class ClipStream(Protocol):
    """One video, clip by clip; what is kept does not grow with its length."""

    def push(self, frames: Sequence[np.ndarray]) -> list[Segments]:
        """Segment the next clip.

        Args:
            frames: RGB uint8 (H, W, 3), at least one, all of the size of the first clip's.

        Returns:
            One result per frame.
        """
        ...


@runtime_checkable
class TrackingModel(Protocol):
    """Follows given objects through a video (video object segmentation)."""

    clip_size: int

    def track_video(self, frames: Sequence[np.ndarray], masks: np.ndarray, ids: np.ndarray) -> list[Segments]:
        """Follow objects of the first frame through a video that is read out as a whole.

        Args:
            frames: RGB uint8 (H, W, 3).
            masks: bool (N, H, W) in the first frame.
            ids: int64 (N,), above 0 and different.

        Returns:
            One result of the task ``vos`` per frame: the objects that are seen, with their ids.
        """
        ...

    def open_tracker(self) -> ObjectStream:
        """Begin a video; frames come in its order or in the reverse order."""
        ...


class ObjectStream(ClipStream, Protocol):
    """One video in which given objects are followed, clip by clip."""

    def add(self, masks: np.ndarray, ids: np.ndarray, frame: int = 0) -> None:
        """Give objects, or correct those that are followed already.

        Args:
            masks: bool (N, H, W), in pixels of the original frame.
            ids: int64 (N,), above 0 and different.
            frame: number of the frame that shows them, in the clip that is pushed next. That frame's result shows
                them as they were given.

        Raises:
            ValueError: masks and ids do not fit each other or, at the next push, the frames.
        """
        ...
