"""Hungarian matching of queries and entities (DETR; costs of Mask2Former)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from omgseg.models.losses.points import sample_at

UNMATCHED = -1


class HungarianMatcher:
    """Assigns one query to each entity at the least total cost, for all layers of a clip at once.

    Masks are compared at random points, drawn once a clip: the features are sampled there and multiplied with each
    layer's mask embeddings, which equals sampling each layer's masks.

    Args:
        num_points: points a frame.
        class_weight, mask_weight, dice_weight: factors of the three costs.
    """

    def __init__(
        self,
        num_points: int = 12544,
        class_weight: float = 2.0,
        mask_weight: float = 5.0,
        dice_weight: float = 5.0,
    ) -> None:
        self.num_points = num_points
        self.class_weight = class_weight
        self.mask_weight = mask_weight
        self.dice_weight = dice_weight

    @torch.no_grad()
    def __call__(
        self,
        mask_features: Tensor,
        mask_embeddings: Tensor,
        class_logits: Tensor,
        labels: Tensor,
        masks: Tensor,
    ) -> Tensor:
        """Match one clip.

        Args:
            mask_features: (D, T, h, w).
            mask_embeddings: (L, Q, D), L layers.
            class_logits: (L, Q, C + 1).
            labels: int64 (N,); entities of label -1 have no class cost.
            masks: bool (N, T, H, W).

        Returns:
            int64 (L, N): the query of each entity, ``UNMATCHED`` where there are more entities than queries.
        """
        frames = mask_features.shape[1]
        points = torch.rand(frames, self.num_points, 2, device=mask_features.device)
        features = sample_at(mask_features.transpose(0, 1).float(), points).transpose(0, 1).flatten(1)
        targets = sample_at(masks.transpose(0, 1).float(), points).transpose(0, 1).flatten(1)
        with torch.autocast(
            features.device.type, enabled=False
        ):  # a product of float32 would become bfloat16
            costs = [
                self.cost(embedding.float() @ features, logits.float(), labels, targets)
                for embedding, logits in zip(mask_embeddings, class_logits, strict=True)
            ]
        assigned = [_assign(cost) for cost in torch.stack(costs).cpu().numpy()]
        return torch.from_numpy(np.stack(assigned)).to(labels.device)

    def cost(self, point_logits: Tensor, class_logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        """Cost (Q, N) in float32: negative class probability, binary cross-entropy and dice at the points.

        Args:
            point_logits: (Q, P).
            class_logits: (Q, C + 1).
            labels: (N,).
            targets: (N, P) in 0..1.
        """
        probability = class_logits.softmax(-1)[:, labels.clamp(min=0)]
        class_cost = -probability * (labels >= 0)
        # cross-entropy is softplus(x) - x * y
        entropy = F.softplus(point_logits).sum(-1, keepdim=True) - point_logits @ targets.t()
        inside = point_logits.sigmoid()
        overlap = 2 * (inside @ targets.t()) + 1
        dice = 1 - overlap / (inside.sum(-1, keepdim=True) + targets.sum(-1) + 1)
        cost = (
            self.class_weight * class_cost
            + self.mask_weight * entropy / targets.shape[-1]
            + self.dice_weight * dice
        )
        # a diverged model still gets a matching, so that its non-finite loss is reported with the file names
        return cost.nan_to_num(nan=1e6, posinf=1e6, neginf=-1e6)


def _assign(cost: np.ndarray) -> np.ndarray:
    queries, entities = linear_sum_assignment(cost)
    assigned = np.full(cost.shape[1], UNMATCHED, dtype=np.int64)
    assigned[entities] = queries
    return assigned
