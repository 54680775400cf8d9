"""The images and masks of a sample: everything that training would read, whatever is wrong with the rest."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.problems import Problem, ProblemKind, collect_problems, collecting, report_problem
from omgseg.datasets.segments import FrameMasks, read_segments, sa1b_instances
from omgseg.datasets.transforms.loading import read_rgb
from omgseg.structures.label_png import image_size

MAY_BE_EMPTY = ("boxes", "coco_panoptic", "davis", "rle")
"""Formats whose frames may show none of their objects; maps of classes label at least one pixel."""
MAY_OVERLAP = ("boxes", "rle", "sa1b")
"""Formats with a mask for each object; in the others a pixel has one segment."""


class DuplicateMasks:
    """Finds objects of a sample that have the same category and the same mask in every frame."""

    def __init__(self) -> None:
        self._seen: dict[int, list[tuple[int, int, int]]] = defaultdict(list)

    def add(self, t: int, segments: FrameMasks) -> None:
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
                report_problem(ProblemKind.DUPLICATE_MASK, ValueError(text))


def check_segments(frame: dict[str, Any], results: dict[str, Any]) -> FrameMasks:
    """Read the segments of a frame by the reader that training uses, and compare them with their annotations.

    Args:
        frame, results: see :func:`omgseg.datasets.segments.read_segments`.

    Returns:
        The segments, crowd regions included. What is wrong is reported by :func:`report_problem`.
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
            report_problem(ProblemKind.EMPTY, ValueError(f"{where}: segment {index} has no pixels"))
        elif claimed is not None and abs(claimed - area) > _tolerance(info):
            text = f"{where}: segment {index} has {area} pixels, its 'area' is {claimed:g}"
            report_problem(ProblemKind.AREA, ValueError(text))
    if not pixels and results["seg_format"] not in MAY_BE_EMPTY:
        report_problem(ProblemKind.EMPTY, ValueError(f"{where}: no pixel is labelled"))
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


class SampleCheck(Dataset):
    """The problems of each of the chosen samples; a torch dataset, so that a ``DataLoader`` spreads the work.

    Args:
        dataset: what to check.
        indices: which samples.
        frames: how many frames of a video are read completely, evenly spaced; of the others the header alone is read.
            None: all.
        masks_only: do not open the images.
    """

    def __init__(
        self,
        dataset: SegmentationDataset,
        indices: Sequence[int],
        frames: int | None = None,
        masks_only: bool = False,
    ) -> None:
        self.dataset, self.indices, self.frames, self.masks_only = dataset, indices, frames, masks_only

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> list[Problem]:
        index = self.indices[position]
        with collect_problems(f"{self.dataset.ann_file}, sample {index}") as problems:
            check_sample(self.dataset.describe(index), self.frames, self.masks_only)
        return problems


def join(batch: list[list[Problem]]) -> list[list[Problem]]:
    """``collate_fn`` of :class:`SampleCheck`: one list per sample."""
    return batch


def paths_of(frame: dict[str, Any]) -> dict[str, str]:
    """The files of a frame by key."""
    return {key: value for key, value in frame.items() if key.endswith("_path")}


def check_sample(results: dict[str, Any], frames: int | None = None, masks_only: bool = False) -> None:
    """Read a sample's images and masks, and report by :func:`report_problem` what is wrong with those that exist.

    Args:
        results: see :meth:`SegmentationDataset.describe`.
        frames, masks_only: see :class:`SampleCheck`.
    """
    length = len(results["frames"])
    chosen = set(range(length))
    if frames is not None and length > frames:
        chosen = {round(k * (length - 1) / (frames - 1)) for k in range(frames)}
    size = (results["height"], results["width"])  # zeros where no file says it
    duplicates = DuplicateMasks()
    for t, frame in enumerate(results["frames"]):
        shape = size if masks_only else _check_image(frame["img_path"], size, results, completely=t in chosen)
        size = size if all(size) else shape
        # a whole image as a box needs the image's size
        can_be_read = all(shape) or results["seg_format"] != "boxes"
        if t in chosen and can_be_read and {"instances", "seg_map_path"} & frame.keys():
            segments = _check_masks(frame, {**results, "ori_shape": shape})
            if segments is not None and results["seg_format"] in MAY_OVERLAP:
                duplicates.add(t, segments)
    if len(chosen) == length:
        subject = (
            f"video {results['video_id']!r}" if results["is_video"] else results["frames"][0]["img_path"]
        )
        duplicates.report(f"{results['ann_file']}, {subject}")


def _check_image(
    path: str, expected: tuple[int, int], results: dict[str, Any], completely: bool
) -> tuple[int, int]:
    """(height, width) of an image; the expected one where it cannot be read."""
    shape = expected
    if not Path(path).is_file():
        return shape
    with collecting(path):
        shape = read_rgb(path, results["readme_anchor"]).shape[:2] if completely else image_size(path)[::-1]
        if shape != expected and all(expected):
            text = (
                f"{path} is {shape[1]}x{shape[0]}, "
                f"{'its video' if results['is_video'] else results['ann_file']} is {expected[1]}x{expected[0]} "
                "(width x height)"
            )
            report_problem(ProblemKind.SIZE, ValueError(text))
    return shape


def _check_masks(frame: dict[str, Any], results: dict[str, Any]) -> FrameMasks | None:
    if not all(Path(path).is_file() for key, path in paths_of(frame).items() if key != "img_path"):
        return None
    with collecting(frame.get("seg_map_path", frame["img_path"])):
        return check_segments(frame, results)
    return None
