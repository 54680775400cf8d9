"""SAM's training: one prompt, then corrections where the model is wrong (arXiv:2304.02643, appendix A)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from omgseg.models.geometry import mask_boxes
from omgseg.models.sam.mask_decoder import MaskPrediction
from omgseg.models.sam.prompt_encoder import IGNORED, LOWER_RIGHT, PADDING, UPPER_LEFT

BOX_NOISE, MAX_BOX_NOISE = 0.1, 20.0
"""Box sides move by a normal deviate of this share of the box, at most so many pixels."""


@dataclass(frozen=True)
class TrainConfig:
    """``train_cfg`` of the model.

    Attributes:
        max_objects: of an image, chosen at random.
        num_clicks: corrections after the first prompt. Two further rounds bring no click, but the last mask again: one
            between the clicks, at random, and one at the end.
        focal, dice, iou: weights of the losses.
    """

    max_objects: int = 64
    num_clicks: int = 8
    focal: float = 20.0
    dice: float = 1.0
    iou: float = 1.0


def prompt_losses(model, embeddings: Tensor, masks: Tensor, config: TrainConfig) -> dict[str, Tensor]:
    """Losses of N objects, means over objects and rounds.

    The first prompt of an object is a point anywhere on it or a noisy box, by a coin. A single point is ambiguous: of
    the candidates, only the best one is trained to be the mask, and the one of the highest predicted IoU goes on.
    Boxes and all later rounds use the mask for unambiguous prompts.

    Args:
        model: a :class:`~omgseg.models.sam.SAM`.
        embeddings: (N, E, h, w), of each object's image.
        masks: bool (N, S, S), in the padded input; none is empty.
        config: see :class:`TrainConfig`.

    Returns:
        ``loss_focal``, ``loss_dice``, ``loss_iou``: scalars.
    """
    encoder, positions = model.prompt_encoder, model.prompt_encoder.dense_positions()
    is_point = torch.rand(len(masks), device=masks.device) < 0.5
    points, labels = first_prompts(masks, noisy_boxes(masks), is_point)
    quiet = {int(torch.randint(1, config.num_clicks + 2, ())), config.num_clicks + 2}
    truth: Tensor | None = None
    previous: Tensor | None = None
    totals: dict[str, Tensor] = {}
    for number in range(config.num_clicks + 3):
        if number and number not in quiet:
            click, label = error_points(truth, previous[:, 0] > 0)
            points = torch.cat([points, click * (model.image_size / truth.shape[-1])], dim=1)
            labels = torch.cat([labels, label], dim=1)
        dense = encoder.embed_masks(previous)
        prediction = model.mask_decoder(embeddings, positions, encoder.embed_points(points, labels), dense)
        if truth is None:
            size = prediction.logits.shape[-2:]
            truth = F.interpolate(masks.unsqueeze(1).float(), size, mode="area")[:, 0] >= 0.5
        losses, chosen = _round_losses(prediction, truth, is_point & (number == 0), config)
        for name, value in losses.items():
            totals[name] = totals.get(name, 0.0) + value * getattr(config, name) / (config.num_clicks + 3)
        previous = chosen.detach().unsqueeze(1)
    return {f"loss_{name}": value for name, value in totals.items()}


def first_prompts(masks: Tensor, boxes: Tensor, is_point: Tensor) -> tuple[Tensor, Tensor]:
    """Two tokens per object, points (N, 2, 2) and labels (N, 2): a point anywhere on its mask and the padding that
    follows it, or the corners of its box.

    Args:
        masks: bool (N, S, S).
        boxes: (N, 4).
        is_point: bool (N,).
    """
    points, labels = random_points(masks)
    points = torch.cat([points, torch.zeros_like(points)], dim=1)
    labels = torch.cat([labels, torch.full_like(labels, PADDING)], dim=1)
    kinds = labels.new_tensor([UPPER_LEFT, LOWER_RIGHT])
    points = torch.where(is_point[:, None, None], points, boxes.view(-1, 2, 2))
    return points, torch.where(is_point.unsqueeze(1), labels, kinds)


def _round_losses(
    prediction: MaskPrediction, truth: Tensor, is_ambiguous: Tensor, config: TrainConfig
) -> tuple[dict[str, Tensor], Tensor]:
    """Losses of one round, and the logits (N, h, w) that the next round goes on with.

    Args:
        is_ambiguous: bool (N,): the candidates count, else the mask for unambiguous prompts.
    """
    masks = slice(None) if is_ambiguous.any() else slice(0, 1)  # the others would be computed in vain
    logits, iou = prediction.logits[:, masks].float(), prediction.iou[:, masks].float()
    counts = torch.zeros_like(iou, dtype=torch.bool)
    counts[:, 0], counts[:, 1:] = ~is_ambiguous, is_ambiguous.unsqueeze(1)
    expected = truth.unsqueeze(1).expand_as(logits).float()
    focal = sigmoid_focal_loss(logits, expected).mean((2, 3))
    inside = logits.sigmoid()
    overlap = (inside * expected).sum((2, 3))
    dice = 1 - (2 * overlap + 1) / (inside.sum((2, 3)) + expected.sum((2, 3)) + 1)
    mask_loss = (config.focal * focal + config.dice * dice).masked_fill(~counts, torch.inf)
    best = mask_loss.argmin(1, keepdim=True)
    hard = logits > 0
    both = (hard & truth.unsqueeze(1)).sum((2, 3))
    either = (hard | truth.unsqueeze(1)).sum((2, 3)).clamp(min=1)
    losses = {
        "focal": focal.gather(1, best).mean(),
        "dice": dice.gather(1, best).mean(),
        "iou": F.mse_loss(iou[counts], (both / either)[counts]),
    }
    surest = iou.masked_fill(~counts, -torch.inf).argmax(1)
    return losses, logits[torch.arange(len(logits), device=logits.device), surest]


def random_points(masks: Tensor) -> tuple[Tensor, Tensor]:
    """A point (N, 1, 2) anywhere on each mask (N, H, W), at a pixel's centre, and its label (N, 1). Of an empty mask:
    :data:`IGNORED`."""
    # not torch.multinomial, which draws a number for every pixel
    shown = masks.flatten(1).cumsum(1, dtype=torch.int32)
    count = shown[:, -1:]
    rank = (torch.rand(count.shape, device=masks.device) * count).int().clamp(max=count - 1) + 1
    place = torch.searchsorted(shown, rank)
    points = torch.stack([place % masks.shape[2], place // masks.shape[2]], dim=-1) + 0.5
    return points.float(), torch.where(count > 0, 1, IGNORED)


def tight_boxes(masks: Tensor) -> Tensor:
    """Boxes float32 (N, 4) around masks bool (N, H, W): outer edges of their first and last pixels."""
    return (mask_boxes(masks) + masks.new_tensor([0, 0, 1, 1], dtype=torch.long)).float()


def noisy_boxes(masks: Tensor) -> Tensor:
    """Boxes (N, 4) around masks (N, H, W), each side moved as a user's hand would."""
    boxes = tight_boxes(masks)
    size = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    noise = torch.randn_like(boxes) * BOX_NOISE * size
    limit = torch.minimum(torch.full_like(size, MAX_BOX_NOISE), size / 2 - 0.5).clamp(min=0)
    return boxes + noise.clamp(-limit, limit)


def error_points(truth: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """A click (N, 1, 2) anywhere where masks bool (N, h, w) differ, and its label (N, 1): 1 where the object is
    missing, 0 where it is not; :data:`IGNORED` where nothing differs."""
    clicks, labels = random_points(truth ^ mask)
    column, row = clicks[:, 0].long().unbind(1)
    label = truth[torch.arange(len(truth), device=truth.device), row, column].long().unsqueeze(1)
    return clicks, torch.where(labels == IGNORED, labels, label)
