"""Mask losses of matched queries at sampled points."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from omgseg.models.losses.points import sample_at, uncertain_points


class PointMaskLoss:
    """Binary cross-entropy and dice at uncertain points, for the matched queries of all layers at once.

    Args:
        num_points: points a frame.
        oversample_ratio, importance_ratio: see :func:`uncertain_points`.
    """

    def __init__(
        self, num_points: int = 12544, oversample_ratio: float = 3.0, importance_ratio: float = 0.75
    ) -> None:
        self.num_points = num_points
        self.oversample_ratio = oversample_ratio
        self.importance_ratio = importance_ratio

    def __call__(
        self, mask_features: Tensor, mask_embeddings: Tensor, masks: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Losses of one clip.

        Args:
            mask_features: (D, T, h, w).
            mask_embeddings: (L, N, D), of the query matched to each entity in each layer.
            masks: bool (N, T, H, W).

        Returns:
            Cross-entropy (mean over points) and dice loss, both (L, N).
        """
        layers, entities, _ = mask_embeddings.shape
        frames = mask_features.shape[1]
        logits = torch.einsum("lnd,dthw->lnthw", mask_embeddings, mask_features).flatten(0, 2).float()
        points = uncertain_points(logits, self.num_points, self.oversample_ratio, self.importance_ratio)
        predicted = sample_at(logits.unsqueeze(1), points).view(layers, entities, -1)

        maps = masks.flatten(0, 1).unsqueeze(1).float()
        of_layers = points.view(layers, entities * frames, -1, 2)
        expected = torch.stack([sample_at(maps, of_layer) for of_layer in of_layers])
        return mask_losses(predicted, expected.view_as(predicted))


def mask_losses(predicted: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy (mean) and dice loss (smoothed by 1) over the last dimension.

    Args:
        predicted: (..., P), logits.
        expected: (..., P), in 0..1.
    """
    entropy = F.binary_cross_entropy_with_logits(predicted, expected, reduction="none").mean(-1)
    inside = predicted.sigmoid()
    overlap = 2 * (inside * expected).sum(-1) + 1
    return entropy, 1 - overlap / (inside.sum(-1) + expected.sum(-1) + 1)
