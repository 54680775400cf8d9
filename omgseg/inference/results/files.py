"""Results as pictures, videos, PNGs of labels or ids, and tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from omgseg.files import safe_name, safe_path, unique_name, whole_file
from omgseg.inference.video_files import is_video_file, read_video
from omgseg.structures import NO_CLASS, Task, Vocabulary
from omgseg.structures.images import IMAGE_SUFFIXES
from omgseg.structures.label_png import object_image
from omgseg.structures.segments import Segments
from omgseg.structures.video_segments import VideoSegments

if TYPE_CHECKING:
    import pandas
    import supervision
    from typing_extensions import Self  # in typing from Python 3.11 on


def image_name(result: Segments, root: Path | None = None) -> str:
    """The name of a result's image in a dataset file.

    An image file gives its path, relative to `root` if it is in there. A frame of a video file gives
    ``<video>/<frame>``, an image without a file its name.
    """
    if result.path is None:
        return result.name
    if result.path.suffix.lower() not in IMAGE_SUFFIXES:
        return f"{result.path.stem}/{result.name or f'{result.frame_index or 0:06d}'}"
    if root is not None and result.path.is_relative_to(root):
        return result.path.relative_to(root).as_posix()
    return result.path.as_posix()


class FileNames:
    """Unique and safe names for the files that a writer makes in its folder, one per image."""

    def __init__(self, suffix: str, root: Path | None) -> None:
        self._suffix = suffix
        self._root = root
        self._used: set[str] = set()

    def of(self, result: Segments | VideoSegments) -> Iterator[tuple[Segments, str]]:
        """An image or a frame with its new name, or all frames of a video, whose names begin with a folder."""
        if isinstance(result, Segments):
            yield result, self._new(result)
        else:
            for frame in result:
                yield frame, self._new(frame, result.name)

    def _new(self, result: Segments, video: str | None = None) -> str:
        """A relative name with the suffix, and with a number if the name is taken.

        Args:
            result: an image or a frame.
            video: the name of the video of this frame; its frames are named ``<video>/<frame>``.
        """
        if video is None:
            name = image_name(result, self._root)
            ending = PurePosixPath(name).suffix
            if ending.lower() in IMAGE_SUFFIXES:
                name = name.removesuffix(ending)
            path = safe_path(name, "image")
        else:
            frame = safe_name(result.name, f"{result.frame_index or 0:06d}")
            path = PurePosixPath(safe_name(video, "video"), frame)
        return unique_name(str(path), self._used) + self._suffix


PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
FILM_SUFFIXES = (".mp4", ".gif")
DEFAULT_FPS = 10.0  # frames per second of a video whose frame rate is not known


def write_picture(path: str | Path, picture: np.ndarray) -> None:
    """Write RGB uint8 (H, W, 3) as PNG or JPEG, by the suffix of `path`; missing folders are created."""
    path = Path(path)
    with whole_file(path) as temporary:
        image = Image.fromarray(np.ascontiguousarray(picture))
        if path.suffix.lower() == ".png":
            image.save(temporary, format="PNG")
        else:
            image.save(temporary, format="JPEG", quality=92, subsampling=0)


def write_film(path: Path, drawn: Iterable[np.ndarray], fps: float | None) -> None:
    """Write RGB uint8 pictures of one size as a video with `fps` frames per second."""
    from omgseg.visualization import VideoWriter

    with VideoWriter(path, fps or DEFAULT_FPS) as writer:
        for picture in drawn:
            writer.add(picture)


def write_folder(folder: Path, frames: Sequence[Segments], drawn: Iterable[np.ndarray]) -> None:
    """Write one PNG per frame, named like the frame, or by frame numbers if the names are not unique."""
    names = [safe_name(frame.name) for frame in frames]
    if len({name.casefold() for name in names}) < len(names) or not all(frame.name for frame in frames):
        names = [f"{frame.frame_index:06d}" for frame in frames]
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in zip(names, drawn, strict=True):
        write_picture(folder / f"{name}.png", picture)


VOCABULARY_FILE = "vocabulary.json"


class MaskWriter:
    """One PNG per image or frame, written in a ``with`` block, in the layout of the task's datasets.

    With classes, pixels hold labels, which index ``vocabulary.json`` in the same folder (:meth:`Vocabulary.load` reads
    it); unlabelled pixels have the highest value of the file, 255 or 65535. Without classes, pixels hold object ids, 0
    is background; up to 255 ids are stored in the palette of DAVIS.

    Args:
        folder: created if missing.
        vocabulary: the vocabulary of all results.
        root: the folder of the images, whose sub-folders are kept; None: all PNGs are in one folder.
    """

    def __init__(self, folder: str | Path, vocabulary: Vocabulary, root: str | Path | None = None) -> None:
        self.folder = Path(folder)
        self.vocabulary = vocabulary
        self._names = FileNames(".png", None if root is None else Path(root))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and len(self.vocabulary):
            with whole_file(self.folder / VOCABULARY_FILE) as temporary:
                temporary.write_text(json.dumps(self.vocabulary.to_dict(), indent=1))

    def add(self, result: Segments | VideoSegments) -> None:
        """Write the PNG of an image or a frame, or those of a video into a sub-folder.

        Raises:
            ValueError: the result has another vocabulary, or an object id above 65535.
        """
        for frame, name in self._names.of(result):
            self._write(frame, name)

    def _write(self, result: Segments, name: str) -> None:
        if result.vocabulary != self.vocabulary:
            raise ValueError(
                f"the result of {result.name!r} has another vocabulary than the other PNGs; write it to another folder"
            )
        by_object = not len(self.vocabulary) or result.task is Task.VOS
        image = _objects(result) if by_object else _labels(result)
        with whole_file(self.folder / name) as temporary:
            image.save(temporary, format="PNG")


def _labels(result: Segments) -> Image.Image:
    dtype = np.uint8 if len(result.vocabulary) <= np.iinfo(np.uint8).max else np.uint16
    labels = result.label_map
    return Image.fromarray(np.where(labels == NO_CLASS, np.iinfo(dtype).max, labels).astype(dtype))


def _objects(result: Segments) -> Image.Image:
    highest = int(result.ids.max(initial=0))
    if highest > np.iinfo(np.uint16).max:
        raise ValueError(f"{result.name}: the object id {highest} does not fit into a PNG of 16 bits")
    objects = result.id_map
    return object_image(objects) if highest <= 255 else Image.fromarray(objects.astype(np.uint16))


def read_frames(video: VideoSegments) -> Iterator[np.ndarray | None]:
    """See :meth:`VideoResult.images`. A video file is decoded once, from its start, one frame at a time."""
    paths = [video.path, *(frame.path for frame in video.frames[:1])]
    files = [path for path in paths if path is not None and is_video_file(path)]
    if not files:
        for frame in video.frames:
            yield frame.image
        return
    decoded = read_video(files[0])
    for frame in video.frames:
        source = next((candidate for candidate in decoded if candidate.index == frame.frame_index), None)
        if source is None:
            raise ValueError(
                f"{files[0]} has no frame {frame.frame_index}; the file was changed since the result was made"
            )
        if source.image.shape[:2] != frame.size:
            raise ValueError(
                f"{files[0]} has frames of {source.image.shape[:2]} pixels (H, W), the result has {frame.size}; the "
                "file was changed since the result was made"
            )
        yield source.image


COLUMNS = {
    "frame": "int64",
    "time": "float64",
    "id": "int64",
    "label": "int64",
    "name": "object",
    "is_thing": "bool",
    "score": "float32",
    "area": "int64",
    "x1": "float32",
    "y1": "float32",
    "x2": "float32",
    "y2": "float32",
}


def rows(result: Segments) -> Iterator[dict[str, Any]]:
    """One row per segment, with the keys of ``COLUMNS``."""
    things = result.is_thing.tolist()
    for index, name in enumerate(result.names):
        yield {
            "frame": result.frame_index or 0,
            "time": result.time,
            "id": int(result.ids[index]),
            "label": int(result.labels[index]),
            "name": name,
            "is_thing": things[index],
            "score": float(result.scores[index]),
            "area": int(result.areas[index]),
            **dict(zip(("x1", "y1", "x2", "y2"), result.boxes[index].tolist(), strict=True)),
        }


def to_dataframe(results: Iterable[Segments]) -> pandas.DataFrame:
    """The rows of all results, with the types of ``COLUMNS``.

    Raises:
        ImportError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise ImportError("to_dataframe() needs pandas: pip install pandas") from None
    listed = [row for result in results for row in rows(result)]
    return pandas.DataFrame(listed, columns=list(COLUMNS)).astype(COLUMNS)


def to_supervision(result: Segments) -> supervision.Detections:
    """Masks, boxes, scores, classes and their names; ids as ``tracker_id``.

    Raises:
        ImportError: supervision is not installed.
    """
    try:
        import supervision
    except ImportError:
        raise ImportError("to_supervision() needs supervision: pip install supervision") from None
    return supervision.Detections(
        xyxy=np.array(result.boxes),
        mask=result.masks,
        confidence=np.array(result.scores),
        class_id=np.array(result.labels),
        tracker_id=np.array(result.ids),
        data={"class_name": np.array(result.names, dtype=str)},
    )
