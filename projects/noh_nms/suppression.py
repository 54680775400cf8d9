"""Non-maximum suppression for crowds: greedy, Soft-NMS, Adaptive-NMS and NOH-NMS (arXiv:2007.13376).

All are one sequential rule: the best box is kept, and the score of every box that overlaps it by more than a limit is
multiplied by a weight of the pair. They differ in the weight alone, so the weights of all pairs are made at once, and
the loop goes over kept boxes only.

The conventions are those of the published code: boxes are in pixels (an overlap's areas are widened by one pixel, its
intersection is not), and Soft-NMS leaves boxes alone that overlap by less than the threshold.
"""

from __future__ import annotations

import importlib

import numpy as np
import torch
from torch import Tensor

METHODS = ("greedy", "soft_linear", "soft_gaussian", "noh", "adaptive")
KNOWS_NEIGHBOUR = 0.3
"""A box with a higher probability of a nearby person protects it."""
IS_NEIGHBOUR = 0.6
"""A box of at least this weight is the predicted neighbour of a kept box, and protects none itself."""
DEVIATION = 0.2
"""Of the weight of NOH-NMS, in units of the kept box: its width and height, and their logarithms."""
ROWS_AT_ONCE = 1024
"""Boxes that are compared with all others at a time."""
_GONE = -1.0


def suppress(
    boxes: Tensor,
    scores: Tensor,
    method: str = "noh",
    iou_threshold: float = 0.5,
    *,
    labels: Tensor | None = None,
    nearby_boxes: Tensor | None = None,
    nearby_probs: Tensor | None = None,
    min_score: float = 0.01,
    sigma: float = 0.5,
    max_num: int = -1,
) -> tuple[Tensor, Tensor]:
    """Suppress boxes of an image.

    Args:
        boxes: (N, 4), x1, y1, x2, y2 in pixels.
        scores: (N,), at least 0. Of equal ones the first goes first.
        method: of :data:`METHODS`.
        iou_threshold: pairs that overlap by less do not touch each other.
        labels: (N,): only boxes of one class touch each other. None: all are of one class.
        nearby_boxes: (N, 4), for NOH-NMS: where each box expects its neighbour. None: as without neighbours.
        nearby_probs: (N,): how probable this neighbour is; for Adaptive-NMS the density around the box. None: 0, with
            which both methods are greedy.
        min_score: above 0; a box whose score a kept one brings below is removed.
        sigma: of the Gaussian of Soft-NMS.
        max_num: the best that are kept; -1: all.

    Returns:
        Kept boxes int64 (K,), indices by falling new score; and their new scores (K,).

    Raises:
        ValueError: the method is unknown, sizes differ, a number is not finite, or `min_score` is not above 0.
    """
    count = len(boxes)
    if nearby_probs is None or (nearby_boxes is None and method == "noh"):
        nearby_probs = scores.new_zeros(count)
    nearby_boxes = boxes if nearby_boxes is None else nearby_boxes
    labels = scores.new_zeros(count, dtype=torch.long) if labels is None else labels
    _check(boxes, scores, labels, nearby_boxes, nearby_probs, method, min_score)
    rows, columns, weights = _pairs(boxes, labels, nearby_boxes, nearby_probs, method, iou_threshold, sigma)
    first = np.searchsorted(rows, np.arange(count + 1))
    kept, new = _select(scores, first, columns, weights, min_score, protects=method == "noh")
    kept, new = (kept[:max_num], new[:max_num]) if max_num > 0 else (kept, new)
    return (
        torch.tensor(kept, dtype=torch.long, device=scores.device),
        torch.tensor(new, dtype=scores.dtype, device=scores.device),
    )


def _check(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    nearby_boxes: Tensor,
    nearby_probs: Tensor,
    method: str,
    min_score: float,
) -> None:
    if method not in METHODS:
        raise ValueError(f"unknown NMS method {method!r}; choose from {', '.join(METHODS)}")
    if not min_score > 0:
        raise ValueError(f"min_score is {min_score}, and suppressed boxes score 0; give a number above 0")
    wanted = {"boxes": (len(scores), 4), "scores": (len(scores),), "labels": (len(scores),)}
    wanted |= {"nearby_boxes": (len(scores), 4), "nearby_probs": (len(scores),)}
    given = dict(
        boxes=boxes, scores=scores, labels=labels, nearby_boxes=nearby_boxes, nearby_probs=nearby_probs
    )
    for name, tensor in given.items():
        if tuple(tensor.shape) != wanted[name]:
            raise ValueError(
                f"{name} have the shape {tuple(tensor.shape)}, but {len(scores)} boxes need {wanted[name]}"
            )
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} are not all finite numbers")


