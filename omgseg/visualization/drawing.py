"""Masks of a data sample or of the ground truth, in the form that the renderer takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from mmdet.evaluation.functional import INSTANCE_OFFSET
from mmdet.structures import DetDataSample
from pycocotools import mask as coco_mask

from omgseg.structures import NO_CLASS, Task, Vocabulary

_READABLE_SIDE = 320  # pixels of the shorter side below which pictures are enlarged for their labels


@dataclass(frozen=True)
class Drawing:
    """N masks of one image or frame: what :class:`~omgseg.visualization.render.Drawable` asks for."""

    task: Task
    size: tuple[int, int]
    rles: Sequence[dict[str, Any]]
    labels: np.ndarray
    scores: np.ndarray
    ids: np.ndarray
    vocabulary: Vocabulary
    frame_index: int = 0
    time: float | None = None


def predictions_of(frame: DetDataSample, size: tuple[int, int], vocabulary: Vocabulary) -> list[Drawing]:
    """What was predicted for an image or frame, one drawing a task.

    Args:
        frame: with predictions of any tasks, at the size of the stored image.
        size: (height, width) of it.
        vocabulary: of the labels.
    """
    found = []
    if "pred_panoptic_seg" in frame:
        found.append(_panoptic(_map(frame.pred_panoptic_seg), vocabulary))
    if "pred_sem_seg" in frame:
        found.append(from_map(Task.SEMANTIC, _map(frame.pred_sem_seg), vocabulary))
    if "pred_vos_seg" in frame:
        found.append(from_map(Task.VOS, _map(frame.pred_vos_seg), vocabulary))
    for field in ("pred_instances", "pred_track_instances"):
        if field not in frame:
            continue
        objects = frame.get(field)
        tracked = field == "pred_track_instances"
        rles = list(objects.masks) if tracked else encode(objects.masks.cpu().numpy())
        unnamed = np.full(len(rles), NO_CLASS)
        drawing = Drawing(
            Task.INTERACTIVE if "prompts" in frame and not tracked else Task.INSTANCE,
            size,
            rles,
            objects.labels.cpu().numpy() if "labels" in objects else unnamed,
            objects.scores.float().cpu().numpy(),
            objects.instances_id.cpu().numpy() if tracked else np.arange(1, len(rles) + 1),
            vocabulary,
        )
        # labels of prompts are the model's guesses; what is looked at is the mask
        found.append(replace(drawing, labels=unnamed) if drawing.task is Task.INTERACTIVE else drawing)
    return found


def truth_of(task: Task, masks: np.ndarray, labels: np.ndarray, vocabulary: Vocabulary) -> Drawing:
    """The true objects as a result of a task.

    Args:
        task: instances show things only, semantic segmentation one mask a class.
        masks: bool (N, H, W).
        labels: (N,), -1 without a class.
        vocabulary: of the labels.
    """
    ids = np.arange(1, len(masks) + 1)
    if task is Task.SEMANTIC:
        present = [label for label in np.unique(labels) if label != NO_CLASS]
        masks = np.stack([masks[labels == label].any(0) for label in present]) if present else masks[:0]
        labels, ids = np.array(present, int), np.arange(1, len(present) + 1)
    elif task is Task.INSTANCE:
        things = labels < vocabulary.num_things
        masks, labels, ids = masks[things], labels[things], ids[things]
    elif task in (Task.VOS, Task.INTERACTIVE):
        labels = np.full(len(masks), NO_CLASS)
    return Drawing(
        task, masks.shape[1:], encode(masks), labels, np.ones(len(masks), np.float32), ids, vocabulary
    )


def from_map(task: Task, values: np.ndarray, vocabulary: Vocabulary) -> Drawing:
    """A drawing of a map of numbers.

    Args:
        task: semantic: the numbers are labels, those outside of the vocabulary show nothing; vos: they are objects, 0
            is background.
        values: integers (H, W).
        vocabulary: of the labels.
    """
    present = np.unique(values)
    if task is Task.SEMANTIC:
        present = present[(present >= 0) & (present < len(vocabulary))]
        labels, ids = present, present + 1
    else:
        present = ids = present[present > 0]
        labels = np.full(len(present), NO_CLASS)
    return _of_values(task, values, present, labels, ids, vocabulary)


def _panoptic(values: np.ndarray, vocabulary: Vocabulary) -> Drawing:
    """A drawing of a panoptic map in mmdet's encoding: ``label + 1000 * instance``, void is ``len(vocabulary)``."""
    present = np.unique(values)
    labels, instances = present % INSTANCE_OFFSET, present // INSTANCE_OFFSET
    known = labels < len(vocabulary)
    present, labels, instances = present[known], labels[known], instances[known]
    return _of_values(Task.PANOPTIC, values, present, labels, instances, vocabulary)


def _of_values(
    task: Task,
    values: np.ndarray,
    present: np.ndarray,
    labels: np.ndarray,
    ids: np.ndarray,
    vocabulary: Vocabulary,
) -> Drawing:
    rles = [coco_mask.encode(np.asfortranarray(values == value, np.uint8)) for value in present]
    return Drawing(task, values.shape, rles, labels, np.ones(len(rles), np.float32), ids, vocabulary)


def encode(masks: np.ndarray) -> list[dict[str, Any]]:
    """COCO run lengths of bool (N, H, W)."""
    return [coco_mask.encode(np.asfortranarray(mask, np.uint8)) for mask in masks]


def zoom_for(height: int, width: int) -> int:
    """The whole number by which an image of this size is enlarged, so that text on it can be read."""
    return max(1, -(-_READABLE_SIDE // min(height, width)))


def enlarge(image: np.ndarray, zoom: int) -> np.ndarray:
    """The image (H, W, 3), so many times larger."""
    if zoom == 1:
        return image
    return cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR)


def enlarge_drawing(drawing: Drawing, zoom: int) -> Drawing:
    """The same masks, so many times larger, with round edges instead of stairs."""
    if zoom == 1:
        return drawing
    large = [
        cv2.resize(255 * coco_mask.decode(rle), None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR) > 127
        for rle in drawing.rles
    ]
    height, width = drawing.size
    return replace(drawing, size=(height * zoom, width * zoom), rles=encode(np.array(large)))


def _map(data: Any) -> np.ndarray:
    return data.sem_seg[0].cpu().numpy()
