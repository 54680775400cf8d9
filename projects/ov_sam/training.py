"""Both stages of OV-SAM's training (arXiv:2401.02955, section 3): SAM2CLIP distillation, then CLIP2SAM co-training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmdet.utils import reduce_mean
from torch import Tensor, nn

from omgseg.models.checkpoints.loading import CheckpointError, load_state, read_checkpoint
from omgseg.models.mask_queries.losses import mask_losses, sample_at, uncertain_points
from omgseg.models.sam.distillation import EncoderDistillation
from omgseg.registry import MODELS

BACKGROUND_WEIGHT = 0.1
"""Of the background in the class loss."""
OVERSAMPLE_RATIO, IMPORTANCE_RATIO = 3.0, 0.75
"""See :func:`~omgseg.models.mask_queries.losses.uncertain_points`."""


@MODELS.register_module()
class Sam2ClipDistillation(EncoderDistillation):
    """Stage 1: the adapter on a frozen CLIP learns the embeddings of a SAM; all but it is frozen.

    Its checkpoints answer prompts as those of :class:`~omgseg.models.sam.SAM`, and stage 2 starts with them.

    Args:
        image_encoder: config of an :class:`OVSamImageEncoder`. Images are normalised as its trunk wants.
        kwargs: see :class:`EncoderDistillation`.
    """

    def __init__(self, image_encoder: dict[str, Any], **kwargs: Any) -> None:
        encoder = MODELS.build(image_encoder)
        mean, std = (tuple(255 * x for x in values) for values in (encoder.trunk.mean, encoder.trunk.std))
        super().__init__(encoder, pixel_mean=mean, pixel_std=std, **kwargs)

    def init_weights(self) -> None:
        """Take over the teacher's decoder and, where they fit the adapter, the positions of its image encoder, which
        are not learned here."""
        super().init_weights()
        if self.teacher is not None:
            positions = read_checkpoint(self.teacher)["state_dict"].get("image_encoder.pos_embed")
            adapter = self.image_encoder.adapter
            if positions is not None and positions.shape == adapter.pos_embed.shape:
                adapter.pos_embed.copy_(positions)


@dataclass(frozen=True)
class CoTrainingConfig:
    """``train_cfg`` of :class:`OpenVocabularySAM`.

    Attributes:
        num_prompts: of an image; its objects are chosen at random, or repeated. Half of them are boxes, half points.
        num_points: of a mask, where it is compared.
        cls, mask, dice: weights of the losses.
    """

    num_prompts: int = 40
    num_points: int = 12544
    cls: float = 2.0
    mask: float = 5.0
    dice: float = 5.0


class TrainingPrompts(NamedTuple):
    """Prompts of one image.

    Attributes:
        labels: int64 (N,), -1 without a class.
        boxes: float32 (N, 4), of the objects, in pixels of the padded input.
        masks: bool (N, S, S), in the padded input; empty for an object of which only the box is known.
        is_point: bool (N,): the prompt is a point on the mask, else the box.
    """

    labels: Tensor
    boxes: Tensor
    masks: Tensor
    is_point: Tensor


def choose_prompts(sample: DetDataSample, side: int, count: int) -> TrainingPrompts | None:
    """Prompts for the objects of an image, at random; None where it has none.

    Args:
        sample: with ``gt_instances``: ``labels``, ``bboxes``, and ``masks`` where these are known.
        side: S, of the padded input.
        count: N.
    """
    objects = sample.gt_instances
    boxes = objects.bboxes.float()
    rows = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1).nonzero()[:, 0]
    if not len(rows):
        return None
    rows = rows[torch.randperm(len(rows), device=rows.device)]
    rows = rows.repeat(-(-count // len(rows)))[:count]
    masks = boxes.new_zeros((count, side, side), dtype=torch.bool)
    is_point = boxes.new_zeros(count, dtype=torch.bool)
    if "masks" in objects:
        height, width = objects.masks.shape[-2:]
        masks[:, :height, :width] = objects.masks[rows]
        is_point[torch.randperm(count, device=rows.device)[: count // 2]] = True
    return TrainingPrompts(objects.labels[rows], boxes[rows], masks, is_point)


def class_loss(logits: Tensor, labels: Tensor, published: bool = False) -> Tensor:
    """Cross-entropy, divided by the sum of the labels' weights, averaged over the processes.

    Args:
        logits: (N, C + 1), the background last.
        labels: int64 (N,); -1 takes no loss.
        published: count a label of -1 as class 0 in the divisor, as the published code does.
    """
    weights = logits.new_ones(logits.shape[1])
    weights[-1] = BACKGROUND_WEIGHT
    has_class = labels >= 0
    labels = labels.clamp(min=0)
    of_labels = weights[labels]
    loss = (F.cross_entropy(logits, labels, reduction="none") * of_labels * has_class).sum()
    total = of_labels.sum() if published else (of_labels * has_class).sum()
    return loss / reduce_mean(total).clamp(min=torch.finfo(total.dtype).eps)


def point_losses(logits: Tensor, masks: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy and dice (smoothed by 1) of masks at points: sums over masks, divided by their number, averaged
    over the processes.

    Args:
        logits: (N, h, w).
        masks: bool (N, S, S).
        points: (N, P, 2), x and y in 0..1 of the padded input.
    """
    predicted = sample_at(logits.unsqueeze(1), points).squeeze(1)
    expected = sample_at(masks.unsqueeze(1).float(), points).squeeze(1)
    count = reduce_mean(logits.new_tensor(float(len(logits)))).clamp(min=1)
    entropy, dice = (loss.sum() / count for loss in mask_losses(predicted, expected))
    return entropy, dice


