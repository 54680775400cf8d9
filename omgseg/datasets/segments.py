"""The segments of one frame as masks, from the formats in which datasets store them. No loop over pixels."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from pycocotools import mask as coco_mask

from omgseg.datasets.files import read_json
from omgseg.datasets.problems import ProblemKind, collecting, report_problem
from omgseg.datasets.vocabularies import unknown_category
from omgseg.messages import placed, shown
from omgseg.structures import NO_CLASS, Vocabulary
from omgseg.structures.label_png import (
    VOID_CLASS,
    decode_panoptic_png,
    read_index_png,
    read_vipseg_panomask,
    read_vspw_mask,
)
from omgseg.structures.run_lengths import encode_segmentation

CLASS_STRIDE = 1000
"""The id of a segment of VIPSeg or Cityscapes is class * CLASS_STRIDE + instance."""
CITYSCAPES_LABELS = 34
"""Label ids of Cityscapes are 0..33; those that are not in the vocabulary are void."""
DAVIS_VOID = 255
IN_LISTS = ("rle", "boxes")
"""Formats whose segments are in the list of samples, not in a file beside each image."""


class FrameMasks(NamedTuple):
    """The segments of one frame.

    Attributes:
        ids: int64 (n,), the same object has the same id in all frames of a video.
        labels: int64 (n,), NO_CLASS where the dataset has no classes.
        masks: uint8 0/1 (n, H, W).
        boxes: float32 (n, 4), x1 y1 x2 y2, as the annotations have them; NaN where they have none. None in formats
            without boxes.
        scores: float32 (n,), 0 to 1, of pseudo labels; None for labels by people.
    """

    ids: np.ndarray
    labels: np.ndarray
    masks: np.ndarray
    boxes: np.ndarray | None = None
    scores: np.ndarray | None = None

    def select(self, rows: np.ndarray) -> FrameMasks:
        """Some of the segments, by a bool (n,)."""
        return FrameMasks(*(None if values is None else values[rows] for values in self))


def read_segments(frame: dict[str, Any], results: dict[str, Any]) -> FrameMasks:
    """Read the segments of a frame of a sample.

    Args:
        frame: an entry of ``results["frames"]``.
        results: the sample, with ``seg_format``, ``vocabulary`` (None: class-agnostic), ``ann_file`` and
            ``ori_shape`` (H, W); class maps also need ``ignore_ids``, run lengths and polygons ``height`` and
            ``width``, SA-1B ``max_masks``. With ``pseudo_labels`` the segments have scores.

    Raises:
        FileNotFoundError, OSError: the mask file is missing or truncated.
        ValueError: the mask's size is not the image's, a segment is not in the annotation file, or a category
            is not in the vocabulary.
    """
    reader = {
        "boxes": _read_boxes,
        "cityscapes": _read_cityscapes,
        "class_map": _read_class_map,
        "coco_panoptic": _read_coco,
        "davis": _read_davis,
        "rle": _read_rle,
        "sa1b": _read_sa1b,
        "vipseg": _read_vipseg,
        "vspw": _read_vspw,
    }
    if results["seg_format"] not in IN_LISTS and "seg_map_path" not in frame:
        raise FileNotFoundError(
            f"{frame['img_path']} has no mask file; see data/README.md#{results['readme_anchor']}"
        )
    with placed(frame.get("seg_map_path", f"{results['ann_file']}, {frame['img_path']}")):
        return reader[results["seg_format"]](frame, results)


def split_map(id_map: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut a map of segment ids into masks.

    Args:
        id_map: integers (H, W).
        ids: integers (n,), distinct.

    Returns:
        uint8 masks (n, H, W), and the sorted values of the map that are not in `ids`.
    """
    if len(ids) == 0:
        return np.zeros((0, *id_map.shape), np.uint8), np.unique(id_map)
    order = np.argsort(ids)
    position = np.searchsorted(ids[order], id_map)
    np.minimum(position, len(ids) - 1, out=position)
    known = ids[order][position] == id_map
    rows = np.where(known, order[position], -1).astype(np.int16)
    masks = rows[None] == np.arange(len(ids), dtype=np.int16)[:, None, None]
    return masks.view(np.uint8), np.unique(id_map[~known])


def _check_size(size: tuple[int, ...], results: dict[str, Any], path: str, image: str) -> None:
    if tuple(size) != tuple(results["ori_shape"]):
        text = (
            f"{path}: the mask is {size[1]}x{size[0]}, its image {image} is "
            f"{results['ori_shape'][1]}x{results['ori_shape'][0]} (width x height)"
        )
        report_problem(ProblemKind.SIZE, ValueError(text))


def _labels(category_ids: np.ndarray, vocabulary: Vocabulary | None, path: str) -> np.ndarray:
    if vocabulary is None:
        return np.full(len(category_ids), NO_CLASS, np.int64)
    labels = np.full(len(category_ids), NO_CLASS, np.int64)
    for position, category_id in enumerate(category_ids.tolist()):
        if category_id in vocabulary.id_to_label:
            labels[position] = vocabulary.id_to_label[category_id]
        else:
            report_problem(ProblemKind.CATEGORY, unknown_category(path, category_id, vocabulary))
    return labels


