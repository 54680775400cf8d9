"""What a dataset's list of samples says before any file is opened."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.checking.samples import paths_of
from omgseg.datasets.files import require_file, require_folder
from omgseg.datasets.problems import Kind, Problem, collect_problems, noted


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
        for entry in _entries(dataset):
            paths = [(key, path) for frame in entry["frames"] for key, path in paths_of(frame).items()]
            for key, path in paths:
                if not (masks_only and key == "img_path") and not _exists(Path(path), names):
                    with noted(path):  # the folder if it is missing too: one problem, not one a file
                        require_folder(Path(path).parent, dataset.README_ANCHOR)
                        require_file(path, dataset.README_ANCHOR)
            if unannotated:
                problems += _without_masks(dataset, entry["frames"])
    return problems, "" if unannotated else "no annotations, as in a test split: images alone are checked"


def _entries(dataset: SegmentationDataset) -> Iterator[dict[str, Any]]:
    return (dataset.get_data_info(index) for index in range(len(dataset)))


def _has_masks(frame: dict[str, Any]) -> bool:
    return bool({"seg_map_path", "instances"} & frame.keys())


def _any_masks(dataset: SegmentationDataset) -> bool:
    frames = (frame for entry in _entries(dataset) for frame in entry["frames"])
    return any(bool(frame["instances"]) if "instances" in frame else _has_masks(frame) for frame in frames)


def _without_masks(dataset: SegmentationDataset, frames: list[dict[str, Any]]) -> Iterator[Problem]:
    if dataset.ann_file.endswith(".json"):
        return  # the file says which images have annotations, and is checked for itself
    for frame in frames:
        if not _has_masks(frame):
            yield Problem(Kind.NO_MASK, f"{frame['img_path']} has no mask file")


def _exists(path: Path, names: dict[Path, set[str]]) -> bool:
    """Looks a folder's names up once: much faster than asking for every file, above all over a network."""
    if path.parent not in names:
        names[path.parent] = {each.name for each in path.parent.iterdir()} if path.parent.is_dir() else set()
    return path.name in names[path.parent]


def _repeated_samples(dataset: SegmentationDataset) -> Iterator[Problem]:
    """Folders and lists of names; ids of annotation files are checked as a file."""
    if dataset.ann_file.endswith(".json"):
        return
    keys = array("q", (hash(_key(entry)) for entry in _entries(dataset)))
    values, counts = np.unique(np.frombuffer(keys, np.int64), return_counts=True)
    twice = set(values[counts > 1].tolist())
    if twice:
        named = Counter(_key(entry) for entry in _entries(dataset) if hash(_key(entry)) in twice)
        for key in (key for key, count in named.items() if count > 1):
            yield Problem(Kind.DUPLICATE_ID, f"{dataset.ann_file} lists {key} more than once")


def _key(entry: dict[str, Any]) -> Any:
    return entry.get("video_id", entry["frames"][0]["img_path"])
