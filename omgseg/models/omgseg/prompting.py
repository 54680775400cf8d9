"""What users say of an object, and what the decoder answers, as one mask.

Models of single prompts answer each click by itself, and the answers are combined by a rule. Models that have learned
corrections answer all prompts of an object together, as a group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from torch import Tensor

from omgseg.models.geometry import interpolate, mask_boxes
from omgseg.models.mask_queries.refine import refine_mask
from omgseg.models.omgseg.prompt_encoder import PromptGroups
from omgseg.protocols import Prompts

Click = tuple[float, float, bool]
"""x, y, and whether it is on the object."""


@dataclass(frozen=True)
class Answered:
    """:attr:`MaskSet.carry`: the scores of the masks, how many clicks on each object they answer, and the boxes (N, 4)
    that they began with."""

    scores: list[float]
    clicks: list[int]
    boxes: np.ndarray | None


# each click by itself


def clicks_of(prompts: Prompts) -> list[list[Click]]:
    """The clicks on each object, without padding."""
    if prompts.points is None:
        return [[] for _ in range(len(prompts))]
    labels = np.ones(prompts.points.shape[:2], np.int8) if prompts.labels is None else prompts.labels
    return [
        [(float(x), float(y), label == 1) for (x, y), label in zip(*rows, strict=True) if label >= 0]
        for rows in zip(prompts.points, labels, strict=True)
    ]


def first_positive_first(clicks: list[Click]) -> list[Click]:
    """The order in which clicks count where nothing else shows the object."""
    first = next((number for number, click in enumerate(clicks) if click[2]), 0)
    return [*clicks[first : first + 1], *clicks[:first], *clicks[first + 1 :]]


def begun(prompts: Prompts, row: int, of_boxes: Iterator[np.ndarray]) -> np.ndarray | None:
    """Mask logits (H, W) with which an object begins before its clicks; None if nothing shows it yet."""
    if prompts.masks is not None:
        return np.where(prompts.masks[row], np.float32(np.inf), np.float32(-np.inf))
    if prompts.boxes is None:
        return None
    logits = next(of_boxes).copy()
    logits[_beyond(prompts.boxes[row], logits.shape)] = -np.inf
    return logits


def combine(
    logits: np.ndarray | None,
    clicks: Sequence[tuple[float, float, bool, np.ndarray]],
    size: tuple[int, int],
) -> tuple[np.ndarray, float]:
    """The mask (H, W) of an object and its score.

    Args:
        logits: with which it begins; None: the first click shows it.
        clicks: x, y, whether the object is there, and the mask logits of the click alone.
    """
    mask = None if logits is None else logits > 0
    for x, y, positive, found in clicks:
        if positive:
            logits = found if logits is None else np.maximum(logits, found)
        if mask is None:
            mask = found > 0 if positive else np.zeros(size, bool)
        else:
            mask = refine_mask(mask, found > 0, (int(x), int(y)), positive)
    return (np.zeros(size, bool), 0.0) if mask is None else (mask, _score(mask, logits))


# all prompts of an object together


@dataclass(frozen=True)
class Group:
    """The prompts of one object, in pixels of the original image.

    Attributes:
        point, box: the first one; one of the two is None.
        clicks: further ones.
    """

    point: tuple[float, float] | None
    box: np.ndarray | None
    clicks: list[Click]


def group_of(clicks: list[Click], box: np.ndarray | None, mask: np.ndarray | None) -> Group | None:
    """The group of an object; None if nothing shows it.

    It begins with the user's box, its first positive click or, where all clicks are negative, the box of its mask.

    Args:
        clicks: all of them, in their order.
        box: float32 (4,), or None.
        mask: bool (H, W), so far, or None.
    """
    if box is not None:
        return Group(None, box, clicks)
    first, *others = first_positive_first(clicks) or [None]
    if first is not None and first[2]:
        return Group(first[:2], None, others)
    if mask is None or not mask.any():
        return None
    x1, y1, x2, y2 = mask_boxes(torch.from_numpy(mask[None]))[0].tolist()
    return Group(None, np.array([x1, y1, x2 + 1, y2 + 1], np.float32), clicks)


def to_prompts(
    groups: Sequence[Group], masks: Sequence[np.ndarray] | None, sample: DetDataSample, features: Tensor
) -> PromptGroups:
    """Groups of N objects of one image as the model takes them (B = 1).

    Args:
        groups: N.
        masks: N, bool (H, W), so far; None: they are not shown to the model.
        sample: of the image, with the sizes on the way to the model.
        features: mask features (1, D, h, w).
    """
    most = max(len(group.clicks) for group in groups)
    points, boxes = np.zeros((len(groups), 2), np.float32), np.zeros((len(groups), 4), np.float32)
    clicks = np.zeros((len(groups), most, 2), np.float32)
    labels = np.full((len(groups), most), -1)
    for row, group in enumerate(groups):
        if group.box is None:
            points[row] = group.point
        else:
            boxes[row] = group.box
        for number, (x, y, positive) in enumerate(group.clicks):
            clicks[row, number], labels[row, number] = (x, y), positive
    factors = np.asarray(sample.scale_factor, np.float32)
    scaled = points * factors, boxes * np.tile(factors, 2), clicks * factors
    points, boxes, clicks = (torch.from_numpy(array)[None].to(features.device) for array in scaled)
    is_point = torch.tensor([[group.box is None for group in groups]], device=features.device)
    return PromptGroups(
        points,
        boxes,
        is_point,
        clicks,
        torch.from_numpy(labels)[None].to(features.device),
        masks=None if masks is None else reduce_masks(masks, sample, features)[None],
    )


def reduce_masks(masks: Sequence[np.ndarray], sample: DetDataSample, features: Tensor) -> Tensor:
    """Masks bool (H, W) of the original image at the size of features (.., h, w): bool (N, h, w)."""
    height, width = sample.batch_input_shape[:2]
    reduced = []
    for mask in masks:  # one by one: only the small ones stay
        pixels = torch.from_numpy(np.ascontiguousarray(mask))[None].to(features.device).float()
        image = interpolate(pixels, tuple(sample.img_shape[:2]))
        padded = F.pad(image, (0, width - image.shape[-1], 0, height - image.shape[-2]))
        reduced.append(F.adaptive_avg_pool2d(padded, features.shape[-2:]) >= 0.5)
    return torch.cat(reduced)


def settle(logits: np.ndarray, clicks: Sequence[Click], box: np.ndarray | None) -> tuple[np.ndarray, float]:
    """The mask (H, W) of an object and its score.

    A click counts also where the model disagrees: the disc around it, up to the mask's edge, changes.

    Args:
        logits: float32 (H, W), the answer to all prompts.
        clicks: all of them, in their order.
        box: (4,), the user's, or None.
    """
    mask = logits > 0
    for x, y, positive in clicks:
        mask = refine_mask(mask, mask, (int(x), int(y)), positive)
    if box is not None and not any(positive and _is_outside(x, y, box) for x, y, positive in clicks):
        mask = mask & ~_beyond(box, mask.shape)
    return mask, _score(mask, logits)


def _is_outside(x: float, y: float, box: np.ndarray) -> bool:
    x1, y1, x2, y2 = box
    return not (x1 <= x <= x2 and y1 <= y <= y2)


def _beyond(box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The pixels, bool (H, W), that a box (4,) does not touch."""
    x1, y1, x2, y2 = box
    rows, columns = np.ogrid[: size[0], : size[1]]
    return (columns + 1 <= x1) | (columns >= x2) | (rows + 1 <= y1) | (rows >= y2)


def _score(mask: np.ndarray, logits: np.ndarray) -> float:
    """Mean probability inside a mask; 0 for an empty one. The place of a click is in it in any case, also where no
    prompt is sure of it."""
    return float(torch.from_numpy(logits[mask]).sigmoid().mean()) if mask.any() else 0.0
