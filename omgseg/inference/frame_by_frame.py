"""Videos with an image model: frames are segmented independently, and ids follow from mask overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask
from scipy.optimize import linear_sum_assignment

from omgseg.protocols import Request, Segmenter
from omgseg.structures import Segments, Task
from omgseg.structures.images import check_frame_size
from omgseg.structures.predictions import STUFF_ID

MIN_IOU = 0.3
"""A segment keeps the id of a segment in the previous frame if the IoU of their masks is at least this."""


class FrameByFrame:
    """Lets an image model segment videos; implements :class:`~omgseg.protocols.VideoModel`.

    Frames are segmented independently. A thing keeps its id while its mask overlaps one of the same class in the
    previous frame with an IoU of at least :data:`MIN_IOU`; masks are matched by Hungarian assignment. A thing that
    reappears gets a new id. Stuff and semantic classes have constant ids. Only the masks of one frame are kept.

    Args:
        segmenter: a loaded image model.
    """

    clip_size = 1

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter

    def predict_video(self, frames: Sequence[np.ndarray], request: Request) -> list[Segments]:
        """See :meth:`omgseg.protocols.VideoModel.predict_video`; gives what the stream gives."""
        return self.open_stream(request).push(frames)

    def open_stream(self, request: Request) -> FrameStream:
        """See :meth:`omgseg.protocols.VideoModel.open_stream`."""
        return FrameStream(self.segmenter, request)


class FrameStream:
    """One video, frame by frame; a :class:`~omgseg.protocols.ClipStream`."""

    def __init__(self, segmenter: Segmenter, request: Request) -> None:
        self._segmenter, self._request = segmenter, request
        self._previous: Segments | None = None
        self._last_id = 0
        self._count = 0

    def push(self, frames: Sequence[np.ndarray]) -> list[Segments]:
        """See :meth:`omgseg.protocols.ClipStream.push`.

        Raises:
            ValueError: a frame has another size than the first one.
        """
        return [self._segment(frame) for frame in frames]

    def _segment(self, frame: np.ndarray) -> Segments:
        if self._previous is not None:
            check_frame_size(self._count, frame, self._previous.size)
        (segments,) = self._segmenter.predict([frame], self._request)
        ids = segments.labels + 1 if segments.task is Task.SEMANTIC else self._ids_of(segments)
        self._previous = segments.replace(ids=ids, frame_index=self._count)
        self._count += 1
        return self._previous

    def _ids_of(self, segments: Segments) -> np.ndarray:
        """Ids int64 (N,) of the segments of a frame."""
        ids = np.where(segments.is_thing, 0, STUFF_ID + segments.labels)
        things = np.flatnonzero(segments.is_thing)
        if self._previous is not None:
            previous_things = np.flatnonzero(self._previous.is_thing)
            iou = _iou(segments, things, self._previous, previous_things)
            for row, column in zip(*linear_sum_assignment(-iou), strict=True):
                if iou[row, column] >= MIN_IOU:
                    ids[things[row]] = self._previous.ids[previous_things[column]]
        for index in things[ids[things] == 0]:
            ids[index] = self._new_id()
        return ids

    def _new_id(self) -> int:
        self._last_id += 1
        if self._last_id == STUFF_ID:  # after a million things; skip the ids of stuff
            self._last_id = 2 * STUFF_ID
        return self._last_id


def _iou(frame: Segments, rows: np.ndarray, other: Segments, columns: np.ndarray) -> np.ndarray:
    """IoU (N, M) of N segments of one frame and M segments of another; 0 for different classes."""
    if not len(rows) or not len(columns):
        return np.zeros((len(rows), len(columns)))
    masks, other_masks = [frame.rles[row] for row in rows], [other.rles[column] for column in columns]
    iou = np.asarray(coco_mask.iou(masks, other_masks, [0] * len(other_masks)))
    return iou * (frame.labels[rows][:, None] == other.labels[columns])
