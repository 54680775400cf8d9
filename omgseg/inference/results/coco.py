"""Files in the formats of COCO instances, COCO panoptic and YouTube-VIS.

Formats: https://cocodataset.org/#format-data and https://youtube-vos.org/dataset/vis/.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as coco_mask
from scipy.ndimage import find_objects

from omgseg.files import whole_file
from omgseg.inference.results.files import FileNames, image_name
from omgseg.inference.results.json_file import shortest
from omgseg.structures import NO_CLASS, Task, Vocabulary
from omgseg.structures.label_png import write_panoptic_png
from omgseg.structures.run_lengths import mask_areas
from omgseg.structures.segments import Segments
from omgseg.structures.video_segments import VideoSegments

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

INFO = {"description": "predictions of omgseg"}
NO_CLASS_NAME = "object"


class CategoryTable:
    """The ``categories`` of a file, and the category id of each label.

    The ids are those of the vocabulary if all its categories have one, else positions + 1. Segments without a class
    get an extra last category ``object``. It is listed only if such a segment occurs, or if there are no classes.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        ids = vocabulary.label_to_id
        self._ids: list[int] = list(range(1, len(ids) + 1)) if None in ids else ids
        self._no_class_id = max(self._ids, default=0) + 1
        self._lists_no_class = not self._ids

    def id_of(self, label: int) -> int:
        """The category id of a label, or of ``NO_CLASS``."""
        if label == NO_CLASS:
            self._lists_no_class = True
            return self._no_class_id
        return self._ids[label]

    def entries(self) -> list[dict[str, Any]]:
        """The list ``categories``; call it after the last :meth:`id_of`."""
        listed = [
            {**category.to_dict(), "id": number}
            for category, number in zip(self.vocabulary, self._ids, strict=True)
        ]
        if self._lists_no_class:
            listed.append({"id": self._no_class_id, "name": NO_CLASS_NAME, "isthing": 1})
        return listed

    def check(self, vocabulary: Vocabulary, name: str) -> None:
        """Check that a result has the vocabulary of the file.

        Args:
            vocabulary: of the result.
            name: of the result, for the error.

        Raises:
            ValueError: the result has another vocabulary.
        """
        if vocabulary != self.vocabulary:
            raise ValueError(
                f"the result of {name!r} has another vocabulary than the file; write it to another file"
            )


class JsonWriter:
    """One JSON file of many results, written in a ``with`` block: complete at its end, or absent after an error.

    Entries of ``annotations`` are written to the disk at once; only a small record per image stays in memory.

    Args:
        path: the file; missing folders are created.
        vocabulary: the vocabulary of all results.
        root: folder of the images, whose names are relative to it. None: names are the paths as they are.
        info: the object ``info`` of the file.
    """

    def __init__(
        self,
        path: str | Path,
        vocabulary: Vocabulary,
        root: str | Path | None = None,
        info: Mapping[str, Any] = INFO,
    ) -> None:
        self.path = Path(path)
        self.info = dict(info)
        self.categories = CategoryTable(vocabulary)
        self.root = None if root is None else Path(root)
        self._stack = ExitStack()
        self._file: IO[str] | None = None
        self._count = 0

    def __enter__(self) -> Self:
        temporary = self._stack.enter_context(whole_file(self.path))
        self._file = self._stack.enter_context(temporary.open("w", encoding="utf-8"))
        self._file.write(f'{{"info":{_text(self.info)},"annotations":[')
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._file.write(
                f"\n],{_text({**self.records(), 'categories': self.categories.entries()})[1:]}\n"
            )
        self._file = None
        self._stack.__exit__(kind, error, trace)

    def records(self) -> dict[str, list[dict[str, Any]]]:
        """The lists of the file beside ``annotations`` and ``categories``."""
        raise NotImplementedError

    def write(self, entries: Iterable[dict[str, Any]]) -> None:
        """Append entries to ``annotations``.

        Raises:
            RuntimeError: the call is outside of the ``with`` block.
        """
        if self._file is None:
            raise RuntimeError(f"{self.path}: add results inside of the writer's with block")
        for entry in entries:
            self._file.write((",\n" if self._count else "\n") + _text(entry))
            self._count += 1


