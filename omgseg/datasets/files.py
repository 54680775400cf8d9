"""Reading annotation files with errors that name the file, the field and the fix."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omgseg.files import parse_json
from omgseg.messages import shown


def require_file(path: str | Path, anchor: str) -> Path:
    """Return `path`, or say which part of data/README.md (`anchor`) describes the folder that lacks it."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} not found; see data/README.md#{anchor}")
    return path


def require_folder(path: str | Path, anchor: str) -> Path:
    """As :func:`require_file`, for a folder."""
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"folder {path} not found; see data/README.md#{anchor}")
    return path


def read_json(path: str | Path, fields: Sequence[str], anchor: str) -> dict[str, Any]:
    """Read a JSON object that must have the given fields.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: not JSON (e.g. a half finished download), or a field is missing.
    """
    path = require_file(path, anchor)
    try:
        data = parse_json(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON ({error}); download it again") from error
    check_fields(data, fields, path, anchor)
    return data


def check_fields(data: Any, fields: Sequence[str], path: str | Path, anchor: str) -> None:
    """What a file holds must be a JSON object with the given fields.

    Raises:
        ValueError: naming the first field that is missing.
    """
    missing = [field for field in fields if not isinstance(data, dict) or field not in data]
    if missing:
        raise ValueError(
            f"{path} has no field {missing[0]!r}; see data/README.md#{anchor} for the file meant"
        )


def annotations_of(data: dict[str, Any], path: str | Path) -> list[dict[str, Any]]:
    """The list ``annotations`` of an annotation file; empty where there is none, as in a test split.

    Raises:
        ValueError: it is something else than a list.
    """
    annotations = data.get("annotations")
    if annotations is not None and not isinstance(annotations, list):
        raise ValueError(f"{path}: 'annotations' is {shown(annotations)}, not a list")
    return annotations or []


IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
"""Of the images in the folders of datasets."""
MAX_SIDE = 100_000
"""Largest height or width of an image or a video, in pixels."""


def read_sides(entry: dict[str, Any], where: str) -> tuple[int, int]:
    """Height and width of an entry of an annotation file.

    Args:
        entry: of an image or a video.
        where: the file and the entry, for errors.

    Raises:
        ValueError: one is missing, or is not a number of pixels.
    """
    for field in ("height", "width"):
        if field not in entry:
            raise ValueError(f"{where} has no field {field!r}")
        if type(entry[field]) is not int or not 0 < entry[field] <= MAX_SIDE:
            raise ValueError(
                f"{where}: {field!r} is {shown(entry[field])}, not a number of pixels from 1 to {MAX_SIDE}"
            )
    return entry["height"], entry["width"]


def read_lines(path: str | Path, anchor: str, what: str = "videos") -> list[str]:
    """Read a split file: one name per line, of a video or of `what`; empty lines are skipped.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: it lists nothing, or is no text.
    """
    path = require_file(path, anchor)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8 ({error}); download it again") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise ValueError(f"{path} lists no {what}; see data/README.md#{anchor}")
    return lines


@contextmanager
def paused_garbage_collection() -> Iterator[None]:
    """Parse large annotation files without the collector, which searches the growing objects again and again:
    a file of the size of COCO's takes 4 s instead of 20."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
