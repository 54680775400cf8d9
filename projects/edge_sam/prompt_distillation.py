"""Stage 2, prompt-in-the-loop distillation (arXiv:2312.06660, Algorithm 1)."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from torch import Tensor, nn

from omgseg.models.checkpoints.loading import leave_out_of_checkpoints
from omgseg.models.sam.distillation import take_decoder, teacher_embeddings, valid_cells, weights_sha256
from omgseg.models.sam.model import SAM
from omgseg.models.sam.prompt_encoder import IGNORED
from omgseg.models.sam.training import random_points, tight_boxes
from omgseg.registry import MODELS
from omgseg.structures.prompts import NO_POINT, draw_corrections, wrong_pixels


@dataclass(frozen=True)
class PromptDistillationConfig:
    """``train_cfg`` of the model; the defaults are published.

    Attributes:
        max_objects: of an image, chosen at random.
        rounds: of decoding; before each but the first, every object gets one more point.
        bce, dice: weights of the losses.
    """

    max_objects: int = 16
    rounds: int = 2
    bce: float = 5.0
    dice: float = 5.0


@MODELS.register_module()
class PromptDistillation(SAM):
    """A SAM that learns masks from a teacher: both decode the same prompts, and further ones from where they disagree.

    Image encoder and mask decoder are trained, the prompt encoder is frozen. The teacher's mask decoder works on
    embeddings that were computed before, ``data_sample.teacher_embedding``. It is there while a training runs only, and
    not written into checkpoints: they hold what those of a :class:`~omgseg.models.sam.SAM` hold.

    Args:
        teacher: weights of the teacher, a file or an ``hf://`` location. A training reads them when it starts: the
            student begins with the teacher's prompt encoder and mask decoder, unless ``load_from`` brings others.
        train_cfg: see :class:`PromptDistillationConfig`.
        args, kwargs: see :class:`~omgseg.models.sam.SAM`.
    """

    def __init__(
        self,
        *args: Any,
        teacher: str | None = None,
        train_cfg: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.train_config = PromptDistillationConfig(**(train_cfg or {}))
        self.prompt_encoder.requires_grad_(False)
        self.teacher = teacher
        self.teacher_sha256: str | None = None

    def init_weights(self) -> None:
        """Read the teacher: mmengine calls this when a training starts, before ``load_from`` and ``resume``.

        Raises:
            ValueError: the config names no teacher.
            FileNotFoundError, CheckpointError: its weights are missing, or do not fit.
        """
        super().init_weights()
        if self.teacher is None:
            raise ValueError(
                "prompt-in-the-loop distillation needs a teacher: name its weights, model.teacher=FILE"
            )
        self.teacher_sha256 = weights_sha256(self.teacher)
        decoder = SAM(nn.Identity(), copy.deepcopy(self.prompt_encoder), copy.deepcopy(self.mask_decoder))
        take_decoder(decoder, self.teacher)
        self.prompt_encoder.load_state_dict(decoder.prompt_encoder.state_dict())
        self.mask_decoder.load_state_dict(decoder.mask_decoder.state_dict())
        decoder.has_own_source = True
        leave_out_of_checkpoints(decoder)
        self.teacher_decoder = decoder.requires_grad_(False)

    def loss(self, embeddings: Tensor, data_samples: list[DetDataSample]) -> dict[str, Tensor]:
        """Mean losses of the objects of all images.

        Raises:
            ValueError: a sample has no embedding, or that of another teacher.
        """
        images, masks = self.choose_objects(data_samples)
        if not images:
            return self.no_losses("loss_bce", "loss_dice")
        taught = teacher_embeddings(data_samples, self.teacher_sha256)
        sizes = [tuple(sample.img_shape[:2]) for sample in data_samples]
        grid = (self.prompt_encoder.mask_size,) * 2
        valid = valid_cells(sizes, self.image_size, grid).to(embeddings.device)
        return self._distill(embeddings[images], taught[images], masks, valid[images])

    def _distill(self, embeddings: Tensor, taught: Tensor, masks: Tensor, valid: Tensor) -> dict[str, Tensor]:
        """Algorithm 1 for N objects.

        Args:
            embeddings, taught: the student's and the teacher's (N, E, h, w) of each object's image.
            masks: bool (N, S, S), where the first prompts come from.
            valid: (N, 4 h, 4 w), see :func:`valid_cells`.
        """
        config = self.train_config
        points = labels = boxes = None
        if torch.rand(()) < 0.5:  # one coin for all, as published
            points, labels = random_points(masks)
            meant = slice(None)  # a point is ambiguous: all masks are taught
        else:
            boxes = tight_boxes(masks)
            meant = slice(0, 1)
        losses = dict.fromkeys(("loss_bce", "loss_dice"), 0.0)
        for number in range(config.rounds):
            student = self.decode(embeddings, points, labels, boxes).logits[:, meant].float()
            with torch.no_grad():
                answer = self.teacher_decoder.decode(taught, points, labels, boxes)
            teacher, expected = answer.logits[:, meant].float(), answer.iou[:, meant]
            bce, dice = mask_losses(student, teacher, valid.unsqueeze(1))
            losses["loss_bce"] += config.bce / config.rounds * bce
            losses["loss_dice"] += config.dice / config.rounds * dice
            if number + 1 < config.rounds:
                shown, wanted = (best_by_teacher(side, expected) > 0 for side in (student, teacher))
                more, meaning = self._corrections(shown, wanted, valid)
                points = more if points is None else torch.cat([points, more], dim=1)
                labels = meaning if labels is None else torch.cat([labels, meaning], dim=1)
        return losses

    def _corrections(self, student: Tensor, teacher: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """A point (N, 1, 2) in pixels of the padded input where masks bool (N, h, w) differ, and its label (N, 1)."""
        pixels, labels = draw_corrections(*wrong_pixels(student, teacher, valid))
        points = pixels * (self.image_size / student.shape[-1])  # the corner of the pixel, as published
        return points, labels.masked_fill(labels == NO_POINT, IGNORED)


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
