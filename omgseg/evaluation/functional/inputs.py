"""What metrics are given, checked: annotation files, and label maps as small dense indices."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from omgseg.files import parse_json
from omgseg.messages import shown
from omgseg.structures.run_lengths import check_segmentation


def load_annotations(path: str | Path, fields: Iterable[str]) -> dict[str, Any]:
    """Read a JSON object that must have the given list fields.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: the file is not JSON (truncated), or a field is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} not found; data/README.md says where annotation files belong")
    try:
        content = parse_json(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not complete JSON ({error}); download or write it again") from error
    for field in fields:
        if not isinstance(content, dict) or not isinstance(content.get(field), list):
            raise ValueError(
                f"{path} has no list {field!r}; is it the annotation file of another dataset or task?"
            )
    return content


def check_masks(
    annotations: Iterable[dict[str, Any]], sizes: Mapping[Any, tuple[int, int]], path: str
) -> None:
    """Check the masks of an instance or YouTube-VIS file: compiled code of the evaluators checks nothing.

    Args:
        annotations: of the file; those of images and videos that are not in `sizes` are not looked at.
        sizes: (height, width) by image or video id.
        path: the file, for errors.

    Raises:
        ValueError: a mask is neither polygons nor run lengths, or beyond what can be drawn.
    """
    for annotation in annotations:
        is_track = "segmentations" in annotation
        size = sizes.get(annotation.get("video_id" if is_track else "image_id"))
        if size is None:
            continue
        where = f"{path}, annotation {annotation.get('id')}"
        masks = annotation["segmentations"] if is_track else [annotation.get("segmentation")]
        for mask in masks:
            if mask is not None or not is_track:  # None: the track is absent in this frame
                check_segmentation(mask, *size, where)


def load_detections(
    path: str | Path, image_ids: Collection[Any], category_ids: Collection[int]
) -> dict[Any, list[dict[str, Any]]]:
    """Read the boxes of a detector, a COCO result file (https://cocodataset.org/#format-results).

    Args:
        path: a JSON list of entries with ``image_id``, ``category_id``, ``bbox`` (x, y, width, height) and ``score``.
        image_ids: of the images that there are.
        category_ids: that there are.

    Returns:
        The entries by image id.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: names the file and the field: it is not JSON, not of this format, empty, or of other images or
            categories.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} not found: the boxes of a detector, a COCO result file")
    try:
        entries = parse_json(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not complete JSON ({error}); write it again") from error
    if not isinstance(entries, list):
        raise ValueError(f"{path} is not a list of entries with 'bbox' and 'score', as COCO result files are")
    if not entries:
        raise ValueError(f"{path} holds no boxes: the list of entries with 'bbox' is empty")
    found: dict[Any, list[dict[str, Any]]] = {}
    for number, entry in enumerate(entries):
        where = f"{path}, entry {number}"
        if not isinstance(entry, dict):
            raise ValueError(f"{where} is not an object with 'image_id', 'category_id', 'bbox' and 'score'")
        for field in ("image_id", "category_id", "bbox", "score"):
            if field not in entry:
                raise ValueError(f"{where} has no field {field!r}; COCO result files have it")
        for field, known in (("image_id", image_ids), ("category_id", category_ids)):
            if not isinstance(entry[field], int | str) or entry[field] not in known:
                raise ValueError(
                    f"{where}: {field!r} is {shown(entry[field])}, which the annotations of the data set do not list"
                )
        if not _are_numbers(entry["bbox"], 4):
            raise ValueError(f"{where}: 'bbox' is {shown(entry['bbox'])}, not x, y, width and height")
        if not _are_numbers([entry["score"]], 1):
            raise ValueError(f"{where}: 'score' is {shown(entry['score'])}, not a number")
        found.setdefault(entry["image_id"], []).append(entry)
    return found


def _are_numbers(values: Any, count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(type(value) in (int, float) and math.isfinite(value) for value in values)
    )


# Look-up tables are indexed by segment id; larger ids mean that the input is not a segment map.
_MAX_ID = 2**28


def _check_range(values: np.ndarray) -> int:
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= _MAX_ID:
        raise ValueError(f"segment ids must lie in [0, {_MAX_ID}), got {low} to {high}")
    return high


def check_same_size(ground_truth: np.ndarray, predicted: np.ndarray, where: str = "image") -> None:
    """Raise a ValueError that names the image if the two maps differ in size."""
    if ground_truth.shape != predicted.shape:
        raise ValueError(
            f"{where}: the prediction has size {predicted.shape}, the ground truth {ground_truth.shape}; "
            "predictions must be resized to the original image (ori_shape)"
        )


def unique_index(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``np.unique(values, return_inverse=True)`` without sorting the pixels.

    Args:
        values: integers (...), >= 0.

    Returns:
        unique: int64 (U,), ascending.
        index: int32 (...), position of each value in `unique`.
    """
    values = np.asarray(values)
    if not values.size:
        return np.zeros(0, np.int64), np.zeros(values.shape, np.int32)
    present = np.zeros(_check_range(values) + 1, dtype=bool)
    present[values] = True
    unique = np.flatnonzero(present)
    return unique, index_of(values, unique)


def index_of(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Position of each value in `known`; -1 where the value is not in it.

    Args:
        values: integers (...), >= 0.
        known: integers (K,), >= 0, without repetition.

    Returns:
        int32 (...).
    """
    values, known = np.asarray(values), np.asarray(known, dtype=np.int64)
    if not values.size:
        return np.zeros(values.shape, np.int32)
    size = _check_range(values) + 1
    # Zero stands for "unknown": a table of zeros costs no memory where it is not touched.
    table = np.zeros(size, dtype=np.int32)
    inside = known < size
    table[known[inside]] = np.flatnonzero(inside) + 1
    return table[values] - 1


def overlap_table(rows: np.ndarray, columns: np.ndarray, num_rows: int, num_columns: int) -> np.ndarray:
    """Pixel counts of all pairs of indices.

    Args:
        rows, columns: integers of equal shape, in [0, num_rows) and [0, num_columns).

    Returns:
        int64 (num_rows, num_columns).
    """
    pairs = rows.astype(np.int64).ravel() * num_columns + columns.ravel()
    return np.bincount(pairs, minlength=num_rows * num_columns).reshape(num_rows, num_columns)
