"""Panoptic quality: counts of one pair of segmentations, what follows from summed counts, and COCO's panoptic files.

Kirillov et al., Panoptic Segmentation, CVPR 2019, with the rules of the official COCO evaluation: a pair of
segments of one class matches above IoU 0.5, ground-truth void is taken out of the union, an unmatched
prediction that lies mostly on void or on the crowd region of its class is dropped, and crowd regions are
never missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from omgseg.evaluation.functional.inputs import (
    check_same_size,
    index_of,
    load_annotations,
    overlap_table,
    unique_index,
)
from omgseg.structures.label_png import decode_panoptic_png


@dataclass
class PanopticStat:
    """Matches of each class, summable over images, windows and processes.

    Attributes:
        iou: float64 (C,), summed IoU of the matched pairs.
        tp, fp, fn: int64 (C,), matched pairs, unmatched predictions, unmatched ground truth.
    """

    iou: np.ndarray
    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray

    @classmethod
    def zeros(cls, num_classes: int) -> PanopticStat:
        return cls(np.zeros(num_classes), *(np.zeros(num_classes, dtype=np.int64) for _ in range(3)))

    def __add__(self, other: PanopticStat) -> PanopticStat:
        return PanopticStat(self.iou + other.iou, self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    def occurs(self) -> np.ndarray:
        """bool (C,): the class has a ground-truth or predicted segment; only such classes enter averages."""
        return (self.tp + self.fp + self.fn) > 0

    def per_class(self) -> dict[str, np.ndarray]:
        """``pq``, ``sq`` and ``rq`` of each class, float64 (C,), fractions; 0 where undefined."""
        weight = self.tp + 0.5 * self.fp + 0.5 * self.fn
        some_weight, some_match = np.maximum(weight, 0.5), np.maximum(self.tp, 1)
        return {"pq": self.iou / some_weight, "sq": self.iou / some_match, "rq": self.tp / some_weight}

    def mean(self, select: np.ndarray | None = None) -> dict[str, float]:
        """Average over the classes that occur.

        Args:
            select: bool (C,), average over these classes only.

        Returns:
            ``pq``, ``sq``, ``rq`` (fractions, NaN when no class occurs) and ``n``, the number of averaged
            ones.
        """
        chosen = self.occurs() if select is None else self.occurs() & np.asarray(select, dtype=bool)
        count = int(chosen.sum())
        means = {
            name: float(values[chosen].mean()) if count else float("nan")
            for name, values in self.per_class().items()
        }
        return {**means, "n": count}


@dataclass
class SegmentTable:
    """What matching must know of segments besides their overlaps.

    Attributes:
        classes: int64 (S,).
        areas: int64 (S,), pixels.
        crowd: bool (S,), ground truth only.
    """

    classes: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray | None = None


def match_segments(
    overlap: np.ndarray, ground_truth: SegmentTable, predicted: SegmentTable, num_classes: int
) -> PanopticStat:
    """Match the segments of one image, or of one window of a video.

    Args:
        overlap: int64 (G + 1, P + 1), common pixels; row 0 is ground-truth void, column 0 predicted void.
        ground_truth: G segments.
        predicted: P segments.
        num_classes: length of the result.
    """
    common, on_void = overlap[1:, 1:], overlap[0, 1:]
    crowd = np.zeros(len(ground_truth.classes), bool) if ground_truth.crowd is None else ground_truth.crowd
    union = ground_truth.areas[:, None] + predicted.areas[None] - common - on_void[None]
    same_class = ground_truth.classes[:, None] == predicted.classes[None]
    matches = same_class & ~crowd[:, None] & (2 * common > union) & (common > 0)
    rows, columns = np.nonzero(matches)

    # With several crowd regions of one class, only the last listed counts, as in the official evaluation.
    crowd_row = np.zeros(num_classes, dtype=np.int64)
    crowd_row[ground_truth.classes[crowd]] = np.flatnonzero(crowd) + 1
    row = crowd_row[predicted.classes]
    on_crowd = np.where(row > 0, overlap[row, np.arange(1, overlap.shape[1])], 0)
    excused = 2 * (on_void + on_crowd) > predicted.areas

    def count(classes: np.ndarray) -> np.ndarray:
        return np.bincount(classes, minlength=num_classes)

    return PanopticStat(
        iou=np.bincount(
            ground_truth.classes[rows],
            weights=common[rows, columns] / union[rows, columns],
            minlength=num_classes,
        ),
        tp=count(ground_truth.classes[rows]),
        fp=count(predicted.classes[~matches.any(axis=0) & ~excused]),
        fn=count(ground_truth.classes[~matches.any(axis=1) & ~crowd]),
    )


class PanopticAnnotations:
    """The ground truth or a result: a JSON file and a folder of PNGs.

    Args:
        ann_file: JSON with ``annotations``; ground truth also has ``categories``.
        seg_prefix: folder of the PNGs.
        fields: lists that the file must have.

    Raises:
        FileNotFoundError: the file or the folder is missing.
        ValueError: the file is not JSON, or lacks a field.
    """

    def __init__(
        self,
        ann_file: str | Path,
        seg_prefix: str | Path,
        fields: Sequence[str] = ("annotations", "categories"),
    ) -> None:
        content = load_annotations(ann_file, fields)
        self.ann_file, self.seg_prefix = Path(ann_file), Path(seg_prefix)
        if not self.seg_prefix.is_dir():
            raise FileNotFoundError(f"{seg_prefix} (PNGs of {ann_file}) not found; see data/README.md")
        self.categories: list[dict[str, Any]] = content.get("categories", [])
        self.by_image: dict[Any, dict[str, Any]] = {a["image_id"]: a for a in content["annotations"]}

    def load(self, image_id: int | str) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """Segment ids int32 (H, W), 0 is void, and the entries of ``segments_info``.

        Raises:
            ValueError: the image is not in the file, or the PNG is not a panoptic PNG.
            FileNotFoundError, OSError: the PNG is missing or truncated.
        """
        if image_id not in self.by_image:
            raise ValueError(
                f"{self.ann_file}: field 'annotations' has no entry with image_id {image_id!r}; dataset "
                "and metric must use the same annotation file"
            )
        annotation = self.by_image[image_id]
        return decode_panoptic_png(self.seg_prefix / annotation["file_name"]), annotation["segments_info"]

    def name_of(self, image_id: int | str) -> str:
        """For errors: the PNG of an image, and the file that describes it."""
        return f"{self.seg_prefix / self.by_image[image_id]['file_name']} ({self.ann_file})"


def class_lookup(categories: Sequence[dict[str, Any]]) -> dict[int, int]:
    """Class index of each category id, in the order of the file."""
    return {category["id"]: index for index, category in enumerate(categories)}


def _classes_of(segments: Sequence[dict[str, Any]], class_of: dict[int, int], where: str) -> np.ndarray:
    unknown = {s["category_id"] for s in segments} - class_of.keys()
    if unknown:
        raise ValueError(
            f"{where}: segments_info holds category_id {min(unknown)}, which is not among the categories"
        )
    return np.array([class_of[s["category_id"]] for s in segments], dtype=np.int64)


def _index_map(ids: np.ndarray, segments: Sequence[dict[str, Any]], where: str) -> np.ndarray:
    """Index of each pixel's segment, 1..S; 0 is void."""
    known = np.array([0] + [s["id"] for s in segments], dtype=np.int64)
    index = index_of(ids, known)
    if (index < 0).any():
        raise ValueError(
            f"{where}: the PNG holds segment id {ids[index < 0].flat[0]}, which is not in segments_info; "
            "PNG and JSON are of different versions"
        )
    return index


