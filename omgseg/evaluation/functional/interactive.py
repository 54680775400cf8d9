"""Interactive segmentation: where a user would click next, and the IoU of one mask per prompt.

Two protocols: the click that corrects the largest error (:func:`next_click`), and that of the small SAMs, which
works in the padded square that a SAM sees (:class:`ModelFrame`, :func:`centre_of`, and the corrections of
:mod:`omgseg.structures.prompts`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch.nn import functional as F

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


NOC_THRESHOLDS = (85, 90)


def number_of_clicks(intersection: np.ndarray, union: np.ndarray, percent: int) -> float:
    """NoC: the mean number of clicks after which the IoU of an object reaches a threshold (Xu et al., Deep Interactive
    Object Selection, CVPR 2016). An object that never reaches it counts with all K clicks.

    Args:
        intersection, union: int64 (N, K), after 1..K clicks; at least one object.
        percent: the threshold.
    """
    reached = 100 * intersection >= percent * union  # in integers: a quotient could round to either side
    return float(np.where(reached.any(1), reached.argmax(1) + 1, reached.shape[1]).mean())


def mean_iou(intersection: np.ndarray, union: np.ndarray) -> float:
    """Mean IoU of all pairs, a fraction; pairs of two empty masks do not count. NaN without any other pair.

    Args:
        intersection, union: int64 (N,).
    """
    counted = union > 0
    return float((intersection[counted] / union[counted]).mean()) if counted.any() else float("nan")


SHARPNESS = 0.35
"""Of the kernel ``exp(-distance / SHARPNESS)`` of the distance transform."""


def cascaded_distance(mask: np.ndarray) -> np.ndarray:
    """Distance of the pixels of a mask to what is not in it, as the published evaluation has it.

    A cascade of 3x3 filters (Pham et al., "A differentiable convolutional distance transform layer", 2021, as
    kornia 0.7.1 has it). Its i-th pass reaches the pixels at the chessboard distance i + 1 and gives them
    ``(3 i) // 2`` plus the negative logarithm of what the filter collects from the pixels reached before, so that one
    look at the chessboard distances replaces all passes.

    Args:
        mask: bool (H, W); what lies beyond the border is not in it.

    Returns:
        float32 (H, W), 0 outside of the mask.
    """
    steps = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_C, 3).astype(np.int32)
    inner = steps[1:-1, 1:-1]
    height, width = inner.shape
    collected = np.zeros(inner.shape, np.float32)
    for offsets, distance in (
        (((0, 1), (1, 0), (1, 2), (2, 1)), 1.0),
        (((0, 0), (0, 2), (2, 0), (2, 2)), 2**0.5),
    ):
        reached = np.zeros(inner.shape, np.float32)
        for top, left in offsets:  # counted first: equal surroundings, turned any way, give equal values
            reached += steps[top : top + height, left : left + width] < inner
        collected += reached * np.float32(np.exp(-distance / SHARPNESS))
    inside = inner > 0
    distances = np.zeros(inner.shape, np.float32)
    distances[inside] = 3 * (inner[inside] - 1) // 2 - SHARPNESS * np.log(collected[inside])
    return distances


def centre_of(mask: np.ndarray) -> tuple[int, int]:
    """(x, y) of the pixel of a mask, bool (H, W), that is farthest from its edge by :func:`cascaded_distance`.

    The first one in row order; not the centre of mass. (0, 0) for an empty mask.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return 0, 0
    top, left = int(rows[0]), int(columns[0])
    distances = cascaded_distance(mask[top : rows[-1] + 1, left : columns[-1] + 1])
    y, x = np.unravel_index(distances.argmax(), distances.shape)
    return int(x) + left, int(y) + top


CANDIDATE_RULES = ("score", "area", "oracle")