def co_training_losses(
    class_logits: Tensor,
    labels: Tensor,
    mask_logits: Tensor,
    masks: Tensor,
    config: CoTrainingConfig,
    published: bool,
) -> dict[str, Tensor]:
    """``loss_cls``, ``loss_mask`` and ``loss_dice`` of N prompts.

    Args:
        class_logits, labels, published: see :func:`class_loss`.
        mask_logits, masks: see :func:`point_losses`; an empty mask takes no mask loss.
        config: see :class:`CoTrainingConfig`.
    """
    has_mask = masks.flatten(1).any(1)
    known = mask_logits[has_mask].float()
    points = uncertain_points(known, config.num_points, OVERSAMPLE_RATIO, IMPORTANCE_RATIO)
    entropy, dice = point_losses(known, masks[has_mask], points)
    return {
        "loss_cls": config.cls * class_loss(class_logits, labels, published),
        "loss_mask": config.mask * entropy,
        "loss_dice": config.dice * dice,
    }


def take_sam2clip(model: nn.Module, weights: str) -> None:
    """Start stage 2 with a checkpoint of stage 1: its adapter, its prompt encoder, and of its mask decoder all that
    makes the mask for unambiguous prompts.

    Args:
        model: an :class:`OpenVocabularySAM`.
        weights: of a :class:`Sam2ClipDistillation`.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is not one, or does not fit.
    """
    tensors = {}
    for name, tensor in read_checkpoint(weights)["state_dict"].items():
        part, _, rest = name.partition(".")
        if part == "mask_decoder":
            if rest == "mask_tokens.weight":
                tensor = tensor[:1]
            elif rest.startswith(("iou_", *(f"output_hypernetworks_mlps.{mask}." for mask in (1, 2, 3)))):
                continue
        tensors[name] = tensor
    report = load_state(model, tensors, strict=False)
    own = ("regions.", "text_encoder.", "image_encoder.trunk.", "mask_decoder.label_")
    report.missing = [name for name in report.missing if not name.startswith(own)]
    if not report.is_clean:
        raise CheckpointError(
            f"{weights} is no SAM2CLIP checkpoint for this model, see sam2clip.py:\n{report}"
        )
