"""One answer an object: several queries may find the same one."""

from __future__ import annotations

import numpy as np
from pycocotools import mask as coco_mask

from omgseg.apis.results import SegmentationResult


def without_duplicates(result: SegmentationResult, max_overlap: float) -> SegmentationResult:
    """Of the segments of one class that overlap more than `max_overlap` (IoU), the one of the highest score.

    Args:
        result: by falling score.
    """
    if max_overlap >= 1 or len(result) < 2:
        return result
    overlap = np.asarray(coco_mask.iou(result.rles, result.rles, [0] * len(result)))
    rivals = (overlap > max_overlap) & (result.labels[:, None] == result.labels)
    kept: list[int] = []
    for row in range(len(result)):
        if not rivals[row, kept].any():
            kept.append(row)
    return result if len(kept) == len(result) else result.select(kept)
