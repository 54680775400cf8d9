"""Results as JSON files that hold everything but the pixels, without loss.

A file holds one object: ``format``, ``version``, ``kind`` (image or video), ``task``, ``size`` [height, width],
``path``, ``name``, ``vocabulary``, and for each frame ``frame_index``, ``time``, ``labels``, ``scores``, ``ids`` and
``masks`` (``counts`` of compressed COCO run lengths), and ``top_labels`` and ``top_scores`` if there are any. An image
has the fields of its frame beside the others; a video has them in a list ``frames``, and also ``fps``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from omgseg.files import parse_json, whole_file
from omgseg.structures import Task, Vocabulary
from omgseg.structures.run_lengths import check_counts
from omgseg.structures.segments import Segments
from omgseg.structures.video_segments import VideoSegments

FORMAT, VERSION = "omgseg-result", 1
_NUMBER = (int, float)
_LARGEST = np.iinfo(np.int64).max


def save_image_segments(path: Path, result: Segments) -> None:
    """Write the result of an image."""
    with whole_file(path) as temporary:
        temporary.write_text(_text(image_content(result)))


def image_content(result: Segments) -> dict[str, Any]:
    """The object that the file of an image holds."""
    return {**_head("image", result, result), **_frame(result)}


def save_video_segments(path: Path, video: VideoSegments) -> None:
    """Write the results of a video, one frame at a time."""
    with whole_file(path) as temporary, temporary.open("w") as file:
        file.write(_text(_video_head(video))[:-1] + ',"frames":[')
        for index, frame in enumerate(_video_frames(video)):
            file.write((",\n" if index else "\n") + _text(frame))
        file.write("\n]}")


def video_content(video: VideoSegments) -> dict[str, Any]:
    """The object that the file of a video holds."""
    return {**_video_head(video), "frames": list(_video_frames(video))}


def load_image_segments(path: str | Path) -> Segments:
    """Read the result of an image.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the file is not the result of an image; the message names the field.
    """
    content = _read(Path(path), "image")
    with _named(path):
        return read_image(content)


def read_image(content: dict[str, Any]) -> Segments:
    """The result of an image from the object of its file.

    Raises:
        ValueError: a field is wrong; the message names it.
    """
    return Segments(**_shared(content), **_frame_arguments(content, _size(content)))


def load_video_segments(path: str | Path) -> VideoSegments[Segments]:
    """Read the results of a video.

    Raises:
        FileNotFoundError, ValueError: see :func:`load_image_segments`.
    """
    content = _read(Path(path), "video")
    with _named(path):
        return read_video(content)


def read_video(content: dict[str, Any]) -> VideoSegments[Segments]:
    """The results of a video from the object of its file.

    Raises:
        ValueError: see :func:`read_image`.
    """
    frames = []
    entries = _get(content, "frames", list)
    shared = _shared(content) if entries else {}
    for index, entry in enumerate(entries):
        with _named(f"frames[{index}]"):
            if not isinstance(entry, dict):
                raise ValueError("the frame is not an object")
            frames.append(Segments(**shared, **_frame_arguments(entry, shared["size"])))
    source = _source_arguments(content)
    return VideoSegments(frames, fps=_get(content, "fps", (*_NUMBER, type(None))), **source)


def _text(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


def _video_head(video: VideoSegments) -> dict[str, Any]:
    return {**_head("video", video, video[0] if len(video) else None), "fps": video.fps}


def _video_frames(video: VideoSegments) -> Iterator[dict[str, Any]]:
    return ({**_source(frame), **_frame(frame)} for frame in video)


def _head(kind: str, source: Segments | VideoSegments, first: Segments | None) -> dict[str, Any]:
    head: dict[str, Any] = {"format": FORMAT, "version": VERSION, "kind": kind, **_source(source)}
    if first is not None:
        head.update(task=first.task.value, size=list(first.size), vocabulary=first.vocabulary.to_dict())
    return head


def _source(source: Segments | VideoSegments) -> dict[str, Any]:
    return {"path": None if source.path is None else str(source.path), "name": source.name}


def _frame(result: Segments) -> dict[str, Any]:
    return {
        "frame_index": result.frame_index,
        "time": result.time,
        "labels": result.labels.tolist(),
        "scores": [shortest(score) for score in result.scores],
        "ids": result.ids.tolist(),
        "masks": [run_lengths["counts"] for run_lengths in result.rles],
        **_tops(result),
    }


def _tops(result: Segments) -> dict[str, Any]:
    if not result.top_labels.size:
        return {}
    scores = [[shortest(score) for score in row] for row in result.top_scores]
    return {"top_labels": result.top_labels.tolist(), "top_scores": scores}


def _read(path: Path, kind: str) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"result file {path} not found")
    try:
        content = parse_json(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not complete JSON ({error}); write or copy it again") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path} is not a result of omgseg: field 'format' is not {FORMAT!r}")
    if content.get("version") != VERSION:
        raise ValueError(
            f"{path}: field 'version' is {content.get('version')!r}, this omgseg reads {VERSION}; update omgseg, or "
            "save the result again"
        )
    if content.get("kind") != kind:
        right = "VideoResult" if kind == "image" else "SegmentationResult"
        raise ValueError(f"{path}: field 'kind' is {content.get('kind')!r}, not {kind!r}; use {right}.load")
    return content


@contextmanager
def _named(where: str | Path) -> Iterator[None]:
    """Let ValueErrors begin with the place of the mistake."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _get(content: dict[str, Any], field: str, kinds: type | tuple[type, ...]) -> Any:
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    if field not in content:
        raise ValueError(f"field {field!r} is missing")
    value = content[field]
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
        raise ValueError(f"field {field!r} is {type(value).__name__}, not {names}")
    _check_range(field, value)
    return value


