"""Panoptic read-out: every pixel to the query of the best score x mask probability (MaskFormer, section 3.4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from mmdet.evaluation.functional import INSTANCE_OFFSET
from torch import Tensor

from omgseg.models.readout.geometry import MaskGeometry
from omgseg.models.readout.winners import mask_areas, winning_queries


@dataclass(frozen=True)
class PanopticConfig:
    """Thresholds, in mmdet's words.

    Attributes:
        object_mask_thr: queries of a lower score are left out.
        iou_thr: a segment survives when it keeps this share of its own mask's area.
        filter_low_score: a segment does not reach beyond its own mask.
    """

    object_mask_thr: float = 0.0
    iou_thr: float = 0.8
    filter_low_score: bool = True


def select_queries(class_probs: Tensor, config: PanopticConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Queries that name a class.

    Args:
        class_probs: (Q, C + 1), the background last.

    Returns:
        Indices, scores and labels of the selected queries, (K,) each.
    """
    scores, labels = class_probs.max(-1)
    keep = (labels != class_probs.shape[-1] - 1) & (scores > config.object_mask_thr)
    indices = keep.nonzero().squeeze(-1)
    return indices, scores[indices], labels[indices]


def read_panoptic(
    frames: Sequence[Tensor],
    scores: Tensor,
    labels: Tensor,
    num_things: int,
    num_classes: int,
    geometry: MaskGeometry,
    config: PanopticConfig,
    number: Callable[[Tensor], Tensor] | None = None,
) -> tuple[list[Tensor], dict[int, float]]:
    """Panoptic maps of the frames of a clip; an image is a clip of one frame.

    A query is one segment of the whole clip: it survives or not as a tube, and its instance number is constant.

    Args:
        frames: mask logits (K, h, w) of the selected queries, one a frame.
        scores, labels: (K,).
        num_things: labels below are things.
        num_classes: the value of void.
        geometry: sizes.
        config: thresholds.
        number: instance numbers, from 1, of the things that survive, given as rows of the queries. Default: they are
            counted.

    Returns:
        int32 (H, W) for each frame in mmdet's encoding: ``label + 1000 * instance``, instance 0 for stuff (int64 where
        that exceeds int32); and the score of each value of the maps: the highest of its queries.
    """
    if num_classes >= INSTANCE_OFFSET:
        raise ValueError(
            f"panoptic maps hold fewer than {INSTANCE_OFFSET} classes (mmdet's encoding), the vocabulary has"
            f" {num_classes}: use instance or semantic read-out, or a smaller vocabulary"
        )
    if not len(scores):
        empty = torch.full(geometry.original, num_classes, dtype=torch.int32, device=scores.device)
        return [empty.clone() for _ in frames], {}
    winners = [winning_queries(logits, scores, geometry) for logits in frames]
    won = sum(torch.bincount(rows.flatten(), minlength=len(scores)) for rows, _ in winners)
    winning = won.nonzero().squeeze(1)
    own = torch.zeros_like(won)
    for logits in frames:
        own[winning] += mask_areas(logits[winning], geometry)
    values = _segment_values(won, own, labels, num_things, num_classes, config.iou_thr, number)
    maps = []
    for rows, inside in winners:
        segments = values[rows.long()]
        if config.filter_low_score:
            segments = segments.where(inside, segments.new_tensor(num_classes))
        maps.append(segments)
    return maps, _segment_scores(values, scores, num_classes)


def _segment_values(
    won: Tensor,
    own: Tensor,
    labels: Tensor,
    num_things: int,
    num_classes: int,
    iou_thr: float,
    number: Callable[[Tensor], Tensor] | None,
) -> Tensor:
    """The map value, int32 or int64 (K,), of each query: its segment where it survives, else void."""
    survives = (won > 0) & (own > 0) & (won / own.clamp(min=1) >= iou_thr)
    things = (survives & (labels < num_things)).nonzero().squeeze(1)
    instance = torch.zeros_like(labels)
    instance[things] = (
        torch.arange(1, len(things) + 1, device=labels.device) if number is None else number(things)
    )
    value = torch.where(survives, labels + instance * INSTANCE_OFFSET, num_classes)
    # the numbers of a stream without an end outgrow int32 when they are encoded
    return value if value.max() > torch.iinfo(torch.int32).max else value.int()


def _segment_scores(values: Tensor, scores: Tensor, num_classes: int) -> dict[int, float]:
    """The score of each map value but void; several queries may share one of stuff."""
    best: dict[int, float] = {}
    for value, score in zip(values.tolist(), scores.tolist(), strict=True):
        if value != num_classes:
            best[value] = max(score, best.get(value, 0.0))
    return best