def compare_image(
    ground_truth: tuple[np.ndarray, Sequence[dict[str, Any]]],
    predicted: tuple[np.ndarray, Sequence[dict[str, Any]]],
    class_of: dict[int, int],
    where: str = "image",
) -> PanopticStat:
    """Counts of one image.

    Args:
        ground_truth: ids (H, W) with 0 for void, and segments (``id``, ``category_id``, ``area``,
            ``iscrowd``). The area is taken from the field, as in the official evaluation.
        predicted: ids (H, W) with 0 for void, and segments (``id``, ``category_id``).
        class_of: class index of each category id.
        where: name of the image, for errors.

    Raises:
        ValueError: the sizes differ, or a map holds an id that is not among its segments.
    """
    (gt_ids, gt_segments), (pred_ids, pred_segments) = ground_truth, predicted
    check_same_size(gt_ids, pred_ids, where)
    overlap = overlap_table(
        _index_map(gt_ids, gt_segments, where),
        _index_map(pred_ids, pred_segments, f"prediction of {where}"),
        len(gt_segments) + 1,
        len(pred_segments) + 1,
    )
    return match_segments(
        overlap,
        SegmentTable(
            classes=_classes_of(gt_segments, class_of, where),
            areas=np.array([s["area"] for s in gt_segments], dtype=np.int64),
            crowd=np.array([bool(s.get("iscrowd", 0)) for s in gt_segments], dtype=bool),
        ),
        SegmentTable(
            classes=_classes_of(pred_segments, class_of, f"prediction of {where}"),
            areas=overlap[:, 1:].sum(axis=0),
        ),
        num_classes=len(class_of),
    )


def segments_of_map(ids: np.ndarray, category_of: dict[int, int]) -> list[dict[str, Any]]:
    """The ``segments_info`` of a predicted map whose ids carry the class.

    Args:
        ids: integers (H, W), 0 is void.
        category_of: category id of every segment id.
    """
    return [{"id": int(i), "category_id": category_of[int(i)]} for i in unique_index(ids)[0] if i != 0]