def _read_coco(frame: dict[str, Any], results: dict[str, Any]) -> FrameMasks:
    path, segments = frame["seg_map_path"], frame["segments_info"]
    id_map = decode_panoptic_png(path)
    _check_size(id_map.shape, results, path, frame["img_path"])
    ids = np.array([segment["id"] for segment in segments], np.int64)
    masks, other = split_map(id_map, ids)
    other = other[other != 0]
    for segment_id in other:
        text = (
            f"{path}: segment id {segment_id} is not in 'segments_info' of {results['ann_file']} "
            f"(image {frame['img_id']}); the PNG and the JSON are not of the same set"
        )
        report_problem(ProblemKind.SEGMENT, ValueError(text))
    keep = np.array([not segment.get("iscrowd", 0) for segment in segments], bool)
    category_ids = np.array([segment["category_id"] for segment in segments], np.int64)[keep]
    labels = _labels(category_ids, results["vocabulary"], results["ann_file"])
    kept = [segment for segment, is_kept in zip(segments, keep, strict=True) if is_kept]
    return FrameMasks(ids[keep], labels, masks[keep], scores=_scores(kept, results))


def _scores(entries: list[dict[str, Any]], results: dict[str, Any]) -> np.ndarray | None:
    if results.get("pseudo_labels") is None:
        return None
    return np.array([entry["score"] for entry in entries], np.float32)