def select_candidates(rule: str, scores: np.ndarray, areas: np.ndarray, ious: np.ndarray) -> np.ndarray:
    """Which of C masks of each prompt is taken, int64 (N,).

    Args:
        rule: "score", the best prediction of the IoU; "area", the largest mask; "oracle", the truly best one.
        scores: predicted IoU (N, C).
        areas: pixels (N, C).
        ious: with the ground truth (N, C); NaN where there is nothing.

    Raises:
        ValueError: there is no such rule.
    """
    if rule not in CANDIDATE_RULES:
        raise ValueError(f"rule {rule!r} must be one of {', '.join(CANDIDATE_RULES)}")
    values = {"score": scores, "area": areas, "oracle": np.nan_to_num(ious, nan=-1.0)}[rule]
    return values.argmax(axis=1)


REDUCTION = 4
"""Side of a model frame over that of the masks in which errors are looked for, as SAM's decoder has it."""


@dataclass(frozen=True)
class ModelFrame:
    """The padded square in which the published evaluation of the small SAMs takes its measures, whatever the model.

    Attributes:
        original: (height, width) of the image.
        side: of the square; the image's longer side gets this length.
    """

    original: tuple[int, int]
    side: int

    @property
    def image(self) -> tuple[int, int]:
        """(height, width) of the image in the upper left corner."""
        factor = self.side / max(self.original)
        return tuple(int(length * factor + 0.5) for length in self.original)

    def place(self, masks: np.ndarray) -> np.ndarray:
        """Masks bool (N, H, W) of the image in the frame, nearest, zero padded: bool (N, side, side)."""
        placed = np.zeros((len(masks), self.side, self.side), bool)
        if len(masks):
            pixels = torch.from_numpy(np.ascontiguousarray(masks)).view(torch.uint8)
            resized = F.interpolate(pixels.unsqueeze(1), self.image, mode="nearest").squeeze(1)
            placed[:, : self.image[0], : self.image[1]] = resized.bool().numpy()
        return placed

    def give_back(self, placed: np.ndarray) -> np.ndarray:
        """A frame's masks at the original size, bilinear, everything above 0: bool (N, H, W).

        The published evaluation compares with these; they are slightly larger than the annotations.
        """
        return _bilinear_above_zero(placed[:, : self.image[0], : self.image[1]], self.original)

    def reduce(self, placed: np.ndarray) -> np.ndarray:
        """A frame's masks at the size in which errors are looked for, everything above 0."""
        return _bilinear_above_zero(placed, (self.side // REDUCTION,) * 2)

    def reduce_answer(self, masks: np.ndarray) -> np.ndarray:
        """Answers bool (N, H, W) of the image at the centres of the pixels of :meth:`reduce`."""
        small = np.zeros((len(masks), *(self.side // REDUCTION,) * 2), bool)
        middles = (np.arange(small.shape[-1]) + 0.5) * REDUCTION
        y, x = (
            (middles[middles < length] * full / length).astype(int)
            for length, full in zip(self.image, self.original, strict=True)
        )
        small[:, : len(y), : len(x)] = masks[:, y[:, None], x]
        return small

    @property
    def valid(self) -> np.ndarray:
        """How much of each pixel of :meth:`reduce` is image, float32: at the edge a fraction, as it is interpolated."""
        inside = torch.zeros(1, 1, self.side, self.side)
        inside[..., : self.image[0], : self.image[1]] = 1
        small = F.interpolate(inside, (self.side // REDUCTION,) * 2, mode="bilinear", align_corners=False)
        return small[0, 0].numpy()

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2) of the frame in pixels of the image, float32."""
        factors = self.original[1] / self.image[1], self.original[0] / self.image[0]
        return (points * np.array(factors)).astype(np.float32)


def _bilinear_above_zero(masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if not len(masks):
        return np.zeros((0, *size), bool)
    pixels = torch.from_numpy(np.ascontiguousarray(masks)).float().unsqueeze(1)
    resized = F.interpolate(pixels, size, mode="bilinear", align_corners=False)
    return (resized > 0).squeeze(1).numpy()
