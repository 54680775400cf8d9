"""Clicks in any frame of a video, followed to its start and to its end."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from pycocotools import mask as coco_mask
from torch import Tensor

from omgseg.inference.abilities import require_task
from omgseg.inference.first_masks import check_id
from omgseg.inference.interactive import Coordinates, InteractivePredictor, check_mask
from omgseg.inference.results import SegmentationResult, VideoResult
from omgseg.inference.running import locked
from omgseg.inference.sources import Frame, FrameReader, Source, SourceInput
from omgseg.structures import NO_CLASS, Task
from omgseg.structures.run_lengths import decode_masks, encode_masks

T = TypeVar("T")
BACKWARD_WINDOW = 40
"""Frames that are in memory at a time while objects are followed backwards."""


def _one_at_a_time(method: Callable[..., T]) -> Callable[..., T]:
    """A method that waits for the other threads that use its object."""

    @wraps(method)
    def inside(self: InteractiveVideo, *args: Any, **kwargs: Any) -> T:
        with self._lock:
            return method(self, *args, **kwargs)

    return inside


class InteractiveVideo:
    """Segments objects of a video with clicks: in some frames by the user, in all others by following them.

    ::

        video = InteractiveVideo(seg.interactive, "film.mp4")
        video.click(120, points=[(320, 200)])  # frame 120
        video.click(120, points=[(500, 90)], object_id=2)
        result = video.propagate()  # to both ends
        video.click(30, points=[(310, 150)], labels=[0])  # corrects what was found in frame 30
        video.propagate().save("objects.mp4")

    Between two frames with clicks an object follows from the nearer one. Frames are read when they are needed; what is
    kept of them are run lengths. Threads may share a video: its methods run one at a time.

    Args:
        predictor: of the model (``OMGSegInferencer(...).interactive``). The video uses its model and its words, and
            leaves its image alone.
        source: a video file, a folder of frames, a video uint8 (T, H, W, 3), a list of frames.

    Raises:
        UnsupportedRequest: the model does not follow objects.
        FileNotFoundError, OSError, ValueError, TypeError: see :func:`~omgseg.inference.sources.open_source`; or a live
            stream.
    """

    def __init__(self, predictor: InteractivePredictor, source: SourceInput | Source) -> None:
        require_task(predictor.segmenter, Task.VOS)
        self.predictor = InteractivePredictor(predictor.segmenter, predictor.vocabulary)
        self._lock = threading.RLock()
        self._reader = FrameReader(source)
        self._given: dict[int, dict[int, dict]] = {}
        self._found: dict[int, dict[int, dict]] = {}
        self._current: Frame | None = None

    @_one_at_a_time
    def click(
        self,
        frame: int,
        points: Coordinates | None = None,
        labels: Sequence[int] | np.ndarray | None = None,
        boxes: Coordinates | None = None,
        mask: np.ndarray | Tensor | None = None,
        object_id: int = 1,
    ) -> SegmentationResult:
        """Show an object in a frame, or correct it there; see :meth:`InteractivePredictor.predict`.

        Clicks correct the object's mask in this frame, from earlier clicks or from :meth:`propagate`; where there is
        none, or with a box, the object is shown anew. A mask without clicks is taken as it is. An empty mask says that
        the object is not there.

        Args:
            frame: number of the frame, from 0.
            points, labels, boxes, mask: see :meth:`InteractivePredictor.predict`.
            object_id: of the object, above 0; a new number is a new object.

        Returns:
            The object's mask in this frame. The other frames follow with :meth:`propagate`.

        Raises:
            IndexError: the video has no such frame.
            ValueError: see :meth:`InteractivePredictor.predict`; or `object_id` is not an identity, see
                :func:`~omgseg.inference.first_masks.check_id`.
        """
        object_id = check_id(object_id)
        if self._current is None or self._current.index != frame:
            self._current = None  # an error must not leave another frame's state under this number
            current = self._reader.frame(frame)
            self.predictor.set_image(current.image)
            self._current = current
        if mask is None and boxes is None:
            known = self._given.get(object_id, {}).get(frame) or self._found.get(object_id, {}).get(frame)
            mask = None if known is None else decode_masks([known], tuple(known["size"]))[0]
            mask = mask if mask is not None and mask.any() else None
        if points is None and boxes is None and mask is not None:
            drawn = check_mask(mask, self.predictor.image_size)
            found = _objects(self._current, encode_masks([drawn]), [object_id])
        else:
            found = self.predictor.predict(points, labels, boxes, mask)
        place = dict(path=self._current.path, name=self._current.name, time=self._current.time)
        result = found.replace(ids=[object_id], frame_index=frame, image=self._current.image, **place)
        self._given.setdefault(object_id, {})[frame] = result.rles[0]
        return result

    @_one_at_a_time
    def propagate(self) -> VideoResult:
        """Follow all objects through the whole video, forwards and backwards from the frames with clicks.

        Returns:
            The objects that are seen in each frame. In frames with clicks these are the masks of the clicks.

        Raises:
            RuntimeError: no object was clicked on yet.
            OSError, ValueError: a frame cannot be read, or has another size than the others.
        """
        if not self._given:
            raise RuntimeError("there is no object to follow: call click first")
        clicked = sorted({frame for frames in self._given.values() for frame in frames})
        found: dict[int, dict[int, dict]] = {identity: {} for identity in self._given}
        results: dict[int, SegmentationResult] = {}
        passes = [(self._forwards(clicked[0]), False)]
        if clicked[-1] > 0:
            passes.append((self._backwards(clicked[-1]), True))
        for clips, backwards in passes:
            for frame, objects in self._follow(clips):
                blank = _objects(frame, [], [])
                results[frame.index] = blank if self._reader.in_memory else blank.replace(image=None)
                for identity, given in self._given.items():
                    if self._from_later(identity, frame.index) == backwards:
                        rle = given.get(frame.index) or objects.get(identity)
                        if rle is not None and coco_mask.area(rle):
                            found[identity][frame.index] = rle
        self._found = found
        for index, blank in results.items():
            seen = [identity for identity in sorted(found) if index in found[identity]]
            rles = [found[identity][index] for identity in seen]
            results[index] = blank.replace(
                rles=rles, ids=seen, labels=[NO_CLASS] * len(seen), scores=[1.0] * len(seen)
            )
        ordered = [results[index] for index in sorted(results)]
        return VideoResult(ordered, self._reader.fps, self._reader.path, self._reader.name)

    def _from_later(self, identity: int, index: int) -> bool:
        """Whether the nearest frame with clicks on an object comes after this one."""
        clicked = sorted(self._given[identity])
        before, after = bisect_right(clicked, index) - 1, bisect_left(clicked, index)
        if before < 0 or after == len(clicked):
            return before < 0
        return clicked[after] - index < index - clicked[before]

    def _forwards(self, start: int) -> Iterator[list[Frame]]:
        frames = self._reader.read(start)
        while clip := list(islice(frames, self.predictor.segmenter.clip_size)):
            yield clip

    def _backwards(self, start: int) -> Iterator[list[Frame]]:
        size = self.predictor.segmenter.clip_size
        window = max(BACKWARD_WINDOW // size, 1) * size
        for stop in range(start + 1, 0, -window):
            frames = list(self._reader.read(max(stop - window, 0), stop))[::-1]
            yield from (frames[first : first + size] for first in range(0, len(frames), size))

    def _follow(self, clips: Iterable[list[Frame]]) -> Iterator[tuple[Frame, dict[int, dict]]]:
        """The frames in the order of the clips, with the run lengths of the objects that are seen by their ids."""
        model = self.predictor.segmenter
        with locked(model):
            tracker = model.open_tracker()
        for clip in clips:
            with locked(model):
                for number, frame in enumerate(clip):
                    given = {
                        i: frames[frame.index] for i, frames in self._given.items() if frame.index in frames
                    }
                    if given:
                        masks = decode_masks(list(given.values()), frame.image.shape[:2])
                        tracker.add(masks, np.array(list(given), np.int64), frame=number)
                found = tracker.push([frame.image for frame in clip])
            for frame, segments in zip(clip, found, strict=True):
                yield frame, dict(zip(segments.ids.tolist(), segments.rles, strict=True))


def _objects(frame: Frame, rles: list[dict], ids: list[int]) -> SegmentationResult:
    """Objects of a frame, with its pixels."""
    return SegmentationResult(
        Task.VOS,
        frame.image.shape[:2],
        rles,
        [NO_CLASS] * len(rles),
        [1.0] * len(rles),
        ids,
        path=frame.path,
        name=frame.name,
        frame_index=frame.index,
        time=frame.time,
        image=frame.image,
    )
