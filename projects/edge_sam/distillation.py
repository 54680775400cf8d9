"""What the student learns from the teacher's masks (arXiv:2312.06660, section 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


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


def best_by_teacher(masks: Tensor, teacher_iou: Tensor) -> Tensor:
    """Of each object's masks (N, M, h, w) the one of the teacher's highest predicted IoU (N, M): (N, h, w)."""
    return masks[torch.arange(len(masks), device=masks.device), teacher_iou.argmax(1)]
