"""Interactive segmentation: where somebody would click next, and the IoU of one mask per prompt."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from omgseg.structures.prompts import depth_map


class Click(NamedTuple):
    """A click: column and row of its pixel, and whether it says "this belongs to the object" or the opposite."""

    x: int
    y: int
    positive: bool


def next_click(ground_truth: np.ndarray, predicted: np.ndarray) -> Click | None:
    """The click that corrects the largest error: the point farthest from the edge of what is missing, or of what is
    too much, whichever is deeper (the usual protocol: Sofiiuk et al., RITM, arXiv:2102.06583, section 4).

    Args:
        ground_truth, predicted: bool (H, W).

    Returns:
        None where the masks are equal.
    """
    ground_truth, predicted = np.asarray(ground_truth, bool), np.asarray(predicted, bool)
    missing, excess = depth_map(ground_truth & ~predicted), depth_map(predicted & ~ground_truth)
    positive = missing.max(initial=0) >= excess.max(initial=0)
    depth = missing if positive else excess
    if not depth.any():
        return None
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return Click(int(x), int(y), bool(positive))


def mask_overlaps(ground_truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intersections and unions of paired masks, bool (N, H, W) each -> int64 (N,), int64 (N,), pixels.

    Raises:
        ValueError: the shapes differ.
    """
    if ground_truth.shape != predicted.shape:
        raise ValueError(
            f"predicted masks {predicted.shape} and ground-truth masks {ground_truth.shape} differ "
            "(instances, height, width); one mask per prompt at the original image size is needed"
        )
    ground_truth, predicted = ground_truth.astype(bool), predicted.astype(bool)
    intersection = np.count_nonzero(ground_truth & predicted, axis=(1, 2))
    union = np.count_nonzero(ground_truth | predicted, axis=(1, 2))
    return intersection.astype(np.int64), union.astype(np.int64)


def summarize_overlaps(intersection: np.ndarray, union: np.ndarray) -> dict[str, np.ndarray | float]:
    """Scores of all pairs; all fractions.

    Args:
        intersection, union: int64 (N,).

    Returns:
        ``IoU`` (N,), 1 where both masks are empty; ``mIoU``, its mean; ``IoU@50`` and ``IoU@75``, the shares
        of pairs at or above; ``oIoU``, summed intersections over summed unions. NaN without any pair.
    """
    iou = np.where(union > 0, intersection / np.maximum(union, 1), 1.0)
    if not len(iou):
        return {"IoU": iou, **dict.fromkeys(("mIoU", "IoU@50", "IoU@75", "oIoU"), float("nan"))}
    total = int(union.sum())
    return {
        "IoU": iou,
        "mIoU": float(iou.mean()),
        # in integers: a quotient could round to either side of the threshold
        "IoU@50": float((2 * intersection >= union).mean()),
        "IoU@75": float((4 * intersection >= 3 * union).mean()),
        "oIoU": float(intersection.sum() / total) if total else 1.0,
    }
