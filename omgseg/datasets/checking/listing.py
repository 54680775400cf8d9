"""What annotation files and lists of samples say before any image is opened."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.checking.samples import paths_of
from omgseg.datasets.files import paused_garbage_collection, read_json, require_file, require_folder
from omgseg.datasets.problems import Problem, ProblemKind, collect_problems, collecting

Entries = list[dict[str, Any]]
LISTS = ("categories", "images", "videos", "annotations")


def check_annotation_file(path: str | Path, anchor: str) -> list[Problem]:
    """Problems of a JSON file in the COCO, LVIS, COCO panoptic or YouTube-VIS schema; other files have none here.

    Args:
        path: the file.
        anchor: the part of data/README.md that describes it.

    Raises:
        FileNotFoundError, ValueError: the file is missing, or is not a JSON file.
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
            yield Problem(ProblemKind.DUPLICATE_ID, f"{path}: '{name}' has the id {index!r} more than once")


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
            yield Problem(ProblemKind.REFERENCE, text)


def _panoptic(path: str, lists: dict[str, Entries]) -> Iterator[Problem]:
    """One annotation per image, whose segments have different ids."""
    annotations = [annotation for annotation in lists["annotations"] if "segments_info" in annotation]
    if not annotations:
        return
    annotated = [annotation.get("image_id") for annotation in annotations]
    for image_id in _repeated(annotated):
        yield Problem(ProblemKind.DUPLICATE_ID, f"{path}: image {image_id!r} has more than one annotation")
    for image_id in sorted({image.get("id") for image in lists["images"]} - set(annotated), key=str):
        yield Problem(ProblemKind.NO_MASK, f"{path}: image {image_id!r} has no annotation")
    for annotation in annotations:
        where = f"{path}: 'segments_info' of image {annotation.get('image_id')!r}"
        for index in _repeated(segment.get("id") for segment in annotation["segments_info"]):
            text = f"{where} has the id {index!r} more than once"
            yield Problem(ProblemKind.DUPLICATE_ID, text)


def _tracks(path: str, lists: dict[str, Entries]) -> Iterator[Problem]:
    for annotation in lists["annotations"]:
        segmentations = annotation.get("segmentations")
        if segmentations is not None and not any(segmentations):
            yield Problem(ProblemKind.EMPTY, f"{path}: {_name(annotation)} has no mask in any frame")


def check_listing(dataset: SegmentationDataset, masks_only: bool = False) -> tuple[list[Problem], str]:
    """Files that do not exist, samples without annotation, samples listed twice.

    Args:
        dataset: what to check.
        masks_only: do not look for the images.

    Returns:
        The problems, and a remark: the split has no annotations at all, as a test split.
    """
    with collect_problems(dataset.ann_file) as problems:
        problems += _repeated_samples(dataset)
        unannotated = (not dataset.test_mode) or _any_masks(dataset)
        names: dict[Path, set[str]] = {}
        for entry in _samples(dataset):
            paths = [(key, path) for frame in entry["frames"] for key, path in paths_of(frame).items()]
            for key, path in paths:
                if not (masks_only and key == "img_path") and not _exists(Path(path), names):
                    with collecting(path):  # the folder if it is missing too: one problem, not one per file
                        require_folder(Path(path).parent, dataset.README_ANCHOR)
                        require_file(path, dataset.README_ANCHOR)
            if unannotated:
                problems += _without_masks(dataset, entry["frames"])
    return problems, "" if unannotated else "no annotations, as in a test split: images alone are checked"


def _samples(dataset: SegmentationDataset) -> Iterator[dict[str, Any]]:
    return (dataset.get_data_info(index) for index in range(len(dataset)))


def _has_masks(frame: dict[str, Any]) -> bool:
    return bool({"seg_map_path", "instances"} & frame.keys())


def _any_masks(dataset: SegmentationDataset) -> bool:
    frames = (frame for entry in _samples(dataset) for frame in entry["frames"])
    return any(bool(frame["instances"]) if "instances" in frame else _has_masks(frame) for frame in frames)


def _without_masks(dataset: SegmentationDataset, frames: list[dict[str, Any]]) -> Iterator[Problem]:
    if dataset.ann_file.endswith(".json"):
        return  # the file says which images have annotations, and is checked for itself
    for frame in frames:
        if not _has_masks(frame):
            yield Problem(ProblemKind.NO_MASK, f"{frame['img_path']} has no mask file")


def _exists(path: Path, names: dict[Path, set[str]]) -> bool:
    """Whether a file exists. Its folder is listed once: much faster than one look-up per file, most of all remotely."""
    if path.parent not in names:
        names[path.parent] = {file.name for file in path.parent.iterdir()} if path.parent.is_dir() else set()
    return path.name in names[path.parent]


def _repeated_samples(dataset: SegmentationDataset) -> Iterator[Problem]:
    """Folders and lists of names; ids of annotation files are checked as a file."""
    if dataset.ann_file.endswith(".json"):
        return
    keys = array("q", (hash(_key(entry)) for entry in _samples(dataset)))
    values, counts = np.unique(np.frombuffer(keys, np.int64), return_counts=True)
    twice = set(values[counts > 1].tolist())
    if twice:
        named = Counter(_key(entry) for entry in _samples(dataset) if hash(_key(entry)) in twice)
        for key in (key for key, count in named.items() if count > 1):
            yield Problem(ProblemKind.DUPLICATE_ID, f"{dataset.ann_file} lists {key} more than once")


def _key(entry: dict[str, Any]) -> Any:
    return entry.get("video_id", entry["frames"][0]["img_path"])
