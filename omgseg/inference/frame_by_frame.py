"""Videos with a model of images: each frame alone, identities by overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask
from scipy.optimize import linear_sum_assignment

from omgseg.protocols import Request, Segmenter
from omgseg.structures import Segments, Task
from omgseg.structures.predictions import STUFF_ID

MIN_IOU = 0.3
"""A segment continues one of the frame before if their masks overlap at least so much."""


class FrameByFrame:
    """Lets a model of images segment videos; implements :class:`~omgseg.protocols.VideoModel`.

    Each frame is segmented alone. A thing keeps its id as long as its mask overlaps the mask of the same class in the
    frame before (IoU of at least :data:`MIN_IOU`, by the best assignment of all); one that was away gets a new id. A
    kind of stuff and a semantic class have constant ids. What is kept are the masks of one frame.

    Args:
        segmenter: of images.
    """

    clip_size = 1
    """Nothing is gained by waiting for further frames."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter

    def predict_video(self, frames: Sequence[np.ndarray], request: Request) -> list[Segments]:
        """See :meth:`omgseg.protocols.VideoModel.predict_video`; the same as a stream."""
        return self.open_stream(request).push(frames)

    def open_stream(self, request: Request) -> FrameStream:
        """See :meth:`omgseg.protocols.VideoModel.open_stream`."""
        return FrameStream(self.segmenter, request)


class FrameStream:
    """One video, frame by frame; a :class:`~omgseg.protocols.ClipStream`."""

    def __init__(self, segmenter: Segmenter, request: Request) -> None:
        self._segmenter, self._request = segmenter, request
        self._before: Segments | None = None
        self._last_id = 0
        self._count = 0

    def push(self, frames: Sequence[np.ndarray]) -> list[Segments]:
        """See :meth:`omgseg.protocols.ClipStream.push`.

        Raises:
            ValueError: a frame has another size than the first one.
        """
        return [self._segment(frame) for frame in frames]

    def _segment(self, frame: np.ndarray) -> Segments:
        if self._before is not None and frame.shape[:2] != self._before.size:
            raise ValueError(
                f"frame {self._count} has the size {frame.shape[:2]}, the first one {self._before.size} "
                "(height, width)"
            )
        (found,) = self._segmenter.predict([frame], self._request)
        ids = found.labels + 1 if found.task is Task.SEMANTIC else self._identities(found)
        self._before = found.replace(ids=ids, frame_index=self._count)
        self._count += 1
        return self._before

    def _identities(self, found: Segments) -> np.ndarray:
        """Ids int64 (N,) of the segments of a frame."""
        ids = np.where(found.is_thing, 0, STUFF_ID + found.labels)
        now = np.flatnonzero(found.is_thing)
        if self._before is not None:
            then = np.flatnonzero(self._before.is_thing)
            overlap = _iou(found, now, self._before, then)
            for row, column in zip(*linear_sum_assignment(-overlap), strict=True):
                if overlap[row, column] >= MIN_IOU:
                    ids[now[row]] = self._before.ids[then[column]]
        for row in now[ids[now] == 0]:
            ids[row] = self._new_id()
        return ids

    def _new_id(self) -> int:
        self._last_id += 1
        if self._last_id == STUFF_ID:  # an endless video gets there, and the ids of stuff follow
            self._last_id = 2 * STUFF_ID
        return self._last_id


def _iou(frame: Segments, rows: np.ndarray, other: Segments, columns: np.ndarray) -> np.ndarray:
    """IoU (N, M) of some segments of two frames; 0 for those of different classes."""
    if not len(rows) or not len(columns):
        return np.zeros((len(rows), len(columns)))
    masks, others = [frame.rles[row] for row in rows], [other.rles[column] for column in columns]
    overlap = np.asarray(coco_mask.iou(masks, others, [0] * len(others)))
    return overlap * (frame.labels[rows][:, None] == other.labels[columns])
