"""One answer an object: several queries may find the same one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

from omgseg.apis.results import SegmentationResult


def without_duplicates(frames: Sequence[SegmentationResult], max_overlap: float) -> list[SegmentationResult]:
    """Of the instances of one class that overlap more than `max_overlap`, those of the lowest number.

    That is the surest one of an image, and in a video the one that was there first, so that an object keeps its number
    although the scores of its duplicates change.

    Args:
        frames: of an image, of a clip or of a video; a number always has the same class.
        max_overlap: IoU of the masks, of tubes over all frames.
    """
    numbers = np.unique(np.concatenate([frame.ids for frame in frames]))
    if max_overlap >= 1 or len(numbers) < 2:
        return list(frames)
    common, area = np.zeros((len(numbers), len(numbers))), np.zeros(len(numbers))
    labels = np.zeros(len(numbers), np.int64)
    places = [np.searchsorted(numbers, frame.ids) for frame in frames]
    for frame, place in zip(frames, places, strict=True):
        if not len(frame):
            continue
        overlap = np.asarray(coco_mask.iou(frame.rles, frame.rles, [0] * len(frame)))
        both = frame.areas[:, None] + frame.areas
        common[np.ix_(place, place)] += overlap * both / (1 + overlap)
        area[place] += frame.areas
        labels[place] = frame.labels
    union = area[:, None] + area - common
    rivals = (common > max_overlap * union) & (labels[:, None] == labels)
    kept = np.zeros(len(numbers), bool)
    for row in range(len(numbers)):
        kept[row] = not (rivals[row] & kept).any()
    return [frame.select(kept[place]) for frame, place in zip(frames, places, strict=True)]