def _list(content: dict[str, Any], field: str, kinds: type | tuple[type, ...]) -> list[Any]:
    values = _get(content, field, list)
    if not all(isinstance(value, kinds) and not isinstance(value, bool) for value in values):
        names = " or ".join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
        raise ValueError(f"field {field!r} holds a value that is not {names}")
    for value in values:
        _check_range(field, value)
    return values


def _rows(content: dict[str, Any], field: str, kinds: type | tuple[type, ...]) -> list[list[Any]]:
    """A list of lists of one length."""
    rows = [_list({field: row}, field, kinds) for row in _get(content, field, list)]
    if len({len(row) for row in rows}) > 1:
        raise ValueError(f"field {field!r} holds lists of different lengths")
    return rows


def _check_range(field: str, value: Any) -> None:
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise ValueError(f"field {field!r} holds a number of {value.bit_length()} bits, which is too large")


def _size(content: dict[str, Any]) -> tuple[int, int]:
    size = _list(content, "size", int)
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"field 'size' is {size}, not [height, width]")
    return size[0], size[1]


def _shared(content: dict[str, Any]) -> dict[str, Any]:
    """Constructor arguments that are the same for all frames."""
    task = _get(content, "task", str)
    if task not in [known.value for known in Task]:
        raise ValueError(f"field 'task' is {task!r}, which is not a task")
    words = _get(content, "vocabulary", dict)
    try:
        vocabulary = Vocabulary.from_dict(words)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"field 'vocabulary' is not a vocabulary ({error})") from error
    return {"task": Task(task), "size": _size(content), "vocabulary": vocabulary}


def _source_arguments(content: dict[str, Any]) -> dict[str, Any]:
    path = _get(content, "path", (str, type(None)))
    return {"path": None if path is None else Path(path), "name": _get(content, "name", str)}


def _frame_arguments(content: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """Constructor arguments of one frame."""
    rles = []
    for index, counts in enumerate(_list(content, "masks", str)):
        with _named(f"field 'masks'[{index}]"):
            check_counts(counts, size)
        rles.append({"size": list(size), "counts": counts})
    tops = {"top_labels": int, "top_scores": _NUMBER} if "top_labels" in content else {}
    return {
        **_source_arguments(content),
        "rles": rles,
        "labels": _list(content, "labels", int),
        "scores": _list(content, "scores", _NUMBER),
        "ids": _list(content, "ids", int),
        **{field: _rows(content, field, kinds) for field, kinds in tops.items()},
        "frame_index": _get(content, "frame_index", (int, type(None))),
        "time": _get(content, "time", (*_NUMBER, type(None))),
    }


def shortest(number: np.float32) -> float:
    """The float with the fewest digits that converts back to this number."""
    return float(str(number))
