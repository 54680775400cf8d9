"""What YOLACT learns from: matched anchors, masks of the matched ones, and which classes are where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from omgseg.projects.yolact.detection import assemble, crop, encode_boxes, overlaps
from omgseg.projects.yolact.network import MaskIoUNet, Outputs

BACKGROUND, NEUTRAL = 0, -1
FORCED = 2.0
"""More than any IoU: an anchor that is an object's best one is positive."""


@dataclass(frozen=True)
class LossConfig:
    """``train_cfg`` of the model; the defaults are published.

    Attributes:
        positive_iou, negative_iou: an anchor is positive from the first on, and background below the second.
        crowd_iof: background and neutral anchors that lie in a crowd by more than this share are neutral.
        negatives: for each positive anchor of an image, the hardest ones.
        max_masks: positive anchors of an image whose masks are learned, at random; they then stand for all.
        min_area: masks of no more cells of the prototypes do not train the re-scoring.
        box, mask, iou: weights of the losses; those of classes and semantic segmentation are 1.
    """

    positive_iou: float = 0.5
    negative_iou: float = 0.4
    crowd_iof: float = 0.7
    negatives: int = 3
    max_masks: int = 100
    min_area: int = 25
    box: float = 1.5
    mask: float = 6.125
    iou: float = 25.0


class Truth(NamedTuple):
    """The N objects of an image.

    Attributes:
        boxes: (N, 4), x1 y1 x2 y2 in parts of the image.
        labels: int64 (N,).
        masks: bool (N, H, W), of the input.
        crowds: (M, 4), boxes of crowds.
    """

    boxes: Tensor
    labels: Tensor
    masks: Tensor
    crowds: Tensor


class Matches(NamedTuple):
    """What the P anchors of an image should say.

    Attributes:
        classes: int64 (P,): label + 1, :data:`BACKGROUND` or :data:`NEUTRAL`.
        objects: int64 (P,), the object of the highest IoU; 0 where the image has none.
    """

    classes: Tensor
    objects: Tensor


def match_anchors(anchors: Tensor, truth: Truth, config: LossConfig) -> Matches:
    """Match anchors (P, 4), centre and size, with objects; no two objects have the same best anchor."""
    boxes = torch.cat([anchors[:, :2] - anchors[:, 2:] / 2, anchors[:, :2] + anchors[:, 2:] / 2], dim=1)
    count = len(truth.boxes)
    if count:
        iou = overlaps(truth.boxes, boxes)  # (N, P)
        best, objects = iou.max(0)
        for _ in range(min(count, len(boxes))):
            of_object, anchor = iou.max(1)
            chosen = of_object.argmax()
            place = anchor[chosen]
            iou[:, place] = iou[chosen] = -1.0
            best[place], objects[place] = FORCED, chosen
        classes = truth.labels[objects] + 1
    else:
        best = boxes.new_zeros(len(boxes))
        objects = classes = truth.labels.new_zeros(len(boxes))
    classes = classes.masked_fill(best < config.positive_iou, NEUTRAL)
    classes = classes.masked_fill(best < config.negative_iou, BACKGROUND)
    if len(truth.crowds):
        in_crowd = overlaps(boxes, truth.crowds, of_boxes=True).amax(1) > config.crowd_iof
        classes = classes.masked_fill(in_crowd & (classes <= 0), NEUTRAL)
    return Matches(classes, objects)


def yolact_losses(
    outputs: Outputs, truths: Sequence[Truth], config: LossConfig, iou_net: MaskIoUNet | None = None
) -> dict[str, Tensor]:
    """Losses of a batch (arXiv:1904.02689, section 3; arXiv:1912.06218, section 6.1).

    Those of boxes, classes, masks and IoU are sums over the positive anchors, divided by their number in the batch. An
    image without positive anchors adds to none of them, as published; a batch without any gives zeros.

    Args:
        outputs: of B images, in float32.
        truths: B.
        iou_net: of YOLACT++; None: there is no loss of IoU.
    """
    matches = [match_anchors(outputs.anchors, truth, config) for truth in truths]
    classes = torch.stack([match.classes for match in matches])
    positive = classes > 0
    count = positive.sum().clamp(min=1)
    box = mask = expected = outputs.boxes.new_zeros(())
    for image, (truth, match) in enumerate(zip(truths, matches, strict=True)):
        rows = positive[image].nonzero().squeeze(1)
        if not len(rows):
            continue
        objects = match.objects[rows]
        targets = encode_boxes(truth.boxes[objects], outputs.anchors[rows])
        box = box + F.smooth_l1_loss(outputs.boxes[image, rows], targets, reduction="sum")
        of_masks, of_iou = _mask_losses(outputs, image, rows, objects, truth, config, iou_net)
        mask, expected = mask + of_masks, expected + of_iou
    losses = dict(
        loss_box=config.box * box / count,
        loss_class=_class_loss(outputs.classes, classes, config.negatives) / count,
        loss_mask=config.mask * mask / count,
        loss_semantic=semantic_loss(outputs.semantic, truths),
    )
    if iou_net is not None:
        losses["loss_iou"] = config.iou * expected / count
    return losses


