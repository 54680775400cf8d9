"""All masks of an image, without anybody asking for one."""

from __future__ import annotations

import torch
from mmdet.structures import DetDataSample
from torch import Tensor

from omgseg.models.segmentor import Features, OMGSeg
from omgseg.structures import Task


def all_masks(
    model: OMGSeg, features: Features, sample: DetDataSample, min_score: float, max_overlap: float
) -> tuple[Tensor, Tensor]:
    """What the learned queries and a grid of points find, each thing once.

    Args:
        features: of one image.
        sample: with the points as ``prompts``.
        min_score: of masks that stay. A mask's score is the mean probability inside it, times the objectness for
            learned queries, which find nothing most of the time.
        max_overlap: IoU above which two masks are the same.

    Returns:
        Mask logits (N, h, w) by falling score, and scores (N,).
    """
    (prompted,) = model.decode(features, [sample], every_layer=False)
    points = prompted.mask_logits[0, :, 0].float()
    unprompted = sample.clone()
    unprompted.set_metainfo({"tasks": (Task.INSTANCE.value,)})
    (learned,) = model.decode(features, [unprompted], every_layer=False, with_classes=False)
    queries = learned.mask_logits[0, :, 0].float()
    scores = torch.cat(
        [
            _confidence(points) * _holds_its_point(points, sample),
            _confidence(queries) * learned.objectness_logits[0].float().sigmoid(),
        ]
    )
    logits = torch.cat([points, queries])
    order = scores.argsort(descending=True, stable=True)
    order = order[scores[order] >= max(min_score, torch.finfo(scores.dtype).tiny)]
    kept = order[_first_of_equals(logits[order] > 0, max_overlap)]
    return logits[kept], scores[kept]


def _confidence(logits: Tensor) -> Tensor:
    """Mean probability inside the masks (N, h, w); 0 for empty ones."""
    inside = logits > 0
    return (logits.sigmoid() * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)


def _holds_its_point(logits: Tensor, sample: DetDataSample) -> Tensor:
    """Whether a point lies in the mask that it has asked for; a mask elsewhere answers another question."""
    height, width = sample.batch_input_shape[:2]
    cells = logits.new_tensor([logits.shape[2] / width, logits.shape[1] / height])
    x, y = (sample.prompts.points * cells).long().unbind(1)
    rows = torch.arange(len(logits), device=logits.device)
    return logits[rows, y.clamp(max=logits.shape[1] - 1), x.clamp(max=logits.shape[2] - 1)] > 0


def _first_of_equals(masks: Tensor, max_overlap: float) -> Tensor:
    """Rows of the masks (N, h, w) that overlap no earlier one that stays by more than this IoU."""
    flat = masks.flatten(1).float()
    area = flat.sum(1)
    overlap = flat @ flat.t()
    equal = (overlap / (area.unsqueeze(1) + area - overlap).clamp(min=1) > max_overlap).cpu()
    kept: list[int] = []
    gone = torch.zeros(len(masks), dtype=torch.bool)
    for row in range(len(masks)):
        if not gone[row]:
            kept.append(row)
            gone |= equal[row]
    return torch.tensor(kept, dtype=torch.int64, device=masks.device)