def _pairs(
    boxes: Tensor,
    labels: Tensor,
    nearby_boxes: Tensor,
    nearby_probs: Tensor,
    method: str,
    iou_threshold: float,
    sigma: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of boxes that touch: which one would be kept, ascending; the other one; and the weight of its score."""
    found = []
    for start in range(0, len(boxes), ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        meets = labels[some, None] == labels
        for low, high in ((0, 2), (1, 3)):  # compared first, as few pairs meet at all
            meets &= boxes[some, low, None] < boxes[:, high]
            meets &= boxes[some, high, None] > boxes[:, low]
        rows, columns = meets.nonzero(as_tuple=True)
        rows += start
        overlaps = overlap(boxes[rows], boxes[columns])
        touches = overlaps > iou_threshold
        rows, columns, overlaps = rows[touches], columns[touches], overlaps[touches]
        probs = nearby_probs[rows]
        if method == "soft_linear":
            weights = 1 - overlaps
        elif method == "soft_gaussian":
            weights = (-overlaps.square() / sigma).exp()
        elif method == "adaptive":
            weights = (overlaps <= probs).to(overlaps.dtype)
        elif method == "noh":
            weights = neighbour_weight(boxes[rows], nearby_boxes[rows], boxes[columns])
            weights = weights * (probs > KNOWS_NEIGHBOUR)
        else:
            weights = torch.zeros_like(overlaps)
        found.append((rows, columns, weights))
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32)
    return tuple(torch.cat(parts).cpu().numpy() for parts in zip(*found, strict=True))


def overlap(boxes: Tensor, others: Tensor) -> Tensor:
    """The published overlap of pairs of boxes (..., 4) in pixels: an IoU whose areas count the last pixel."""
    low = torch.maximum(boxes[..., :2], others[..., :2])
    inside = (torch.minimum(boxes[..., 2:], others[..., 2:]) - low).clamp(min=0).prod(-1)
    areas = [(some[..., 2:] - some[..., :2] + 1).prod(-1) for some in (boxes, others)]
    return inside / (areas[0] + areas[1] - inside)


def neighbour_weight(boxes: Tensor, nearby_boxes: Tensor, others: Tensor) -> Tensor:
    """How well other boxes fit the neighbours that boxes expect, 0..1: a Gaussian of the difference of their offsets.

    Args:
        boxes, nearby_boxes, others: (N, 4) each, x1, y1, x2, y2.
    """
    found, expected = _offset(boxes, others), _offset(boxes, nearby_boxes)
    return (-(found - expected).square().sum(-1) / (2 * DEVIATION**2)).exp()


def _offset(boxes: Tensor, others: Tensor) -> Tensor:
    """From the upper left corner of a box to that of another, in sizes of the box, and the logarithms of the sizes."""
    size, other = boxes[..., 2:] - boxes[..., :2], others[..., 2:] - others[..., :2]
    size, other = size.clamp(min=1e-6), other.clamp(min=1e-6)
    return torch.cat([(others[..., :2] - boxes[..., :2]) / size, (other / size).log()], dim=-1)


def _select(
    scores: Tensor,
    first: np.ndarray,
    columns: np.ndarray,
    weights: np.ndarray,
    min_score: float,
    protects: bool,
) -> tuple[list[int], list[float]]:
    """Keep the best box, weigh those that it touches, and so on.

    Args:
        first: (N + 1,): pairs `first[i]` to `first[i + 1]` are those of box i.
        columns, weights: of pairs.
        protects: neighbours that a kept box expects protect none themselves (NOH-NMS).
    """
    current = scores.detach().float().cpu().numpy().copy()
    expected = np.zeros(len(current), bool)
    starts = first.tolist()
    kept: list[int] = []
    new: list[float] = []
    while len(kept) < len(current):
        best = int(current.argmax())
        score = float(current[best])
        if score < 0:
            break
        kept.append(best)
        new.append(score)
        pairs = slice(starts[best], starts[best + 1])
        touched = columns[pairs]
        current[best] = _GONE
        if expected[best]:
            current[touched] = _GONE
            continue
        values = current[touched] * weights[pairs]
        values[values < min_score] = _GONE
        current[touched] = values
        if protects:
            expected[touched[weights[pairs] >= IS_NEIGHBOUR]] = True
    return kept, new


def noh_nms(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float = 0.5,
    method: str = "noh",
    min_score: float = 0.01,
    sigma: float = 0.5,
    max_num: int = -1,
) -> tuple[Tensor, Tensor]:
    """:func:`suppress` as an operator of mmcv: ``nms=dict(type="noh_nms", method=..., iou_threshold=...)``.

    ``batched_nms`` splits the classes and gives boxes and scores alone. So the methods ``"noh"`` and ``"adaptive"``
    know no neighbours here and are greedy; :class:`NohRoIHead` hands its predictions to :func:`suppress` itself.

    Returns:
        (K, 5), boxes and new scores; and indices (K,).
    """
    kept, new = suppress(
        boxes, scores, method, iou_threshold, min_score=min_score, sigma=sigma, max_num=max_num
    )
    return torch.cat([boxes[kept], new[:, None]], dim=1), kept


# mmcv has no registry of NMS: batched_nms evaluates the name of the type among the names of its own module
importlib.import_module("mmcv.ops.nms").noh_nms = noh_nms