def _text(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"))


def objects_of(result: Segments) -> Segments:
    """The objects of a result: the things of a panoptic result, all masks of others; empty masks are left out."""
    keep = result.areas > 0
    if result.task is Task.PANOPTIC:
        keep = keep & result.is_thing
    return result if keep.all() else result.select(keep)


def image_entry(result: Segments, image_id: int, root: Path | None = None) -> dict[str, Any]:
    """An entry of ``images``."""
    height, width = result.size
    return {"id": image_id, "file_name": image_name(result, root), "height": height, "width": width}


class CocoRecords:
    """The lists of a COCO file, to which results are added one by one.

    Args:
        categories: the categories of the file.
        root: see :class:`JsonWriter`.
    """

    def __init__(self, categories: CategoryTable, root: Path | None = None) -> None:
        self.images: list[dict[str, Any]] = []
        self.videos: list[dict[str, Any]] = []
        self._categories = categories
        self._root = root
        self._count = 0

    def add(self, result: Segments | VideoSegments) -> Iterator[dict[str, Any]]:
        """Add an image or a video, and yield its entries of ``annotations``.

        A frame of a video is an image with ``video_id`` and ``frame_id``; ``instance_id`` is the id of the object.

        Raises:
            ValueError: the result has another vocabulary.
        """
        if isinstance(result, Segments):
            yield from self._add_image(result)
            return
        video_id = len(self.videos) + 1
        self.videos.append({"id": video_id, "name": result.name})
        for number, frame in enumerate(result):
            yield from self._add_image(frame, video_id=video_id, frame_id=number)

    def records(self) -> dict[str, list[dict[str, Any]]]:
        """The list ``images``, and ``videos`` if there are any."""
        return {"images": self.images, **({"videos": self.videos} if self.videos else {})}

    def _add_image(self, result: Segments, **place: int) -> Iterator[dict[str, Any]]:
        self._categories.check(result.vocabulary, result.name)
        image_id = len(self.images) + 1
        self.images.append({**image_entry(result, image_id, self._root), **place})
        objects = objects_of(result)
        boxes = np.concatenate([objects.boxes[:, :2], objects.boxes[:, 2:] - objects.boxes[:, :2]], axis=1)
        for index, run_lengths in enumerate(objects.rles):
            self._count += 1
            yield {
                "id": self._count,
                "image_id": image_id,
                "category_id": self._categories.id_of(int(objects.labels[index])),
                "segmentation": run_lengths,
                "area": int(objects.areas[index]),
                "bbox": boxes[index].tolist(),
                "iscrowd": 0,
                "score": shortest(objects.scores[index]),
                "instance_id": int(objects.ids[index]),
            }


def coco_content(result: Segments | VideoSegments) -> dict[str, Any]:
    """The content of a COCO file of one image or one video."""
    categories = CategoryTable(result.vocabulary)
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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._records = CocoRecords(self.categories, self.root)

    def add(self, result: Segments | VideoSegments) -> None:
        """Add an image, a frame or a video.

        Raises:
            ValueError: the result has another vocabulary.
        """
        self.write(self._records.add(result))

    def records(self) -> dict[str, list[dict[str, Any]]]:
        return self._records.records()


class PanopticWriter(JsonWriter):
    """Panoptic maps of many images; see :class:`JsonWriter`.

    The PNGs are in a folder named like the file: ``out/panoptic.json`` and ``out/panoptic/<image>.png``. Segments keep
    their ids, which are constant over the frames of a video. Where masks overlap, the first one is on top; masks that
    are hidden completely are left out.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.folder = self.path.with_suffix("")
        self._names = FileNames(".png", self.root)
        self._images: list[dict[str, Any]] = []

    def add(self, result: Segments | VideoSegments) -> None:
        """Add an image, a frame or a video, whose frames go into a sub-folder; the PNGs are written at once.

        Raises:
            ValueError: the result has another vocabulary, or an id that does not fit into three bytes.
        """
        for frame, name in self._names.of(result):
            self._add_image(frame, name)

    def _add_image(self, result: Segments, file_name: str) -> None:
        self.categories.check(result.vocabulary, result.name)
        image_id = len(self._images) + 1
        index_map = result.index_map
        ids = np.concatenate([[0], result.ids])[index_map]
        with whole_file(self.folder / file_name) as temporary:
            write_panoptic_png(temporary, ids)
        areas = np.bincount(index_map.ravel(), minlength=len(result) + 1)[1:]
        boxes = find_objects(index_map, len(result))
        segments = [
            {
                "id": int(result.ids[index]),
                "category_id": self.categories.id_of(int(result.labels[index])),
                "area": int(areas[index]),
                "bbox": [x.start, y.start, x.stop - x.start, y.stop - y.start],
                "iscrowd": 0,
                "score": shortest(result.scores[index]),
            }
            for index, (y, x) in ((index, box) for index, box in enumerate(boxes) if box is not None)
        ]
        self._images.append(image_entry(result, image_id, self.root))
        self.write([{"image_id": image_id, "file_name": file_name, "segments_info": segments}])

    def records(self) -> dict[str, list[dict[str, Any]]]:
        return {"images": self._images}


def write_panoptic(folder: str | Path, result: Segments | VideoSegments) -> Path:
    """Write one image or video as ``panoptic.json`` and ``panoptic/*.png``; returns the JSON file."""
    with PanopticWriter(Path(folder) / "panoptic.json", result.vocabulary) as writer:
        writer.add(result)
    return writer.path


def tracks_of(video: VideoSegments, video_id: int, categories: CategoryTable) -> Iterator[dict[str, Any]]:
    """The entries of a result list, by falling score.

    The score of a track is the mean over the frames that show it. Its class is the one with the highest sum of scores.
    """
    frames = [objects_of(frame) for frame in video]
    places: dict[int, list[tuple[int, int]]] = {}  # frame number and row, by id
    for number, frame in enumerate(frames):
        for row, track_id in enumerate(frame.ids.tolist()):
            places.setdefault(track_id, []).append((number, row))
    scores = {
        track_id: np.mean([frames[number].scores[row] for number, row in rows])
        for track_id, rows in places.items()
    }
    for track_id in sorted(places, key=lambda track_id: -scores[track_id]):
        segmentations: list[dict[str, Any] | None] = [None] * len(frames)
        votes: dict[int, float] = {}
        for number, row in places[track_id]:
            frame = frames[number]
            segmentations[number] = frame.rles[row]
            label = int(frame.labels[row])
            votes[label] = votes.get(label, 0.0) + float(frame.scores[row])
        yield {
            "video_id": video_id,
            "category_id": categories.id_of(max(votes, key=votes.__getitem__)),
            "score": float(scores[track_id]),
            "segmentations": segmentations,
        }


class YouTubeVISWriter(JsonWriter):
    """Tracks of many videos in one file; see :class:`JsonWriter`.

    The file has the layout of the dataset: ``videos``, ``annotations`` with masks, boxes, areas and scores, and
    ``categories``. Evaluation servers take another one, the list of :meth:`VideoResult.to_youtube_vis`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._videos: list[dict[str, Any]] = []
        self._tracks = 0

    def add(self, video: VideoSegments) -> None:
        """Add a video.

        Raises:
            ValueError: the video has another vocabulary, or no frames.
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

    def _entries(self, video: VideoSegments, video_id: int) -> Iterator[dict[str, Any]]:
        for track in tracks_of(video, video_id, self.categories):
            self._tracks += 1
            yield {"id": self._tracks, **track, **_measures(track["segmentations"]), "iscrowd": 0}

    def records(self) -> dict[str, list[dict[str, Any]]]:
        return {"videos": self._videos}


def _measures(segmentations: list[dict[str, Any] | None]) -> dict[str, list[Any]]:
    """Boxes (x, y, width, height) and areas in pixels; None for frames without the track."""
    masks = [mask for mask in segmentations if mask is not None]
    boxes, areas = iter(coco_mask.toBbox(masks).tolist()), iter(mask_areas(masks).tolist())
    return {
        "bboxes": [None if mask is None else next(boxes) for mask in segmentations],
        "areas": [None if mask is None else next(areas) for mask in segmentations],
    }
