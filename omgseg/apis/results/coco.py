"""COCO instances (https://cocodataset.org/#format-data) with the score of each mask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omgseg.apis.results.categories import CategoryTable
from omgseg.apis.results.json_writer import INFO, JsonWriter, shortest
from omgseg.apis.results.naming import image_name
from omgseg.structures import Task, Vocabulary
from omgseg.structures.segments import Segments

if TYPE_CHECKING:
    from omgseg.apis.results.video import VideoResult


def objects_of(result: Segments) -> Segments:
    """What counts as an object: of a panoptic result the things, of others every mask; never an empty one."""
    keep = result.areas > 0
    if result.task is Task.PANOPTIC:
        keep = keep & result.is_thing
    return result if keep.all() else result.select(keep)


def image_entry(result: Segments, image_id: int, root: Path | None = None) -> dict[str, Any]:
    """An entry of ``images``."""
    height, width = result.size
    return {"id": image_id, "file_name": image_name(result, root), "height": height, "width": width}


class CocoRecords:
    """The lists of a COCO file, as results come in.

    Args:
        categories: of the file.
        root: see :class:`~omgseg.apis.results.json_writer.JsonWriter`.
    """

    def __init__(self, categories: CategoryTable, root: Path | None = None) -> None:
        self.images: list[dict[str, Any]] = []
        self.videos: list[dict[str, Any]] = []
        self._categories = categories
        self._root = root
        self._count = 0

    def add(self, result: Segments | VideoResult) -> Iterator[dict[str, Any]]:
        """Add an image or a video, and give its entries of ``annotations``.

        A frame of a video is an image with ``video_id`` and ``frame_id``; ``instance_id`` is the identity.
        """
        if isinstance(result, Segments):
            yield from self._add_image(result)
            return
        video_id = len(self.videos) + 1
        self.videos.append({"id": video_id, "name": result.name})
        for number, frame in enumerate(result):
            yield from self._add_image(frame, video_id=video_id, frame_id=number)

    def records(self) -> dict[str, list[dict[str, Any]]]:
        """``images``, and ``videos`` if there are any."""
        return {"images": self.images, **({"videos": self.videos} if self.videos else {})}

    def _add_image(self, result: Segments, **place: int) -> Iterator[dict[str, Any]]:
        self._categories.check(result.vocabulary, result.name)
        image_id = len(self.images) + 1
        self.images.append({**image_entry(result, image_id, self._root), **place})
        found = objects_of(result)
        boxes = np.concatenate([found.boxes[:, :2], found.boxes[:, 2:] - found.boxes[:, :2]], axis=1)
        for index, run_lengths in enumerate(found.rles):
            self._count += 1
            yield {
                "id": self._count,
                "image_id": image_id,
                "category_id": self._categories.id_of(int(found.labels[index])),
                "segmentation": run_lengths,
                "area": int(found.areas[index]),
                "bbox": boxes[index].tolist(),
                "iscrowd": 0,
                "score": shortest(found.scores[index]),
                "instance_id": int(found.ids[index]),
            }


def coco_content(result: Segments | VideoResult, vocabulary: Vocabulary) -> dict[str, Any]:
    """The content of a COCO file of one image or one video."""
    categories = CategoryTable(vocabulary)
    records = CocoRecords(categories)
    annotations = list(records.add(result))
    return {
        "info": INFO,
        **records.records(),
        "annotations": annotations,
        "categories": categories.entries(),
    }


class CocoWriter(JsonWriter):
    """COCO instances of many images and videos in one file; see :class:`JsonWriter`."""

    def __init__(self, path: str | Path, vocabulary: Vocabulary, root: str | Path | None = None) -> None:
        super().__init__(path, vocabulary, root)
        self._records = CocoRecords(self.categories, self.root)

    def add(self, result: Segments | VideoResult) -> None:
        """Add an image, a frame or a video.

        Raises:
            ValueError: it has another vocabulary.
        """
        self.write(self._records.add(result))

    def records(self) -> dict[str, list[dict[str, Any]]]:
        return self._records.records()
