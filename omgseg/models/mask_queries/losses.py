"""Losses of mask-query models: targets, points, matching, and the set criterion over all layers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample, TrackDataSample
from mmdet.utils import reduce_mean
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from omgseg.models.geometry import frames_of, masks_of
from omgseg.models.mask_queries.output import DecoderOutput
from omgseg.registry import MODELS


@dataclass(frozen=True)
class ClipTargets:
    """Entities of one clip.

    Attributes:
        labels: int64 (N,); ``NO_CLASS`` (-1) where an entity has no class.
        masks: bool (N, T, H, W) at the size of the padded input; empty in frames without the entity.
        weights: float (N,), factors of the entities' losses; None: 1.
        ignored: bool (T, H, W), pixels of which nothing is known: no loss looks at them; None: there are none.
    """

    labels: Tensor
    masks: Tensor
    weights: Tensor | None = None
    ignored: Tensor | None = None


def clip_targets(sample: DetDataSample | TrackDataSample, size: tuple[int, int]) -> ClipTargets:
    """Stack the frames' masks, padded at the right and the bottom to `size` (height, width).

    ``gt_instances.scores``, if there are any, become weights, and ``ignored_instances.masks`` the ignored pixels.

    Raises:
        ValueError: the frames of a clip do not list the same entities, or a mask has another size than its frame.
    """
    frames = frames_of(sample)
    instances = [frame.gt_instances for frame in frames]
    labels = instances[0].labels
    masks = []
    for frame, entity in zip(frames, instances, strict=True):
        of_frame = masks_of(frame)
        if not torch.equal(entity.labels, labels):
            raise ValueError(
                f"{frame.img_path}: gt_instances of the frames of a clip must list the same entities"
            )
        if tuple(of_frame.shape[-2:]) != tuple(frame.img_shape[:2]):
            raise ValueError(
                f"{frame.img_path}: gt_instances.masks are {tuple(of_frame.shape[-2:])},"
                f" but the image is {tuple(frame.img_shape[:2])}"
            )
        masks.append(_pad(of_frame, size))
    ignored = None
    if "ignored_instances" in frames[0]:
        ignored = torch.stack([_pad(frame.ignored_instances.masks, size).any(0) for frame in frames])
    return ClipTargets(labels, torch.stack(masks, dim=1), instances[0].get("scores"), ignored)


def _pad(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks (N, h, w) as bool (N, *size)."""
    height, width = masks.shape[-2:]
    return F.pad(masks.bool(), (0, size[1] - width, 0, size[0] - height))


CANDIDATES = 2**19
"""Candidate points that exist at a time: few enough for caches."""