def _class_loss(logits: Tensor, classes: Tensor, negatives: int) -> Tensor:
    """Summed cross-entropy of the positive anchors and of the hardest negative ones.

    Args:
        logits: (B, P, C + 1).
        classes: int64 (B, P), see :class:`Matches`.
        negatives: see :class:`LossConfig`.
    """
    with torch.no_grad():
        positive = classes > 0
        difficulty = logits.logsumexp(-1) - logits[..., 0]
        difficulty = difficulty.masked_fill(classes != BACKGROUND, 0.0)
        ranks = difficulty.argsort(1, descending=True).argsort(1)
        wanted = (negatives * positive.sum(1, keepdim=True)).clamp(max=classes.shape[1] - 1)
        chosen = positive | ((ranks < wanted) & (classes == BACKGROUND))
    return F.cross_entropy(logits[chosen], classes[chosen], reduction="sum")


def _mask_losses(
    outputs: Outputs,
    image: int,
    rows: Tensor,
    objects: Tensor,
    truth: Truth,
    config: LossConfig,
    iou_net: MaskIoUNet | None,
) -> tuple[Tensor, Tensor]:
    """Of one image, summed over its positive anchors: cross-entropy of masks in their object's box by its area, and
    the error of the expected IoU."""
    prototypes = outputs.prototypes[image]
    size = prototypes.shape[:2]
    share = 1.0
    if len(rows) > config.max_masks:
        some = torch.randperm(len(rows), device=rows.device)[: config.max_masks]
        share = len(rows) / config.max_masks
        rows, objects = rows[some], objects[some]
    wanted = shrink(truth.masks, size)[objects]
    boxes = truth.boxes[objects]
    masks = crop(assemble(prototypes, outputs.coefficients[image, rows]), boxes)
    entropy = F.binary_cross_entropy(masks.clamp(0, 1), wanted, reduction="none").sum((1, 2))
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) * (size[0] * size[1])
    loss = share * (entropy / areas).sum()
    large = wanted.sum((1, 2)) > config.min_area
    if iou_net is None or not large.any():
        return loss, loss.new_zeros(())
    expected = iou_net(masks[large]).gather(1, truth.labels[objects[large]].unsqueeze(1)).squeeze(1)
    target = mask_iou((masks[large] > 0.5).float(), wanted[large])
    return loss, F.smooth_l1_loss(expected, target, reduction="sum")


def mask_iou(masks: Tensor, others: Tensor) -> Tensor:
    """IoU (N,) of masks (N, h, w) of zeros and ones, pair by pair; one of each pair is not empty."""
    both = (masks * others).sum((1, 2))
    return both / (masks.sum((1, 2)) + others.sum((1, 2)) - both)


def semantic_loss(logits: Tensor, truths: Sequence[Truth]) -> Tensor:
    """Mean over images and cells, summed over classes: binary cross-entropy of which classes are where.

    Args:
        logits: (B, C, h, w).
        truths: B.
    """
    of_images = []
    for truth in truths:
        members = F.one_hot(truth.labels, logits.shape[1]).float()  # (N, C)
        cells = torch.einsum("nc,nhw->chw", members, shrink(truth.masks, logits.shape[-2:]))
        of_images.append((cells > 0).float())
    total = F.binary_cross_entropy_with_logits(logits, torch.stack(of_images), reduction="sum")
    return total / (logits.shape[0] * logits.shape[2] * logits.shape[3])


def shrink(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks bool (N, H, W) as zeros and ones (N, *size)."""
    if not len(masks):
        return masks.new_zeros((0, *size), dtype=torch.float32)
    small = F.interpolate(masks.unsqueeze(0).float(), size, mode="bilinear", align_corners=False)
    return (small.squeeze(0) > 0.5).float()
