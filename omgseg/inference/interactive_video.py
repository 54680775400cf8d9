"""Clicks in any frame of a video; the objects are followed to its start and to its end."""

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
"""Frames that are in memory while objects are followed backwards."""


def _one_at_a_time(method: Callable[..., T]) -> Callable[..., T]:
    """Let only one thread at a time run the methods of an object."""

    @wraps(method)
    def inside(self: InteractiveVideo, *args: Any, **kwargs: Any) -> T:
        with self._lock:
            return method(self, *args, **kwargs)

    return inside


class InteractiveVideo:
    """Segments objects of a video from clicks in some of its frames; in the other frames the objects are followed.

    ::

        video = InteractiveVideo(seg.interactive, "film.mp4")
        video.click(120, points=[(320, 200)])  # frame 120
        video.click(120, points=[(500, 90)], object_id=2)
        result = video.propagate()  # to both ends
        video.click(30, points=[(310, 150)], labels=[0])  # corrects what was found in frame 30
        video.propagate().save("objects.mp4")

    Between two frames with clicks an object is followed from the nearer one. Frames are read when they are needed; only
    run lengths of the masks are kept. Threads may share a video: its methods run one at a time.

    Args:
        predictor: a predictor of the model (``OMGSegInferencer(...).interactive``). The video uses its model and its
            words, and does not change its image.
        source: a video file, a folder of frames, a video uint8 (T, H, W, 3), a list of frames.

    Raises:
        UnsupportedRequest: the model does not follow objects.
        FileNotFoundError, OSError, ValueError, TypeError: see :func:`~omgseg.inference.sources.open_source`; or the
            source is a live stream.
    """

    def __init__(self, predictor: InteractivePredictor, source: SourceInput | Source) -> None:
        require_task(predictor.segmenter, Task.VOS)
        self.predictor = InteractivePredictor(predictor.segmenter, predictor.vocabulary)
        self._lock = threading.RLock()
        self._reader = FrameReader(source)
        # run lengths by object id and frame number
        self._clicked: dict[int, dict[int, dict]] = {}
        self._followed: dict[int, dict[int, dict]] = {}
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
        """Mark an object in a frame, or correct its mask there; see :meth:`InteractivePredictor.predict`.

        Clicks correct the mask that the object has in this frame from earlier clicks or from :meth:`propagate`. If it
        has none, or if a box is given, the object is segmented anew. A mask without clicks is taken as it is; an empty
        mask means that the object is not in the frame.

        Args:
            frame: number of the frame, from 0.
            points, labels, boxes, mask: see :meth:`InteractivePredictor.predict`.
            object_id: id of the object, above 0; a new id starts a new object.

        Returns:
            The object's mask in this frame. :meth:`propagate` gives the other frames.

        Raises:
            IndexError: the video has no such frame.
            ValueError: see :meth:`InteractivePredictor.predict`; or `object_id` is not an id, see
                :func:`~omgseg.inference.first_masks.check_id`.
        """
        object_id = check_id(object_id)
        if self._current is None or self._current.index != frame:
            self._current = None  # after an error no frame is current, as the predictor has no image
            current = self._reader.frame(frame)
            self.predictor.set_image(current.image)
            self._current = current
        if mask is None and boxes is None:
            rle = self._clicked.get(object_id, {}).get(frame) or self._followed.get(object_id, {}).get(frame)
            mask = None if rle is None else decode_masks([rle], tuple(rle["size"]))[0]
            mask = mask if mask is not None and mask.any() else None
        if points is None and boxes is None and mask is not None:
            checked = check_mask(mask, self.predictor.image_size)
            answer = _objects(self._current, encode_masks([checked]), [object_id])
        else:
            answer = self.predictor.predict(points, labels, boxes, mask)
        place = dict(path=self._current.path, name=self._current.name, time=self._current.time)
        result = answer.replace(ids=[object_id], frame_index=frame, image=self._current.image, **place)
        self._clicked.setdefault(object_id, {})[frame] = result.rles[0]
        return result

    @_one_at_a_time
    def propagate(self) -> VideoResult:
        """Follow all objects through the whole video, forwards and backwards from the frames with clicks.

        Returns:
            The visible objects of each frame. In frames with clicks their masks are those that the clicks gave.

        Raises:
            RuntimeError: there are no clicks yet.
            OSError, ValueError: a frame cannot be read, or has another size than the others.
        """
        if not self._clicked:
            raise RuntimeError("there is no object to follow: call click first")
        clicked = sorted({frame for frames in self._clicked.values() for frame in frames})
        followed: dict[int, dict[int, dict]] = {object_id: {} for object_id in self._clicked}
        results: dict[int, SegmentationResult] = {}
        passes = [(self._forwards(clicked[0]), False)]
        if clicked[-1] > 0:
            passes.append((self._backwards(clicked[-1]), True))
        for clips, backwards in passes:
            for frame, objects in self._follow(clips):
                blank = _objects(frame, [], [])
                results[frame.index] = blank if self._reader.in_memory else blank.replace(image=None)
                for object_id, rles in self._clicked.items():
                    if self._from_later(object_id, frame.index) == backwards:
                        rle = rles.get(frame.index) or objects.get(object_id)
                        if rle is not None and coco_mask.area(rle):
                            followed[object_id][frame.index] = rle
        self._followed = followed
        for index, blank in results.items():
            visible = [object_id for object_id in sorted(followed) if index in followed[object_id]]
            results[index] = blank.replace(
                rles=[followed[object_id][index] for object_id in visible],
                ids=visible,
                labels=[NO_CLASS] * len(visible),
                scores=[1.0] * len(visible),
            )
        ordered = [results[index] for index in sorted(results)]
        return VideoResult(ordered, self._reader.fps, self._reader.path, self._reader.name)

    def _from_later(self, object_id: int, index: int) -> bool:
        """Whether the nearest frame with clicks on an object comes after this one."""
        clicked = sorted(self._clicked[object_id])
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
        """Follow the objects through the clips: each frame with the run lengths of its visible objects by id."""
        model = self.predictor.segmenter
        with locked(model):
            tracker = model.open_tracker()
        for clip in clips:
            with locked(model):
                for number, frame in enumerate(clip):
                    marked = {
                        object_id: rles[frame.index]
                        for object_id, rles in self._clicked.items()
                        if frame.index in rles
                    }
                    if marked:
                        masks = decode_masks(list(marked.values()), frame.image.shape[:2])
                        tracker.add(masks, np.array(list(marked), np.int64), frame=number)
                predictions = tracker.push([frame.image for frame in clip])
            for frame, segments in zip(clip, predictions, strict=True):
                yield frame, dict(zip(segments.ids.tolist(), segments.rles, strict=True))


def _objects(frame: Frame, rles: list[dict], ids: list[int]) -> SegmentationResult:
    """The result of a frame with these objects, and with its pixels."""
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
