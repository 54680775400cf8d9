"""The seam: the interface between models and the code that uses them.

Models implement the protocols of this module. The code that uses a model (the inferencer, clicks, videos, the command
line, the web page, labelling, the click benchmark) uses nothing else of it. Images are NumPy arrays of the original
size, results are :class:`~omgseg.structures.Segments` or :class:`MaskSet` of that size. Resizing, padding, batches of
tensors, text encoders and precision are details of the models.

Only :class:`Segmenter` is required. The other protocols are optional, and a class may implement any of them; test with
``isinstance(model, PromptableModel)``. :class:`Abilities` states what a loaded model offers.

Only one call runs at a time, from any thread: callers hold :func:`omgseg.inference.locked`. Models compute without
gradients, in the precision with which they were loaded.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from omgseg.structures import Category, Segments, Task, Vocabulary

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

PROMPT_KINDS = ("points", "labels", "boxes", "masks", "exemplars")
"""The possible values in :attr:`Abilities.prompts`: fields of :class:`Prompts`, and :class:`Exemplars`."""

ImageState = Any
"""An encoded image. Only the model that made it can read it. It is freed with its last reference."""


_WORDS_SHOWN = 5


class MissingWords(FileNotFoundError):
    """A model of any words cannot take these, as it lacks a file for it, such as the weights of its text encoder.

    Args:
        words: the words.
        reason: which file, and how to give it.

    Attributes:
        shown: the words as text; the first of many.
    """

    def __init__(self, words: Sequence[str], reason: str) -> None:
        more = f" and {len(words) - _WORDS_SHOWN} more words" if len(words) > _WORDS_SHOWN else ""
        self.shown = ", ".join(map(repr, words[:_WORDS_SHOWN])) + more
        super().__init__(f"the model cannot read {self.shown}: {reason}")


@dataclass(frozen=True)
class Abilities:
    """What a loaded model can do.

    Attributes:
        tasks: the tasks that the model offers, on images or videos.
        prompts: what the model uses of :data:`PROMPT_KINDS`; ``labels`` stands for negative clicks.
        open_vocabulary: whether :attr:`Request.words` may be any words; else only words of `vocabulary`.
        independent_words: whether the model scores each word by itself and finds nothing for a word that the image does
            not show. Else callers add background words, which compete with the requested ones.
        vocabulary: the words of the training, or the fixed words; None if the model knows none.
        test_size: (width, height) in pixels to which the model resizes images; None if it does not resize them.
        needs_example: whether :attr:`Request.example` says what to segment. Without one the model segments nothing, and
            :attr:`Request.words` may be any words.
    """

    tasks: frozenset[Task]
    prompts: frozenset[str] = frozenset()
    open_vocabulary: bool = False
    independent_words: bool = False
    vocabulary: Vocabulary | None = None
    test_size: tuple[int, int] | None = None
    needs_example: bool = False


@dataclass(frozen=True)
class Example:
    """An image that shows what to segment in others.

    Attributes:
        image: RGB uint8 (H, W, 3).
        labels: int64 (H, W), the label of :attr:`Request.words` of each pixel, ``NO_CLASS`` (-1) for none. Every label
            occurs.
    """

    image: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Request:
    """The settings of a call, the same for every image or frame.

    Attributes:
        task: one of :attr:`Abilities.tasks`.
        words: the words to choose from, which the labels of the results index. None: the model's own words, or a task
            without words.
        min_score: segments with a lower score need not be returned.
        example: what to segment, if and only if the model needs one (:attr:`Abilities.needs_example`); `words` are
            given then.
    """

    task: Task
    words: Vocabulary | None = None
    min_score: float = 0.0
    example: Example | None = None


@dataclass(frozen=True)
class Prompts:
    """Prompts for N objects of one image, in pixels of the original image. At least one field is given.

    Attributes:
        points: float32 (N, K, 2), x and y from the upper left corner of the first pixel: all clicks on an object so
            far, in their order.
        labels: int8 (N, K): 1 on the object, 0 not on it, -1 padding. None: all 1.
        boxes: float32 (N, 4): x1, y1, x2, y2.
        masks: bool (N, H, W): the masks so far, which the clicks correct.
        carry: :attr:`MaskSet.carry` of the result that `masks` are from, if the caller still has it. It may hold more
            than the masks, and tells the model which clicks they already include. None: all clicks correct `masks`.
    """

    points: np.ndarray | None = None
    labels: np.ndarray | None = None
    boxes: np.ndarray | None = None
    masks: np.ndarray | None = None
    carry: Any = None

    def __len__(self) -> int:
        """The number of objects, N."""
        return next(len(field) for field in (self.points, self.boxes, self.masks) if field is not None)


@dataclass(frozen=True)
class Exemplars:
    """Examples of what to find in the image that shows them, in pixels of the original image.

    Attributes:
        boxes: float32 (K, 4): x1, y1, x2, y2 around one object each.
        labels: int8 (K,): 1 for objects to find the like of, 0 for what is not meant.
        word: what the objects are, see :attr:`Request.words`. None: the boxes alone say it; at least one has label 1.
    """

    boxes: np.ndarray
    labels: np.ndarray
    word: Category | None = None


@dataclass(frozen=True)
class MaskSet:
    """N masks of one image, which may overlap or be empty.

    Attributes:
        rles: N compressed COCO run lengths of the original size (:mod:`omgseg.structures.run_lengths`).
        scores: float32 (N,), confidence scores in 0..1.
        carry: data for :attr:`Prompts.carry` of the next call on the same objects; only the model reads it.
    """

    rles: list[dict[str, Any]]
    scores: np.ndarray
    carry: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class ExportGraph:
    """A part of a model that is exported as one ONNX file.

    Attributes:
        name: the file's name without its suffix, which says what the part does.
        module: in eval mode. It takes the inputs in their order, and returns a tensor, or a tuple of tensors.
        inputs: the meaning of each input by its name, in one line: units, order of the axes, values of labels.
        outputs: the same for what the module returns.
        axes: the names of the axes of any size, by input and index; an equal name is an equal size. All other sizes
            are those of the first call.
        calls: examples of the inputs. The first is traced, with at least 2 on every axis of any size; the results of
            all are compared with PyTorch's, so at least one should differ from the first in these axes.
    """

    name: str
    module: nn.Module
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    axes: Mapping[str, Mapping[int, str]]
    calls: Sequence[tuple[Tensor, ...]]


@runtime_checkable
class Segmenter(Protocol):
    """A loaded model. All other protocols are optional."""

    abilities: Abilities
    device: torch.device

    def group_key(self, size: tuple[int, int]) -> Hashable:
        """The key of an image size (height, width). Images with equal keys may share a batch."""
        ...

    def predict(self, images: Sequence[np.ndarray], request: Request) -> list[Segments]:
        """Segment independent images.

        Args:
            images: RGB uint8 (H, W, 3), all with the same :meth:`group_key`.
            request: the settings; its task is one of :attr:`Abilities.tasks` without prompts.

        Returns:
            One result per image, of its original size, with the task and the vocabulary of the request, and without
            path, name and pixels. :class:`~omgseg.structures.Segments` defines the segments of each task.

        Raises:
            ValueError: the model does not have a word of the request.
        """
        ...


@runtime_checkable
class PromptableModel(Protocol):
    """Encodes an image once, and predicts masks for prompts on it."""

    abilities: Abilities

    def encode_image(self, image: np.ndarray) -> ImageState:
        """Compute all that prompts need of an image, RGB uint8 (H, W, 3)."""
        ...

    def segment_prompts(self, state: ImageState, prompts: Prompts) -> MaskSet:
        """Predict one mask per object, in the order of the prompts; of several candidates the best one.

        Args:
            state: the encoded image.
            prompts: checked by the caller: coordinates are inside of the image, boxes have an area, and only fields of
                :attr:`Abilities.prompts` are given.
        """
        ...


@runtime_checkable
class ExemplarModel(Protocol):
    """Encodes an image once, and finds all objects of it that are like exemplars. A model that is a
    :class:`PromptableModel`, too, encodes an image for both."""

    abilities: Abilities

    def encode_image(self, image: np.ndarray) -> ImageState:
        """See :meth:`PromptableModel.encode_image`."""
        ...

    def find_alike(self, state: ImageState, exemplars: Exemplars, min_score: float) -> MaskSet:
        """Find all objects that are like the exemplars, these included, by falling score.

        Args:
            state: the encoded image.
            exemplars: checked by the caller: boxes are inside of the image and have an area, and a word is one that the
                model knows.
            min_score: objects with a lower score are left out.
        """
        ...


@runtime_checkable
class Proposer(Protocol):
    """Finds all masks of an encoded image without prompts. Needs :meth:`PromptableModel.encode_image`."""

    def propose(
        self, state: ImageState, points_per_side: int, min_score: float, max_overlap: float
    ) -> MaskSet:
        """Find all masks, by falling score; an object and its part are both masks.

        Args:
            state: the encoded image.
            points_per_side: side length of the grid of points that prompt for masks; the model may use other ways, too.
            min_score: masks with a lower score are left out.
            max_overlap: IoU threshold of NMS.
        """
        ...


@runtime_checkable
class MaskNamer(Protocol):
    """Classifies masks by words. Needs :meth:`PromptableModel.encode_image`."""

    def name_masks(self, state: ImageState, rles: Sequence[dict[str, Any]], words: Vocabulary) -> np.ndarray:
        """Probabilities float32 (N, C) of C words for N masks of the original size; a row is zero if the model cannot
        name the mask, for example because it is too small.

        Raises:
            MissingWords: the model cannot take some of the words.
        """
        ...


@runtime_checkable
class VideoModel(Protocol):
    """Segments videos: an object keeps its id over the frames."""

    clip_size: int
    """The best number of frames per :meth:`ClipStream.push`."""

    def predict_video(self, frames: Sequence[np.ndarray], request: Request) -> list[Segments]:
        """Segment a video as a whole, exactly; memory grows with its length. See :meth:`Segmenter.predict`."""
        ...

    def open_stream(self, request: Request) -> ClipStream:
        """Begin a video of unknown length."""
        ...


class ClipStream(Protocol):
    """One video, clip by clip, in constant memory."""

    def push(self, frames: Sequence[np.ndarray]) -> list[Segments]:
        """Segment the next clip.

        Args:
            frames: RGB uint8 (H, W, 3), at least one, all of the size of the first frame of the video.

        Returns:
            One result per frame.
        """
        ...


@runtime_checkable
class TrackingModel(Protocol):
    """Follows given objects through a video (video object segmentation)."""

    clip_size: int

    def track_video(self, frames: Sequence[np.ndarray], masks: np.ndarray, ids: np.ndarray) -> list[Segments]:
        """Follow objects of the first frame through a video as a whole.

        Args:
            frames: RGB uint8 (H, W, 3).
            masks: bool (N, H, W) in the first frame.
            ids: int64 (N,), above 0 and different.

        Returns:
            One result of the task ``vos`` per frame: the visible objects with their ids.
        """
        ...

    def open_tracker(self) -> ObjectStream:
        """Begin a video, whose frames are pushed in their order or in the reverse order."""
        ...


class ObjectStream(ClipStream, Protocol):
    """One video in which given objects are followed, clip by clip."""

    def add(self, masks: np.ndarray, ids: np.ndarray, frame: int = 0) -> None:
        """Add objects, or correct the masks of objects that are followed already.

        Args:
            masks: bool (N, H, W), in pixels of the original frame.
            ids: int64 (N,), above 0 and different.
            frame: index of the frame that shows them, in the clip that is pushed next. The result of this frame holds
                the masks unchanged.

        Raises:
            ValueError: masks and ids do not fit each other or, at the next push, the frames.
        """
        ...


@runtime_checkable
class Exportable(Protocol):
    """Can be written as ONNX graphs, which run without this package."""

    def export_graphs(self) -> list[ExportGraph]:
        """The parts of the model, in float32, in the order in which a program calls them."""
        ...
