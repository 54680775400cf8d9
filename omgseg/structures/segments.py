"""Segments of one image: their content, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as coco_mask

from omgseg.structures.images import IMAGE_SUFFIXES, read_image
from omgseg.structures.run_lengths import as_text, decode_masks, mask_areas
from omgseg.structures.task import Task
from omgseg.structures.vocabulary import NO_CLASS, Vocabulary

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

FIELDS = (
    "task",
    "size",
    "rles",
    "labels",
    "scores",
    "ids",
    "top_labels",
    "top_scores",
    "vocabulary",
    "path",
    "name",
    "frame_index",
    "time",
)


class Segments:
    """The segments of one image, or of one frame of a video. They are never changed; masks are decoded when asked for.

    What a segment is depends on the task: ``semantic`` one per class that is present, ``panoptic`` one per thing and
    one per kind of stuff, ``instance`` objects that may overlap, by falling score, ``interactive`` one per prompt, in
    their order, ``everything`` masks by falling score, which may overlap, ``vos`` one per object that is seen.

    Args:
        task: of the prediction.
        size: (height, width) in pixels.
        rles: N masks of that size, compressed COCO run lengths.
        labels: N indices into `vocabulary`; ``NO_CLASS`` (-1) without a class.
        scores: N confidences in 0..1.
        ids: N different identities, above 0 and constant over a video. Default: 1..N.
        vocabulary: what the labels mean; empty without classes.
        path: the image file, or the video file of the frame; None for arrays and streams.
        name: default: that of the file without its ending.
        frame_index: number of the frame in its video, from 0; None for images.
        time: of the frame, in seconds from the start of its video.
        image: the pixels, RGB uint8 (H, W, 3), for drawing. Default: read from `path` when they are needed.
        top_labels: N times the K most probable indices into `vocabulary`, best first. Default: none, K = 0, as only
            masks of prompts have them, which are named after they were found.
        top_scores: their probabilities; 0 where a mask could not be named.

    Attributes:
        labels: int64 (N,).
        scores: float32 (N,).
        ids: int64 (N,).
        top_labels: int64 (N, K).
        top_scores: float32 (N, K).

    Raises:
        ValueError: arguments do not fit each other.
    """

    task: Task
    size: tuple[int, int]
    rles: list[dict[str, Any]]
    labels: np.ndarray
    scores: np.ndarray
    ids: np.ndarray
    top_labels: np.ndarray
    top_scores: np.ndarray
    vocabulary: Vocabulary
    path: Path | None
    name: str
    frame_index: int | None
    time: float | None

    def __init__(
        self,
        task: Task | str,
        size: tuple[int, int],
        rles: Sequence[dict[str, Any]],
        labels: Sequence[int] | np.ndarray,
        scores: Sequence[float] | np.ndarray,
        ids: Sequence[int] | np.ndarray | None = None,
        vocabulary: Vocabulary | None = None,
        path: str | Path | None = None,
        name: str | None = None,
        frame_index: int | None = None,
        time: float | None = None,
        image: np.ndarray | None = None,
        top_labels: Sequence[Sequence[int]] | np.ndarray | None = None,
        top_scores: Sequence[Sequence[float]] | np.ndarray | None = None,
    ) -> None:
        no_tops = np.zeros((len(rles), 0))
        path = None if path is None else Path(path)
        self.__dict__.update(
            task=Task(task),
            size=(int(size[0]), int(size[1])),
            rles=[as_text(run_lengths) for run_lengths in rles],
            labels=_constant(labels, np.int64, "labels"),
            scores=_constant(scores, np.float32, "scores"),
            ids=_constant(np.arange(1, len(rles) + 1) if ids is None else ids, np.int64, "ids"),
            top_labels=_constant(no_tops if top_labels is None else top_labels, np.int64, "top_labels"),
            top_scores=_constant(no_tops if top_scores is None else top_scores, np.float32, "top_scores"),
            vocabulary=Vocabulary() if vocabulary is None else vocabulary,
            path=path,
            name=name if name is not None else "" if path is None else path.stem,
            frame_index=None if frame_index is None else int(frame_index),
            time=None if time is None else float(time),
            _image=image,
        )
        self._check()

    @classmethod
    def of(cls, segments: Segments) -> Self:
        """The same segments as an object of this class; they share their content."""
        same = cls.__new__(cls)
        same.__dict__.update(segments.__dict__)
        return same

    def _check(self) -> None:
        count, classes = len(self.rles), len(self.vocabulary)
        for field in ("labels", "scores", "ids"):
            if getattr(self, field).shape != (count,):
                raise ValueError(f"{field}: shape {getattr(self, field).shape}, but there are {count} masks")
        if count and not (self.labels.min() >= NO_CLASS and self.labels.max() < classes):
            raise ValueError(
                f"labels: {self.labels.tolist()} are not all in a vocabulary of {classes} classes"
            )
        if not (np.isfinite(self.scores).all() and np.isfinite(self.top_scores).all()):
            raise ValueError("scores: not all are finite numbers")
        shape = self.top_labels.shape
        if len(shape) != 2 or shape[0] != count or self.top_scores.shape != shape:
            raise ValueError(
                f"top_labels: shape {shape} with top_scores of {self.top_scores.shape}, but there are {count} masks"
            )
        if self.top_labels.size and not (self.top_labels.min() >= 0 and self.top_labels.max() < classes):
            raise ValueError(f"top_labels: not all are in a vocabulary of {classes} classes")
        if count and (self.ids.min() < 1 or len(np.unique(self.ids)) < count):
            raise ValueError(f"ids: {self.ids.tolist()} are not all different and above 0")
        for run_lengths in self.rles:
            if tuple(run_lengths["size"]) != self.size:
                raise ValueError(
                    f"rles: a mask of size {run_lengths['size']} in an image of {list(self.size)}"
                )
        if self._image is not None and self._image.shape != (*self.size, 3):
            raise ValueError(f"image: shape {self._image.shape} instead of {(*self.size, 3)}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a result is not changed: use result.replace({name}=...)")

    def __len__(self) -> int:
        return len(self.rles)

    def __eq__(self, other: object) -> bool:
        """The same content; the pixels do not matter."""
        if not isinstance(other, Segments):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in FIELDS)

    __hash__ = None

    def __repr__(self) -> str:
        found = ", ".join(self.names[:5]) + (", ..." if len(self) > 5 else "")
        height, width = self.size
        return f"{type(self).__name__}({self.task.value}, {self.name!r}, {width}x{height}: {len(self)} ({found}))"

    @property
    def image(self) -> np.ndarray | None:
        """The pixels, RGB uint8 (H, W, 3); read from an image file each time; None where there are none.

        Raises:
            OSError: the file is gone or broken.
            ValueError: it has another size now.
        """
        if self._image is not None or self.path is None or self.path.suffix.lower() not in IMAGE_SUFFIXES:
            return self._image
        image = read_image(self.path)
        if image.shape[:2] != self.size:
            raise ValueError(
                f"{self.path}: {image.shape[:2]} pixels (H, W), the result was made of {self.size}"
            )
        return image

    @property
    def masks(self) -> np.ndarray:
        """bool (N, H, W), decoded each time."""
        return decode_masks(self.rles, self.size)

    @cached_property
    def boxes(self) -> np.ndarray:
        """float32 (N, 4): x1, y1, x2, y2 in pixels around each mask; zeros for an empty one."""
        if not len(self):
            return np.zeros((0, 4), np.float32)
        boxes = np.asarray(coco_mask.toBbox(self.rles), np.float32)
        boxes[:, 2:] += boxes[:, :2]
        return _constant(boxes, np.float32)

    @cached_property
    def areas(self) -> np.ndarray:
        """int64 (N,): pixels of each mask."""
        return _constant(mask_areas(self.rles), np.int64)

    @property
    def names(self) -> list[str]:
        """N names of classes; empty texts without a class."""
        return [self.vocabulary[label].name if label >= 0 else "" for label in self.labels.tolist()]

    @property
    def top_names(self) -> list[list[tuple[str, float]]]:
        """For each segment the most probable names with their probabilities, best first; none where it has no name."""
        rows = zip(self.top_labels.tolist(), self.top_scores.tolist(), strict=True)
        return [
            [(self.vocabulary[label].name, score) for label, score in zip(*row, strict=True) if score > 0]
            for row in rows
        ]

    @property
    def is_thing(self) -> np.ndarray:
        """bool (N,): countable objects; what has no class is one."""
        labels = self.labels.tolist()
        return np.array([label < 0 or self.vocabulary[label].is_thing for label in labels], dtype=bool)

    @property
    def label_map(self) -> np.ndarray:
        """int32 (H, W): label of every pixel, -1 where nothing is. An earlier segment hides later ones."""
        return self._paint(self.labels, NO_CLASS)

    @property
    def id_map(self) -> np.ndarray:
        """int32 (H, W): identity at every pixel, 0 where nothing is. An earlier segment hides later ones."""
        return self._paint(self.ids, 0)

    @property
    def index_map(self) -> np.ndarray:
        """int32 (H, W): number of the segment at every pixel, from 1, 0 where nothing is. The first one is seen."""
        return self._paint(np.arange(1, len(self) + 1), 0)

    def _paint(self, values: np.ndarray, nothing: int) -> np.ndarray:
        painted = np.full(self.size, nothing, np.int32, order="F")  # as masks are decoded
        for run_lengths, value in zip(reversed(self.rles), values[::-1].tolist(), strict=True):
            np.copyto(painted, value, where=coco_mask.decode(run_lengths).view(bool))
        return np.ascontiguousarray(painted)

    def replace(self, **changes: Any) -> Self:
        """A copy with other values of some of the constructor's arguments."""
        same = {name: getattr(self, name) for name in FIELDS}
        if len(changes.get("rles", self.rles)) != len(self):
            same |= dict(top_labels=None, top_scores=None)  # of other masks
        return type(self)(**{**same, "image": self._image, **changes})

    def select(self, keep: np.ndarray | Sequence[int] | Sequence[bool]) -> Self:
        """Some of the segments.

        Args:
            keep: bool (N,), or indices, which also give the order.

        Raises:
            ValueError, IndexError: a mask of another length, or an index out of range.
        """
        keep = np.asarray(keep)
        if keep.dtype == bool:
            if keep.shape != (len(self),):
                raise ValueError(f"keep: shape {keep.shape}, but there are {len(self)} segments")
            keep = np.flatnonzero(keep)
        keep = keep.astype(np.int64)
        return self.replace(
            rles=[self.rles[index] for index in keep.tolist()],
            labels=self.labels[keep],
            scores=self.scores[keep],
            ids=self.ids[keep],
            top_labels=self.top_labels[keep],
            top_scores=self.top_scores[keep],
        )

    def confident(self, min_score: float) -> Self:
        """The segments with at least this score."""
        return self.select(self.scores >= min_score)


def _constant(values: Any, dtype: type, field: str = "values") -> np.ndarray:
    try:
        array = np.array(values, dtype=dtype)
    except OverflowError as error:
        raise ValueError(f"{field}: a number does not fit into {np.dtype(dtype)}") from error
    array.setflags(write=False)
    return array
