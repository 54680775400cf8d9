"""The set criterion: matching, then losses on every layer (deep supervision)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmdet.utils import reduce_mean
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from omgseg.models.decoder import DecoderOutput
from omgseg.models.losses.mask_loss import PointMaskLoss
from omgseg.models.losses.matching import UNMATCHED, HungarianMatcher
from omgseg.models.losses.targets import ClipTargets
from omgseg.registry import MODELS


@MODELS.register_module()
class SetCriterion:
    """Class, mask, dice and objectness losses of a batch of clips.

    Normalisers are averaged over the processes, so the gradient does not depend on how a batch is shared out.

    Args:
        class_weight, mask_weight, dice_weight, objectness_weight: factors of the losses; the first three are also
            the factors of the matching costs.
        background_weight: weight of the background class in the cross-entropy.
        num_points, oversample_ratio, importance_ratio: see :class:`PointMaskLoss`.
    """

    def __init__(
        self,
        class_weight: float = 2.0,
        mask_weight: float = 5.0,
        dice_weight: float = 5.0,
        objectness_weight: float = 2.0,
        background_weight: float = 0.1,
        num_points: int = 12544,
        oversample_ratio: float = 3.0,
        importance_ratio: float = 0.75,
    ) -> None:
        self.class_weight = class_weight
        self.mask_weight = mask_weight
        self.dice_weight = dice_weight
        self.objectness_weight = objectness_weight
        self.background_weight = background_weight
        self.matcher = HungarianMatcher(num_points, class_weight, mask_weight, dice_weight)
        self.mask_loss = PointMaskLoss(num_points, oversample_ratio, importance_ratio)

    def entity_losses(self, outputs: list[DecoderOutput], targets: list[ClipTargets]) -> dict[str, Tensor]:
        """Losses of learned queries, which are matched to the entities.

        Args:
            outputs: one a layer, with class logits.
            targets: one a clip.

        Returns:
            Named scalars; ``d0.`` .. mark the layers before the last.
        """
        class_logits = torch.stack([output.class_logits for output in outputs], dim=1)
        embeddings = torch.stack([output.mask_embeddings for output in outputs], dim=1)
        features = outputs[0].mask_features
        assigned = [
            self.matcher(features[index], embeddings[index], class_logits[index], target.labels, target.masks)
            for index, target in enumerate(targets)
        ]
        losses = self._mask_losses(features, embeddings, targets, assigned)
        objectness = torch.stack([output.objectness_logits for output in outputs], dim=1)
        losses["loss_cls"] = self._class_loss(class_logits, targets, assigned)
        losses["loss_objectness"] = self._objectness_loss(objectness, targets, assigned)
        return _name_layers(losses)

    def prompt_losses(self, outputs: list[DecoderOutput], targets: list[ClipTargets]) -> dict[str, Tensor]:
        """Losses of prompt queries: prompt i asks for entity i, and has no class.

        The clips may have different numbers of prompts: queries beyond a clip's entities are padding.
        """
        embeddings = torch.stack([output.mask_embeddings for output in outputs], dim=1)
        assigned = [
            torch.arange(len(target.labels), device=embeddings.device).expand(len(outputs), -1)
            for target in targets
        ]
        return _name_layers(self._mask_losses(outputs[0].mask_features, embeddings, targets, assigned))

    def _mask_losses(
        self, features: Tensor, embeddings: Tensor, targets: list[ClipTargets], assigned: list[Tensor]
    ) -> dict[str, Tensor]:
        """Weighted mask and dice losses, (L,) each."""
        # keeps the graph the same for a batch without any entity
        entropy = dice = embeddings.flatten(2).sum(-1).sum(0) * 0
        for feature, embedding, target, queries in zip(features, embeddings, targets, assigned, strict=True):
            if not len(target.labels):
                continue
            matched = queries != UNMATCHED
            rows = queries.clamp(min=0).unsqueeze(-1).expand(-1, -1, embedding.shape[-1])
            clip_entropy, clip_dice = self.mask_loss(feature, embedding.gather(1, rows), target.masks)
            entropy = entropy + (clip_entropy * matched).sum(1)
            dice = dice + (clip_dice * matched).sum(1)
        count = _average_count(assigned, embeddings)
        return {"loss_mask": self.mask_weight * entropy / count, "loss_dice": self.dice_weight * dice / count}

    def _class_loss(self, logits: Tensor, targets: list[ClipTargets], assigned: list[Tensor]) -> Tensor:
        """Weighted cross-entropy (L,) over all queries of logits (B, L, Q, C + 1); no class, no loss."""
        background = logits.shape[-1] - 1
        labels = torch.full(logits.shape[:3], background, device=logits.device)
        for row, target, queries in zip(labels, targets, assigned, strict=True):
            _scatter(row, queries, target.labels.expand(len(queries), -1))
        weight = logits.new_ones(background + 1)
        weight[background] = self.background_weight
        has_class = labels >= 0
        labels = labels.clamp(min=0)
        loss = F.cross_entropy(logits.flatten(0, 2), labels.flatten(), reduction="none").view_as(labels)
        weights = weight[labels] * has_class
        total = reduce_mean(weights.sum((0, 2))).clamp(min=torch.finfo(weight.dtype).eps)
        return self.class_weight * (loss * weights).sum((0, 2)) / total

    def _objectness_loss(self, logits: Tensor, targets: list[ClipTargets], assigned: list[Tensor]) -> Tensor:
        """Focal loss (L,) of logits (B, L, Q): 1 for matched queries, 0 for the others."""
        expected = torch.zeros_like(logits)
        for row, queries in zip(expected, assigned, strict=True):
            _scatter(row, queries, row.new_ones(queries.shape))
        loss = sigmoid_focal_loss(logits, expected, alpha=0.25, gamma=2.0)
        return self.objectness_weight * loss.sum((0, 2)) / _average_count(assigned, logits)


def _scatter(row: Tensor, queries: Tensor, values: Tensor) -> None:
    """``row[layer, queries[layer, n]] = values[layer, n]`` for the matched entities; row is (L, Q)."""
    layer, entity = torch.nonzero(queries != UNMATCHED, as_tuple=True)
    row[layer, queries[layer, entity]] = values[layer, entity]


def _average_count(assigned: list[Tensor], like: Tensor) -> Tensor:
    """Matched entities of the batch, averaged over the processes, at least 1."""
    count = sum(int((queries[0] != UNMATCHED).sum()) for queries in assigned if queries.numel())
    return reduce_mean(like.new_tensor(float(count), dtype=torch.float32)).clamp(min=1)


def _name_layers(losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """mmdet's names: the last layer's losses plain, the others with ``d<layer>.`` before."""
    return {
        name if layer == len(values) - 1 else f"d{layer}.{name}": value
        for name, values in losses.items()
        for layer, value in enumerate(values)
    }
