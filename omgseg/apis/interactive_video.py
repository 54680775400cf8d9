"""Clicks in any frame of a video, followed to its start and to its end."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torch import Tensor

from omgseg.apis.coordinates import Coordinates, check_mask
from omgseg.apis.frame_reader import FrameReader
from omgseg.apis.frames import Frame
from omgseg.apis.inputs import Clip
from omgseg.apis.interactive import InteractivePredictor
from omgseg.apis.packing import pack_clip
from omgseg.apis.results import SegmentationResult, VideoResult
from omgseg.apis.sources import Source, SourceInput
from omgseg.models.video import ObjectTracker
from omgseg.structures import NO_CLASS, Task
from omgseg.structures.run_lengths import decode_masks, encode_map, encode_masks

BACKWARD_WINDOW = 40
"""Frames that are in memory at a time while objects are followed backwards."""


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
    kept of them are run lengths.

    Args:
        predictor: of the model (``OMGSegInferencer(...).interactive``).
        source: a video file, a folder of frames, a video uint8 (T, H, W, 3), a list of frames.

    Raises:
        FileNotFoundError, OSError, ValueError, TypeError: see :func:`~omgseg.apis.sources.open_source`; or a live
            stream.
    """

    def __init__(self, predictor: InteractivePredictor, source: SourceInput | Source) -> None:
        self.predictor = predictor
        self._reader = FrameReader(source)
        self._given: dict[int, dict[int, dict]] = {}
        self._found: dict[int, dict[int, dict]] = {}
        self._current: Frame | None = None

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
            ValueError: see :meth:`InteractivePredictor.predict`; or `object_id` is not above 0.
        """
        if object_id < 1:
            raise ValueError(f"object ids are numbers above 0, got {object_id}")
        if self._current is None or self._current.index != frame:
            self._current = None  # an error must not leave another frame's features under this number
            current = self._reader.frame(frame)
            self.predictor.set_image(current.image)
            self._current = current
        elif self.predictor.image is not self._current.image:  # the predictor has seen another image since
            self.predictor.set_image(self._current.image)
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
        clicked = sorted({frame for own in self._given.values() for frame in own})
        found: dict[int, dict[int, dict]] = {identity: {} for identity in self._given}
        results: dict[int, SegmentationResult] = {}
        passes = [(self._forwards(clicked[0]), False)]
        if clicked[-1] > 0:
            passes.append((self._backwards(clicked[-1]), True))
        for clips, backwards in passes:
            for frame, objects in self._follow(clips):
                blank = _objects(frame, [], [])
                results[frame.index] = blank if self._reader.in_memory else blank.replace(image=None)
                own = [i for i in self._given if self._from_later(i, frame.index) == backwards]
                for identity, rle in zip(own, encode_map(objects, own), strict=True):
                    found[identity][frame.index] = rle
                for identity in own:
                    if frame.index in self._given[identity]:  # where masks overlap, the map holds less
                        found[identity][frame.index] = self._given[identity][frame.index]
        self._found = found
        for index, blank in results.items():
            seen = [i for i in sorted(found) if coco_mask.area(found[i][index])]
            rles = [found[i][index] for i in seen]
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
        while clip := list(islice(frames, self.predictor.model.test_config.clip_size)):
            yield clip

    def _backwards(self, start: int) -> Iterator[list[Frame]]:
        size = self.predictor.model.test_config.clip_size
        window = max(BACKWARD_WINDOW // size, 1) * size
        for stop in range(start + 1, 0, -window):
            frames = list(self._reader.read(max(stop - window, 0), stop))[::-1]
            yield from (frames[first : first + size] for first in range(0, len(frames), size))

    def _follow(self, clips: Iterable[list[Frame]]) -> Iterator[tuple[Frame, np.ndarray]]:
        """Object maps (H, W) of the frames, in the order of the clips."""
        tracker = ObjectTracker(self.predictor.model)
        for clip in clips:
            for number, frame in enumerate(clip):
                given = {i: own[frame.index] for i, own in self._given.items() if frame.index in own}
                if given:
                    masks = decode_masks(list(given.values()), frame.image.shape[:2])
                    tracker.add(torch.from_numpy(masks), torch.tensor(list(given)), frame=number)
            pixels = Clip([frame.image for frame in clip], [], True, self._reader.name)
            packed = pack_clip(pixels, (Task.VOS.value,), self.predictor.resize)
            with self.predictor.gate.open():
                samples = tracker.push(packed["inputs"], packed["data_samples"].video_data_samples)
            for frame, sample in zip(clip, samples, strict=True):
                yield frame, sample.pred_vos_seg.sem_seg[0].cpu().numpy()


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
