"""What can be said of an annotation file alone: ids used twice, references to what is not there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from omgseg.datasets.files import paused_garbage_collection, read_json
from omgseg.datasets.problems import Kind, Problem, collect_problems

Entries = list[dict[str, Any]]
LISTS = ("categories", "images", "videos", "annotations")


def check_annotation_file(path: str | Path, anchor: str) -> list[Problem]:
    """Problems of a JSON file in the COCO, LVIS, COCO panoptic or YouTube-VIS schema; other files have none here.

    Args:
        path: the file.
        anchor: the part of data/README.md that describes it.

    Raises:
        FileNotFoundError, ValueError: the file is missing, or is no JSON file.
    """
    with paused_garbage_collection():
        content = read_json(path, (), anchor)
        lists = {name: _entries(content.get(name)) for name in LISTS}
        with collect_problems(str(path)) as problems:
            for check in (_repeated_ids, _references, _panoptic, _tracks):
                problems += check(str(path), lists)
    return problems


def _entries(value: Any) -> Entries:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _repeated(values: Iterable[Any]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]


def _repeated_ids(path: str, lists: dict[str, Entries]) -> Iterator[Problem]:
    for name, entries in lists.items():
        for index in _repeated(entry["id"] for entry in entries if "id" in entry):
            yield Problem(Kind.DUPLICATE_ID, f"{path}: '{name}' has the id {index!r} more than once")


def _subject(lists: dict[str, Entries]) -> tuple[str, str]:
    """What annotations are of: the list's name and the field that refers to it."""
    return ("videos", "video_id") if lists["videos"] else ("images", "image_id")


def _name(annotation: dict[str, Any]) -> str:
    return f"annotation {annotation['id']!r}" if "id" in annotation else "an annotation"


def _references(path: str, lists: dict[str, Entries]) -> Iterator[Problem]:
    listed, field = _subject(lists)
    ids = {entry.get("id") for entry in lists[listed]}
    for annotation in lists["annotations"]:
        if annotation.get(field) not in ids:
            text = f"{path}: {_name(annotation)} has {field} {annotation.get(field)!r}, which is not in '{listed}'"
            yield Problem(Kind.REFERENCE, text)


def _panoptic(path: str, lists: dict[str, Entries]) -> Iterator[Problem]:
    """One annotation an image, whose segments have ids of their own."""
    annotations = [annotation for annotation in lists["annotations"] if "segments_info" in annotation]
    if not annotations:
        return
    annotated = [annotation.get("image_id") for annotation in annotations]
    for image_id in _repeated(annotated):
        yield Problem(Kind.DUPLICATE_ID, f"{path}: image {image_id!r} has more than one annotation")
    for image_id in sorted({image.get("id") for image in lists["images"]} - set(annotated), key=str):
        yield Problem(Kind.NO_MASK, f"{path}: image {image_id!r} has no annotation")
    for annotation in annotations:
        where = f"{path}: 'segments_info' of image {annotation.get('image_id')!r}"
        for index in _repeated(segment.get("id") for segment in annotation["segments_info"]):
            text = f"{where} has the id {index!r} more than once"
            yield Problem(Kind.DUPLICATE_ID, text)


def _tracks(path: str, lists: dict[str, Entries]) -> Iterator[Problem]:
    for annotation in lists["annotations"]:
        segmentations = annotation.get("segmentations")
        if segmentations is not None and not any(segmentations):
            yield Problem(Kind.EMPTY, f"{path}: {_name(annotation)} has no mask in any frame")