def _read_vipseg(frame: dict[str, Any], results: dict[str, Any]) -> FrameMasks:
    path, vocabulary = frame["seg_map_path"], results["vocabulary"]
    class_map, instance_map = read_vipseg_panomask(path)
    _check_size(class_map.shape, results, path, frame["img_path"])
    # Some stuff regions carry an instance number in the official masks: a stuff class is one segment.
    countable = np.zeros(VOID_CLASS + 1, np.int32)
    countable[[c.id for c in vocabulary if c.is_thing]] = 1
    id_map = class_map * CLASS_STRIDE + instance_map * countable[class_map]
    ids = np.flatnonzero(np.bincount(id_map.ravel(), minlength=1))
    ids = ids[ids < VOID_CLASS * CLASS_STRIDE]
    labels = _labels(ids // CLASS_STRIDE, vocabulary, path)
    return FrameMasks(ids, labels, split_map(id_map, ids)[0])


def _read_cityscapes(frame: dict[str, Any], results: dict[str, Any]) -> FrameMasks:
    """A pixel holds label * CLASS_STRIDE + instance, or the label alone: of stuff, or of a group of things."""
    path, vocabulary = frame["instance_map_path"], results["vocabulary"]
    id_map = read_index_png(path)
    _check_size(id_map.shape, results, path, frame["img_path"])
    ids = np.flatnonzero(np.bincount(id_map.ravel()))
    class_ids = np.where(ids < CLASS_STRIDE, ids, ids // CLASS_STRIDE)
    wrong = class_ids[class_ids >= CITYSCAPES_LABELS]
    if len(wrong):
        raise ValueError(
            f"{path}: the value {ids[class_ids == wrong[0]][0]} has label {wrong[0]}, which Cityscapes does not have; "
            "is it a file *_gtFine_instanceIds.png?"
        )
    is_group = (ids < CLASS_STRIDE) & np.isin(ids, [c.id for c in vocabulary if c.is_thing])
    keep = np.isin(class_ids, list(vocabulary.id_to_label)) & ~is_group
    return FrameMasks(ids[keep], _labels(class_ids[keep], vocabulary, path), split_map(id_map, ids[keep])[0])


def _read_davis(frame: dict[str, Any], results: dict[str, Any]) -> FrameMasks:
    path = frame["seg_map_path"]
    id_map = read_index_png(path)
    _check_size(id_map.shape, results, path, frame["img_path"])
    ids = np.flatnonzero(np.bincount(id_map.ravel()))
    ids = ids[(ids != 0) & (ids != DAVIS_VOID)]
    return FrameMasks(ids, _labels(ids, None, path), split_map(id_map, ids)[0])


def _read_class_map(frame: dict[str, Any], results: dict[str, Any]) -> FrameMasks:
    """A pixel holds a category id."""
    return _class_segments(read_index_png(frame["seg_map_path"]), results["ignore_ids"], frame, results)


def _read_vspw(frame: dict[str, Any], results: dict[str, Any]) -> FrameMasks:
    return _class_segments(read_vspw_mask(frame["seg_map_path"]), (VOID_CLASS,), frame, results)


def _class_segments(
    class_map: np.ndarray, ignore_ids: tuple[int, ...], frame: dict[str, Any], results: dict[str, Any]
) -> FrameMasks:
    """Each category is one segment, whose id in the frame is the category's."""
    path = frame["seg_map_path"]
    _check_size(class_map.shape, results, path, frame["img_path"])
    ids = np.flatnonzero(np.bincount(class_map.ravel()))
    ids = ids[~np.isin(ids, ignore_ids)]
    return FrameMasks(ids, _labels(ids, results["vocabulary"], path), split_map(class_map, ids)[0])


def _read_rle(frame: dict[str, Any], results: dict[str, Any]) -> FrameMasks:
    """Polygons or run lengths of each instance, encoded where they are not yet."""
    shape = tuple(results["ori_shape"])
    instances, masks, boxes = [], [], []
    for instance in frame["instances"]:
        where = f"{results['ann_file']}, annotation {instance['id']}"
        with collecting(where):
            rle = encode_segmentation(instance["segmentation"], results["height"], results["width"], where)
            _check_size(rle["size"], results, where, frame["img_path"])
            if tuple(rle["size"]) == shape:
                boxes.append(_corners(instance.get("bbox"), where))  # first, as it may refuse the annotation
                masks.append(coco_mask.decode(rle))
                instances.append(instance)
    ids = np.array([instance["id"] for instance in instances], np.int64)
    category_ids = np.array([instance["category_id"] for instance in instances], np.int64)
    labels = _labels(category_ids, results["vocabulary"], results["ann_file"])
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    stacked = np.stack(masks) if masks else np.zeros((0, *shape), np.uint8)
    return FrameMasks(ids, labels, stacked, boxes, _scores(instances, results))


def _read_boxes(frame: dict[str, Any], results: dict[str, Any]) -> FrameMasks:
    """Boxes without masks, as rectangles of the pixels that they touch: so they go through all that moves pixels. An
    instance without a box is the whole image."""
    height, width = shape = tuple(results["ori_shape"])
    instances = frame["instances"]
    masks = np.zeros((len(instances), *shape), np.uint8)
    for mask, instance in zip(masks, instances, strict=True):
        x1, y1, x2, y2 = 0.0, 0.0, float(width), float(height)
        if instance["bbox"] is not None:
            where = f"{results['ann_file']}, annotation {instance['id']}"
            x1, y1, x2, y2 = _corners(instance["bbox"], where)
        if x2 > x1 and y2 > y1:
            columns, rows = (
                slice(max(math.floor(start), 0), max(math.ceil(end), 0))
                for start, end in ((x1, x2), (y1, y2))
            )
            mask[rows, columns] = 1
    ids = np.array([instance["id"] for instance in instances], np.int64)
    category_ids = np.array([instance["category_id"] for instance in instances], np.int64)
    return FrameMasks(ids, _labels(category_ids, results["vocabulary"], results["ann_file"]), masks)


def _corners(box: Any, where: str) -> tuple[float, float, float, float]:
    """x1, y1, x2, y2 of an annotation's ``bbox``, which has a width and a height; NaN where there is none."""
    if box is None:
        return (math.nan,) * 4
    try:
        x, y, width, height = (float(number) for number in box)
        if not all(map(math.isfinite, (x, y, width, height))):
            raise ValueError("not finite")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: 'bbox' is {shown(box)}, not x, y, width and height") from error
    return x, y, x + width, y + height


def mask_boxes(masks: np.ndarray) -> np.ndarray:
    """Bounding boxes of masks bool (N, H, W): float32 (N, 4), x1 y1 x2 y2; zeros for an empty mask."""
    boxes = np.zeros((len(masks), 4), np.float32)
    for axis, first in ((1, 0), (2, 1)):
        line = masks.any(axis)
        present = line.any(1)
        boxes[:, first] = line.argmax(1)
        boxes[:, first + 2] = np.where(present, line.shape[1] - line[:, ::-1].argmax(1), 0)
    return boxes


def _read_sa1b(frame: dict[str, Any], results: dict[str, Any]) -> FrameMasks:
    """Run lengths in a JSON file of each image, of which ``max_masks`` are chosen at random before any is decoded."""
    instances, max_masks = sa1b_instances(frame, results), results["max_masks"]
    if max_masks is not None and len(instances) > max_masks:
        if results.get("seeded_masks"):
            generator = torch.Generator().manual_seed(results["sample_idx"])
            chosen = torch.randint(len(instances), (max_masks,), generator=generator).numpy()
        else:
            chosen = np.sort(np.random.choice(len(instances), max_masks, replace=False))
        instances = [instances[index] for index in chosen]
    return _read_rle({**frame, "instances": instances}, {**results, "ann_file": frame["seg_map_path"]})


def sa1b_instances(frame: dict[str, Any], results: dict[str, Any]) -> list[dict[str, Any]]:
    """The masks of an image of SA-1B as ``instances`` of a frame, not decoded yet.

    Raises:
        FileNotFoundError, ValueError: the JSON file is missing, broken, or has no annotations.
    """
    entries = read_json(frame["seg_map_path"], ("annotations",), results["readme_anchor"])["annotations"]
    fields = ("id", "segmentation", "area", "bbox")
    return [{"category_id": NO_CLASS, **{key: entry.get(key) for key in fields}} for entry in entries]