def sample_at(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of maps at points; zero outside.

    Args:
        maps: (N, C, h, w).
        points: (N, P, 2), x and y in 0..1 of the map.

    Returns:
        (N, C, P).
    """
    grid = (2 * points).sub_(1).unsqueeze(1).to(maps.dtype)
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="zeros", align_corners=False).squeeze(2)


@torch.no_grad()
def uncertain_points(
    logits: Tensor, num_points: int, oversample_ratio: float, importance_ratio: float
) -> Tensor:
    """Points where a mask is least certain, and some at random.

    Args:
        logits: (N, h, w), mask logits.
        num_points: P.
        oversample_ratio: how many times P candidates are drawn.
        importance_ratio: share of the P points that are the most uncertain candidates; the rest is random.

    Returns:
        (N, P, 2), x and y in 0..1.
    """
    num_candidates = int(num_points * oversample_ratio)
    num_important = int(num_points * importance_ratio)
    parts = logits.split(max(1, CANDIDATES // max(1, num_candidates)))
    important = torch.cat([_most_uncertain(part, num_candidates, num_important) for part in parts])
    random = torch.rand(len(logits), num_points - num_important, 2, device=logits.device)
    return torch.cat([important, random], dim=1)


def _most_uncertain(logits: Tensor, num_candidates: int, num_important: int) -> Tensor:
    """Of random points, those where the logit is nearest to 0: (N, num_important, 2)."""
    candidates = torch.rand(len(logits), num_candidates, 2, device=logits.device)
    certainty = sample_at(logits.unsqueeze(1), candidates).squeeze(1).abs_()
    chosen = certainty.topk(num_important, largest=False, sorted=False).indices
    return candidates.gather(1, chosen.unsqueeze(-1).expand(-1, -1, 2))


class PointMaskLoss:
    """Binary cross-entropy and dice at uncertain points, for the matched queries of all layers at once.

    Args:
        num_points: points per frame.
        oversample_ratio, importance_ratio: see :func:`uncertain_points`.
    """

    def __init__(
        self, num_points: int = 12544, oversample_ratio: float = 3.0, importance_ratio: float = 0.75
    ) -> None:
        self.num_points = num_points
        self.oversample_ratio = oversample_ratio
        self.importance_ratio = importance_ratio

    def __call__(
        self, mask_features: Tensor, mask_embeddings: Tensor, masks: Tensor, ignored: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Losses of one clip.

        Args:
            mask_features: (D, T, h, w).
            mask_embeddings: (L, N, D), of the query matched to each entity in each layer.
            masks: bool (N, T, H, W).
            ignored: bool (T, H, W); points that touch these pixels do not count.

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
        counts = None
        if ignored is not None:
            of_frames = points.view(-1, frames, self.num_points, 2).transpose(0, 1).flatten(1, 2)
            counts = _touches(ignored, of_frames).logical_not_().view(frames, -1, self.num_points)
            counts = counts.transpose(0, 1).reshape(predicted.shape)
        return mask_losses(predicted, expected.view_as(predicted), counts)


def _touches(ignored: Tensor, points: Tensor) -> Tensor:
    """Whether points (T, P, 2) take a share of their value from ignored pixels (T, H, W): bool (T, P)."""
    return sample_at(ignored.unsqueeze(1).float(), points).squeeze(1) > 0


def mask_losses(predicted: Tensor, expected: Tensor, counts: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Cross-entropy (mean) and dice loss (smoothed by 1) over the last dimension.

    Args:
        predicted: (..., P), logits.
        expected: (..., P), in 0..1.
        counts: bool (..., P), the points to look at; None: all.
    """
    entropy = F.binary_cross_entropy_with_logits(predicted, expected, reduction="none")
    inside = predicted.sigmoid()
    if counts is None:
        entropy = entropy.mean(-1)
    else:
        entropy = (entropy * counts).sum(-1) / counts.sum(-1).clamp(min=1)
        inside, expected = inside * counts, expected * counts
    overlap = 2 * (inside * expected).sum(-1) + 1
    return entropy, 1 - overlap / (inside.sum(-1) + expected.sum(-1) + 1)


UNMATCHED = -1


class HungarianMatcher:
    """Assigns one query to each entity at the least total cost, for all layers of a clip at once.

    Masks are compared at random points, drawn once per clip: the features are sampled there and multiplied with each
    layer's mask embeddings, which equals sampling each layer's masks.

    Args:
        num_points: points per frame.
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
        ignored: Tensor | None = None,
    ) -> Tensor:
        """Match one clip.

        Args:
            mask_features: (D, T, h, w).
            mask_embeddings: (L, Q, D), L layers.
            class_logits: (L, Q, C + 1).
            labels: int64 (N,); entities of label -1 have no class cost.
            masks: bool (N, T, H, W).
            ignored: bool (T, H, W), see :class:`PointMaskLoss`.

        Returns:
            int64 (L, N): the query of each entity, ``UNMATCHED`` where there are more entities than queries.
        """
        frames = mask_features.shape[1]
        points = torch.rand(frames, self.num_points, 2, device=mask_features.device)
        features = sample_at(mask_features.transpose(0, 1).float(), points).transpose(0, 1).flatten(1)
        targets = sample_at(masks.transpose(0, 1).float(), points).transpose(0, 1).flatten(1)
        if ignored is not None:
            counts = ~_touches(ignored, points).flatten()
            features, targets = features[:, counts], targets[:, counts]
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
            + self.mask_weight * entropy / max(targets.shape[-1], 1)
            + self.dice_weight * dice
        )
        # a diverged model still gets a matching, so that its non-finite loss is reported with the file names
        return cost.nan_to_num(nan=1e6, posinf=1e6, neginf=-1e6)


def _assign(cost: np.ndarray) -> np.ndarray:
    queries, entities = linear_sum_assignment(cost)
    assigned = np.full(cost.shape[1], UNMATCHED, dtype=np.int64)
    assigned[entities] = queries
    return assigned


@MODELS.register_module()
class SetCriterion:
    """Class, mask, dice, objectness and IoU losses of a batch of clips.

    Normalisers are averaged over the processes, so the gradient does not depend on how a batch is shared out.

    The weight of an entity is a factor of its mask, dice, class and objectness losses. Normalisers do not see it, so
    an entity of weight 0.5 counts half of one of weight 1. A query that is matched to nothing and whose mask lies
    mostly on ignored pixels takes no class and no objectness loss: it may be right.

    Args:
        class_weight, mask_weight, dice_weight, objectness_weight, iou_weight: factors of the losses; the first three
            are also the factors of the matching costs. Models without objectness or expected IoU have no such loss.
        background_weight: weight of the background class in the cross-entropy.
        num_points, oversample_ratio, importance_ratio: see :class:`PointMaskLoss`.
    """

    def __init__(
        self,
        class_weight: float = 2.0,
        mask_weight: float = 5.0,
        dice_weight: float = 5.0,
        objectness_weight: float = 2.0,
        iou_weight: float = 10.0,
        background_weight: float = 0.1,
        num_points: int = 12544,
        oversample_ratio: float = 3.0,
        importance_ratio: float = 0.75,
    ) -> None:
        self.class_weight = class_weight
        self.mask_weight = mask_weight
        self.dice_weight = dice_weight
        self.objectness_weight = objectness_weight
        self.iou_weight = iou_weight
        self.background_weight = background_weight
        self.matcher = HungarianMatcher(num_points, class_weight, mask_weight, dice_weight)
        self.mask_loss = PointMaskLoss(num_points, oversample_ratio, importance_ratio)

    def entity_losses(self, outputs: list[DecoderOutput], targets: list[ClipTargets]) -> dict[str, Tensor]:
        """Losses of learned queries, which are matched to the entities.

        Args:
            outputs: one per layer, with class logits.
            targets: one per clip.

        Returns:
            Named scalars; ``d0.`` .. mark the layers before the last.
        """
        class_logits = torch.stack([output.class_logits for output in outputs], dim=1)
        embeddings = torch.stack([output.mask_embeddings for output in outputs], dim=1)
        features = outputs[0].mask_features
        assigned = [
            self.matcher(
                features[index],
                embeddings[index],
                class_logits[index],
                target.labels,
                target.masks,
                target.ignored,
            )
            for index, target in enumerate(targets)
        ]
        losses = self._mask_losses(features, embeddings, targets, assigned)
        factors = self._query_factors(features, embeddings, targets, assigned)
        losses["loss_cls"] = self._class_loss(class_logits, targets, assigned, factors)
        if outputs[0].objectness_logits is not None:
            objectness = torch.stack([output.objectness_logits for output in outputs], dim=1)
            losses["loss_objectness"] = self._objectness_loss(objectness, assigned, factors)
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
        iou = None
        if outputs[0].iou is not None:
            iou = torch.stack([output.iou for output in outputs], dim=1)
        return _name_layers(self._mask_losses(outputs[0].mask_features, embeddings, targets, assigned, iou))

    def _mask_losses(
        self,
        features: Tensor,
        embeddings: Tensor,
        targets: list[ClipTargets],
        assigned: list[Tensor],
        iou: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Weighted mask and dice losses, and that of the expected IoU (B, L, Q) where it is given; (L,) each."""
        # keeps the graph the same for a batch without any entity
        entropy = dice = embeddings.flatten(2).sum(-1).sum(0) * 0
        error = 0 if iou is None else iou.sum(-1).sum(0) * 0
        for index, (feature, embedding, target, queries) in enumerate(
            zip(features, embeddings, targets, assigned, strict=True)
        ):
            if not len(target.labels):
                continue
            matched = queries != UNMATCHED
            rows = queries.clamp(min=0).unsqueeze(-1).expand(-1, -1, embedding.shape[-1])
            clip_entropy, clip_dice = self.mask_loss(
                feature, embedding.gather(1, rows), target.masks, target.ignored
            )
            factors = matched if target.weights is None else matched * target.weights
            entropy = entropy + (clip_entropy * factors).sum(1)
            dice = dice + (clip_dice * factors).sum(1)
            if iou is not None:
                expected = iou[index].gather(1, queries.clamp(min=0))
                # the target is what the dice loss calls the overlap, not the IoU of the masks
                error = error + ((expected - (1 - clip_dice.detach())) ** 2 * factors).sum(1)
        count = _average_count(assigned, embeddings)
        losses = {
            "loss_mask": self.mask_weight * entropy / count,
            "loss_dice": self.dice_weight * dice / count,
        }
        if iou is not None:
            losses["loss_iou"] = self.iou_weight * error / count
        return losses

    @torch.no_grad()
    def _query_factors(
        self, features: Tensor, embeddings: Tensor, targets: list[ClipTargets], assigned: list[Tensor]
    ) -> Tensor:
        """Factors (B, L, Q) of the class and objectness losses: an entity's weight for the query matched to it; of the
        others 1, or 0 on ignored pixels."""
        factors = torch.ones(embeddings.shape[:3], device=embeddings.device)
        for row, feature, embedding, target, queries in zip(
            factors, features, embeddings, targets, assigned, strict=True
        ):
            if target.ignored is not None:
                row[self._on_ignored(feature, embedding, target.ignored)] = 0
            if target.weights is not None or target.ignored is not None:
                weights = row.new_ones(queries.shape[-1]) if target.weights is None else target.weights
                _scatter(row, queries, weights.to(row.dtype).expand(len(queries), -1))
        return factors

    def _on_ignored(self, features: Tensor, embeddings: Tensor, ignored: Tensor) -> Tensor:
        """Queries (L, Q) more than half of whose mask is ignored, at random points."""
        points = torch.rand(len(ignored), self.mask_loss.num_points, 2, device=ignored.device)
        values = sample_at(features.transpose(0, 1).float(), points).transpose(0, 1).flatten(1)
        touched = _touches(ignored, points).flatten()
        found = []
        for embedding in embeddings:
            inside = embedding.float() @ values > 0
            found.append(2 * (inside & touched).sum(-1) > inside.sum(-1))
        return torch.stack(found)

    def _class_loss(
        self, logits: Tensor, targets: list[ClipTargets], assigned: list[Tensor], factors: Tensor
    ) -> Tensor:
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
        return self.class_weight * (loss * weights * factors).sum((0, 2)) / total

    def _objectness_loss(self, logits: Tensor, assigned: list[Tensor], factors: Tensor) -> Tensor:
        """Focal loss (L,) of logits (B, L, Q): 1 for matched queries, 0 for the others."""
        expected = torch.zeros_like(logits)
        for row, queries in zip(expected, assigned, strict=True):
            _scatter(row, queries, row.new_ones(queries.shape))
        loss = sigmoid_focal_loss(logits, expected, alpha=0.25, gamma=2.0)
        return self.objectness_weight * (loss * factors).sum((0, 2)) / _average_count(assigned, logits)


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
