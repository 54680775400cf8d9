"""What is drawn of a data sample and of the ground truth."""

from __future__ import annotations

import cv2
import numpy as np
from mmdet.structures import DetDataSample
from pycocotools import mask as coco_mask

from omgseg.structures import NO_CLASS, Task, Vocabulary
from omgseg.structures.predictions import predicted_tasks, segments_of
from omgseg.structures.run_lengths import encode_masks
from omgseg.structures.segments import Segments

_READABLE_SIDE = 320  # pixels of the shorter side below which pictures are enlarged for their labels


def predictions_of(frame: DetDataSample, vocabulary: Vocabulary, frame_index: int | None) -> list[Segments]:
    """What was predicted for an image or frame, one result a task.

    Args:
        frame: with predictions of any tasks, at the size of the stored image.
        vocabulary: of the labels. Those of prompts are the model's guesses, and are left out: what is looked at is the
            mask.
        frame_index: None for an image.
    """
    return [
        segments_of(
            Segments, frame, task, None if task is Task.INTERACTIVE else vocabulary, frame_index=frame_index
        )
        for task in predicted_tasks(frame)
    ]


def truth_of(
    task: Task, masks: np.ndarray, labels: np.ndarray, vocabulary: Vocabulary, frame_index: int | None
) -> Segments:
    """The true objects as a result of a task.

    Args:
        task: instances show things only, semantic segmentation one mask a class.
        masks: bool (N, H, W).
        labels: (N,), -1 without a class.
        vocabulary: of the labels.
        frame_index: None for an image.
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
    scores = np.ones(len(masks), np.float32)
    return Segments(
        task, masks.shape[1:], encode_masks(masks), labels, scores, ids, vocabulary, frame_index=frame_index
    )


def zoom_for(height: int, width: int) -> int:
    """The whole number by which an image of this size is enlarged, so that text on it can be read."""
    return max(1, -(-_READABLE_SIDE // min(height, width)))


def enlarge(image: np.ndarray, zoom: int) -> np.ndarray:
    """The image (H, W, 3), so many times larger."""
    if zoom == 1:
        return image
    return cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR)


def enlarge_segments(segments: Segments, zoom: int) -> Segments:
    """The same masks, so many times larger, with round edges instead of stairs; without pixels."""
    if zoom == 1:
        return segments
    height, width = segments.size
    large = [_enlarge_mask(run_lengths, zoom) for run_lengths in segments.rles]
    return segments.replace(size=(height * zoom, width * zoom), rles=encode_masks(large), image=None)


def _enlarge_mask(run_lengths: dict, zoom: int) -> np.ndarray:
    mask = 255 * coco_mask.decode(run_lengths)
    return cv2.resize(mask, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR) > 127
