"""Instance read-out: the best (query, class) pairs; a tube carries its identity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from omgseg.models.readout.geometry import MaskGeometry


@dataclass(frozen=True)
class InstanceCandidates:
    """(query, class) pairs, (N,) each: row of the query, label, class probability."""

    queries: Tensor
    labels: Tensor
    scores: Tensor


def select_pairs(
    class_probs: Tensor, num_things: int, max_per_image: int, min_score: float = 0.0
) -> InstanceCandidates:
    """The best pairs over all classes, of which the things are kept.

    Args:
        class_probs: (Q, C + 1), the background last.
        num_things: labels below are things.
        max_per_image: how many pairs are considered.
        min_score: pairs of a lower probability are left out.
    """
    num_classes = class_probs.shape[-1] - 1
    flat = class_probs[:, :-1].flatten()
    scores, index = flat.topk(min(max_per_image, len(flat)))
    labels = index % num_classes
    kept = (labels < num_things) & (scores >= min_score)
    return InstanceCandidates((index // num_classes)[kept], labels[kept], scores[kept])


def mask_confidence(frames: Sequence[Tensor], geometry: MaskGeometry) -> tuple[Tensor, list[Tensor]]:
    """Binary masks at the original size and the mean probability inside them, over all frames.

    Args:
        frames: mask logits (K, h, w), one a frame.
        geometry: sizes.

    Returns:
        The confidence (K,), and bool masks (K, H, W) for each frame.
    """
    count = len(frames[0])
    inside, area = frames[0].new_zeros(count), frames[0].new_zeros(count)
    masks = []
    for logits in frames:
        binary = torch.empty(count, *geometry.original, dtype=torch.bool, device=logits.device)
        for rows, resized in geometry.resized_chunks(logits):
            binary[rows] = resized > 0
            inside[rows] += (resized.sigmoid() * binary[rows]).flatten(1).sum(1)
            area[rows] += binary[rows].flatten(1).sum(1)
        masks.append(binary)
    return inside / (area + 1e-6), masks
