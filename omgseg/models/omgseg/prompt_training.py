"""Prompts in the loop of OMG-Seg's training: a first prompt, then corrections where the decoder is wrong.

The rounds of SAM (arXiv:2304.02643, appendix A) on features that are computed once, and without gradient. The losses
are those of the prompts that they end with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from omgseg.models.mask_queries.losses import ClipTargets
from omgseg.models.omgseg.prompt_encoder import PromptGroups
from omgseg.models.sam.training import noisy_boxes, random_points
from omgseg.structures.prompts import NO_POINT


@dataclass(frozen=True)
class PromptTraining:
    """``prompt_training`` of the model.

    Attributes:
        max_corrections: a batch has 1 to so many rounds of corrections, at random, and each of its objects 1 to as many
            corrections as the batch has rounds, or none. 0: there are no corrections.
        single_share: share of the objects that have no corrections.
        box_share: share of the objects whose first prompt is a box instead of the point that the data give.
        mask_share: share of the corrections that come with the mask so far.

    Raises:
        ValueError: a number is not in its range.
    """

    max_corrections: int = 4
    single_share: float = 0.5
    box_share: float = 0.35
    mask_share: float = 0.5

    def __post_init__(self) -> None:
        if self.max_corrections < 0:
            raise ValueError(
                f"prompt_training.max_corrections is {self.max_corrections}, at least 0 is needed"
            )
        for name in ("single_share", "box_share", "mask_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"prompt_training.{name} is {getattr(self, name)}, a share of 0 to 1 is needed"
                )


def first_prompts(prompts: dict[str, Tensor], targets: list[ClipTargets], box_share: float) -> PromptGroups:
    """The first prompts of a batch.

    Args:
        prompts: ``points`` (B, N, 2), some of which give way to noisy boxes of their objects, or ``boxes`` (B, N, 4),
            which stay.
        targets: B, of up to N objects.
        box_share: see :class:`PromptTraining`.
    """
    given = next(iter(prompts.values()))
    is_point = torch.full(given.shape[:2], "points" in prompts, device=given.device)
    points, boxes = prompts.get("points", given[..., :2]), prompts.get("boxes")
    if boxes is None:
        boxes = given.new_zeros(*given.shape[:2], 4)
        for row, target in zip(boxes, targets, strict=True):
            row[: len(target.masks)] = noisy_boxes(target.masks[:, 0])
        is_point = _coins(is_point, 1 - box_share)
    return PromptGroups.first(points, boxes, is_point)


def add_corrections(
    prompts: PromptGroups,
    masks: Tensor,
    answer: Callable[[PromptGroups], Tensor],
    targets: list[ClipTargets],
    image_shapes: list[tuple[int, int]],
    config: PromptTraining,
) -> PromptGroups:
    """Correct masks where they are wrong, one click in each round.

    A click is drawn from all wrong cells of the mask. An object that has had its last correction keeps its prompts
    while others are corrected further.

    Args:
        prompts: the first ones.
        masks: bool (B, N, h, w), what they give.
        answer: what other prompts give.
        targets: see :func:`first_prompts`.
        image_shapes: (height, width) of the image in each of the B padded images.
        config: see :class:`PromptTraining`.
    """
    rounds = int(torch.randint(1, config.max_corrections + 1, ()))
    counts = torch.randint(1, rounds + 1, prompts.is_point.shape, device=masks.device)
    counts = counts.masked_fill(_coins(counts, config.single_share), 0)
    truth, counted = _at_size(targets, image_shapes, masks.shape)
    stride = targets[0].masks.shape[-1] / masks.shape[-1]
    for number in range(rounds):
        if number:
            masks = answer(prompts)
        clicks, labels = _clicks(truth, (truth ^ masks) & counted.unsqueeze(1))
        active = counts > number
        shown = active & _coins(active, config.mask_share)
        given = torch.zeros_like(masks) if prompts.masks is None else prompts.masks
        given = (masks & shown[..., None, None]).where(active[..., None, None], given)
        prompts = replace(
            prompts,
            clicks=torch.cat([prompts.clicks, (clicks * stride).unsqueeze(2)], dim=2),
            labels=torch.cat([prompts.labels, labels.where(active, NO_POINT).unsqueeze(2)], dim=2),
            masks=given if config.mask_share else None,
        )
    return prompts


def _coins(like: Tensor, share: float) -> Tensor:
    """Booleans of a shape, of which a share is True."""
    return torch.bernoulli(torch.full(like.shape, share, device=like.device)).bool()


def _at_size(
    targets: list[ClipTargets], image_shapes: list[tuple[int, int]], shape: torch.Size
) -> tuple[Tensor, Tensor]:
    """At the size of masks (B, N, h, w): the true ones, bool, empty beyond the objects of an image; and which cells
    (B, h, w) are image and known."""
    size = shape[-2:]
    truth = torch.zeros(shape, dtype=torch.bool, device=targets[0].masks.device)
    counted = truth.new_zeros(shape[0], *size)
    for row, known, target, (height, width) in zip(truth, counted, targets, image_shapes, strict=True):
        padded = target.masks.shape[-2:]
        if len(target.masks):
            row[: len(target.masks)] = F.interpolate(target.masks.float(), size, mode="area")[:, 0] >= 0.5
        known[: height * size[0] // padded[0], : width * size[1] // padded[1]] = True
        if target.ignored is not None:
            known &= F.interpolate(target.ignored.unsqueeze(0).float(), size, mode="area")[0, 0] == 0
    return truth, counted


def _clicks(truth: Tensor, wrong: Tensor) -> tuple[Tensor, Tensor]:
    """Points (B, N, 2) in the middle of a cell anywhere of `wrong` bool (B, N, h, w), and their labels (B, N):
    :data:`NO_POINT` where nothing is wrong."""
    points, found = random_points(wrong.flatten(0, 1))
    column, row = points[:, 0].long().unbind(-1)
    labels = truth.flatten(0, 1)[torch.arange(len(row), device=row.device), row, column].long()
    labels = labels.where(found[:, 0] == 1, NO_POINT)
    return points.view(*wrong.shape[:2], 2), labels.view(wrong.shape[:2])
