"""YouTube-VIS: tracks with one mask a frame (https://youtube-vos.org/dataset/vis/)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as coco_mask

from omgseg.apis.results.categories import CategoryTable
from omgseg.apis.results.coco import objects_of
from omgseg.apis.results.json_writer import JsonWriter
from omgseg.apis.results.naming import image_name
from omgseg.structures import Vocabulary
from omgseg.structures.run_lengths import mask_areas

if TYPE_CHECKING:
    from omgseg.apis.results.video import VideoResult


def tracks_of(video: VideoResult, video_id: int, categories: CategoryTable) -> Iterator[dict[str, Any]]:
    """The entries of a result list, by falling score.

    A track's score is the mean over the frames in which it is seen, its class the one with the highest sum of scores.
    """
    frames = [objects_of(frame) for frame in video]
    seen: dict[int, list[tuple[int, int]]] = {}
    for number, frame in enumerate(frames):
        for row, identity in enumerate(frame.ids.tolist()):
            seen.setdefault(identity, []).append((number, row))
    scores = {i: np.mean([frames[t].scores[row] for t, row in places]) for i, places in seen.items()}
    for identity in sorted(seen, key=lambda identity: -scores[identity]):
        segmentations: list[dict[str, Any] | None] = [None] * len(frames)
        votes: dict[int, float] = {}
        for number, row in seen[identity]:
            frame = frames[number]
            segmentations[number] = frame.rles[row]
            label = int(frame.labels[row])
            votes[label] = votes.get(label, 0.0) + float(frame.scores[row])
        yield {
            "video_id": video_id,
            "category_id": categories.id_of(max(votes, key=votes.__getitem__)),
            "score": float(scores[identity]),
            "segmentations": segmentations,
        }


class YouTubeVISWriter(JsonWriter):
    """Tracks of many videos in one file in the layout of the dataset: ``videos``, ``annotations`` with masks, boxes,
    areas and scores, ``categories``; see :class:`JsonWriter`. Evaluation servers take the list that
    :meth:`VideoResult.to_youtube_vis` gives instead.
    """

    def __init__(self, path: str | Path, vocabulary: Vocabulary, root: str | Path | None = None) -> None:
        super().__init__(path, vocabulary, root)
        self._videos: list[dict[str, Any]] = []
        self._tracks = 0

    def add(self, video: VideoResult) -> None:
        """Add a video.

        Raises:
            ValueError: it has another vocabulary, or no frames.
        """
        if not len(video):
            raise ValueError(f"the video {video.name!r} has no frames")
        self.categories.check(video[0].vocabulary, video.name)
        video_id = len(self._videos) + 1
        height, width = video[0].size
        self._videos.append(
            {
                "id": video_id,
                "name": video.name,
                "width": width,
                "height": height,
                "length": len(video),
                "file_names": [image_name(frame, self.root) for frame in video],
            }
        )
        self.write(self._entries(video, video_id))

    def _entries(self, video: VideoResult, video_id: int) -> Iterator[dict[str, Any]]:
        for track in tracks_of(video, video_id, self.categories):
            self._tracks += 1
            yield {"id": self._tracks, **track, **_measures(track["segmentations"]), "iscrowd": 0}

    def records(self) -> dict[str, list[dict[str, Any]]]:
        return {"videos": self._videos}


def _measures(segmentations: list[dict[str, Any] | None]) -> dict[str, list[Any]]:
    """Boxes (x, y, width, height) and areas; None where a track is not seen."""
    shown = [mask for mask in segmentations if mask is not None]
    boxes, areas = iter(coco_mask.toBbox(shown).tolist()), iter(mask_areas(shown).tolist())
    return {
        "bboxes": [None if mask is None else next(boxes) for mask in segmentations],
        "areas": [None if mask is None else next(areas) for mask in segmentations],
    }
