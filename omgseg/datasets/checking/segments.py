"""The segments of a frame against what its annotations say of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np

from omgseg.datasets.problems import Kind, problem
from omgseg.datasets.segments import Segments, read_segments, sa1b_instances

MAY_BE_EMPTY = ("coco_panoptic", "davis", "rle")
"""Formats whose frames may show none of their objects; maps of classes label at least one pixel."""
MAY_OVERLAP = ("rle", "sa1b")
"""Formats with a mask for each object; in the others a pixel has one segment."""


class DuplicateMasks:
    """Finds objects of a sample that have the same category and the same mask in every frame."""

    def __init__(self) -> None:
        self._seen: dict[int, list[tuple[int, int, int]]] = defaultdict(list)

    def add(self, t: int, segments: Segments) -> None:
        """The segments of frame t."""
        for index, label, mask in zip(segments.ids.tolist(), segments.labels.tolist(), segments.masks):
            if mask.any():
                self._seen[index].append((t, label, hash(mask.tobytes())))

    def report(self, where: str) -> None:
        first_of: dict[tuple[Any, ...], int] = {}
        for index, masks in self._seen.items():
            first = first_of.setdefault(tuple(masks), index)
            if first != index:
                text = f"{where}: annotations {first} and {index} have the same category and the same mask"
                problem(Kind.DUPLICATE_MASK, ValueError(text))


def check_segments(frame: dict[str, Any], results: dict[str, Any]) -> Segments:
    """Read the segments of a frame by the reader that training uses, and compare them with their annotations.

    Args:
        frame, results: see :func:`omgseg.datasets.segments.read_segments`.

    Returns:
        The segments, crowd regions included. What is wrong is reported by :func:`problem`.
    """
    if results["seg_format"] == "sa1b":  # as any other run lengths, with the areas that they state
        frame = {**frame, "instances": sa1b_instances(frame, results)}
        results = {**results, "seg_format": "rle", "ann_file": frame["seg_map_path"]}
    stated = frame.get("segments_info", frame.get("instances", []))
    if "segments_info" in frame:
        frame = {**frame, "segments_info": [{**segment, "iscrowd": 0} for segment in stated]}
    segments = read_segments(frame, results)
    where = frame.get("seg_map_path", f"{results['ann_file']}, {frame['img_path']}")
    pixels: Counter[int] = Counter()  # an id used twice has its pixels in one of the rows
    for index, area in zip(segments.ids.tolist(), np.count_nonzero(segments.masks, axis=(1, 2)).tolist()):
        pixels[index] += area
    info_of = {info["id"]: info for info in stated}
    for index, area in pixels.items():
        info = info_of.get(index, {})
        claimed = info.get("area")
        if not area:
            problem(Kind.EMPTY, ValueError(f"{where}: segment {index} has no pixels"))
        elif claimed is not None and abs(claimed - area) > _tolerance(info):
            text = f"{where}: segment {index} has {area} pixels, its 'area' is {claimed:g}"
            problem(Kind.AREA, ValueError(text))
    if not pixels and results["seg_format"] not in MAY_BE_EMPTY:
        problem(Kind.EMPTY, ValueError(f"{where}: no pixel is labelled"))
    return segments


def _tolerance(info: dict[str, Any]) -> float:
    """Pixels by which an area may differ from the mask's.

    Run lengths and maps are exact. A polygon's area is not that of the pixels it covers: every pixel on its outline
    may count or not, and there are about as many as the outline is long.
    """
    segmentation = info.get("segmentation")
    if not isinstance(segmentation, list):
        return 0.5
    return 1 + sum(_outline(np.asarray(polygon, float).reshape(-1, 2)) for polygon in segmentation)


def _outline(points: np.ndarray) -> float:
    """Length of a closed polygon (n, 2), in the 1-norm: at least the number of pixels it runs through."""
    return float(np.abs(points - np.roll(points, 1, axis=0)).sum())
