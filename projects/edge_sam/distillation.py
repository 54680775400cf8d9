"""What the student learns from the teacher's masks, where they disagree (arXiv:2312.06660, section 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from omgseg.models.sam.prompt_encoder import IGNORED

FEWEST_WRONG = 10
"""Wrong pixels per point that is drawn; where there are fewer, the masks agree."""


def mask_losses(student: Tensor, teacher: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy and dice of the student's masks against the teacher's.

    Args:
        student, teacher: logits (N, M, h, w); the teacher's mask is where its logits are above 0.
        valid: (N, 1 or M, h, w), see :func:`~omgseg.models.sam.distillation.valid_cells`.

    Returns:
        Cross-entropy: mean over the valid pixels of an object's masks, then over objects. Dice, smoothed by 1: mean
        over masks and objects.
    """
    target, valid = (teacher > 0).float(), valid.expand_as(student)
    entropy = F.binary_cross_entropy_with_logits(student, target, reduction="none") * valid
    entropy = (entropy.sum((1, 2, 3)) / valid.sum((1, 2, 3))).mean()
    inside, wanted = student.sigmoid() * valid, target * valid
    overlap = 2 * (inside * wanted).sum((2, 3)) + 1
    dice = 1 - overlap / (inside.sum((2, 3)) + wanted.sum((2, 3)) + 1)
    return entropy, dice.mean()


def disagreement(student: Tensor, teacher: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Where the student shows too much, and where too little: bool (N, h, w) each.

    Args:
        student, teacher: bool (N, h, w).
        valid: (N, h, w). Where it is a fraction, the teacher's mask counts as neither.
    """
    student, teacher = student * valid, teacher * valid
    differs = student != teacher
    return differs & (teacher == 0), differs & (teacher == 1)


def draw_corrections(too_much: Tensor, too_little: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Points anywhere in the disagreement.

    Args:
        too_much, too_little: bool (N, h, w), see :func:`disagreement`.
        count: points per object.

    Returns:
        Points float32 (N, count, 2), x and y in pixels of the masks (their upper left corners), and labels (N, count):
        1 where the student shows too little, 0 where too much. Where masks agree but for a few pixels: (0, 0) and
        :data:`~omgseg.models.sam.prompt_encoder.IGNORED`.
    """
    wrong = (too_much | too_little).flatten(1)
    enough = wrong.sum(1) >= FEWEST_WRONG * count
    weights = torch.where(enough.unsqueeze(1), wrong, torch.ones_like(wrong)).float()
    place = torch.multinomial(weights, count, replacement=True)
    width = too_much.shape[2]
    points = torch.stack([place % width, place // width], dim=-1).float() * enough[:, None, None]
    labels = too_little.flatten(1).gather(1, place).long()
    return points, torch.where(enough.unsqueeze(1), labels, IGNORED)


def best_by_teacher(masks: Tensor, teacher_iou: Tensor) -> Tensor:
    """Of each object's masks (N, M, h, w) the one of the teacher's highest predicted IoU (N, M): (N, h, w)."""
    return masks[torch.arange(len(masks), device=masks.device), teacher_iou.argmax(1)]
