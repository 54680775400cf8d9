"""Do both sides compute the same?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from omgseg.benchmark import inputs
from omgseg.benchmark.cases import CASES, mmdet_targets, our_targets
from omgseg.benchmark.heads import build_mmdet, build_ours
from omgseg.benchmark.sizes import HeadSizes


@dataclass(frozen=True)
class Check:
    """Attributes:
    deviation: the largest, relative to the largest value.
    tolerance: what it may be.
    """

    deviation: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.deviation <= self.tolerance


class SharedPoints(TorchFunctionMode):
    """Inside this block ``torch.rand`` draws the same numbers for each row and at each call.

    Both sides then sample the same points, although one draws them layer by layer and the other for all layers.
    """

    def __torch_function__(
        self, func: Callable, types: tuple, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is not torch.rand:
            return func(*args, **(kwargs or {}))
        rows, *shape = args[0] if len(args) == 1 else args
        row = torch.empty(shape).uniform_(generator=torch.Generator().manual_seed(0))
        return row.expand(rows, *shape).clone()


def check_masks(sizes: HeadSizes) -> Check:
    """Stride-4 mask logits after every layer, the same weights and image.

    Our position encoding has a third axis, time, which is constant for an image: it adds the same to every attention
    logit of a query, and so changes nothing.
    """
    ours, mmdet = build_ours(sizes).eval(), build_mmdet(sizes).eval()
    features = inputs.image_features(sizes, sizes.image_size)
    with torch.no_grad():
        outputs = ours.query_decoder(*ours.pixel_decoder(features))
        _, masks = mmdet(features, [])
        deviations = [
            _deviation(output.mask_logits[:, :, 0], mask) for output, mask in zip(outputs, masks, strict=True)
        ]
    # rounding may move a cell across the border of an attention mask
    return Check(max(deviations), 1e-2)


def check_losses(sizes: HeadSizes) -> Check:
    """Class, mask and dice losses of every layer, the same predictions and sampled points."""
    head, mmdet = build_ours(sizes).eval(), build_mmdet(sizes)
    targets, criterion = our_targets(sizes)
    with torch.no_grad(), SharedPoints():
        outputs = head.decode(*inputs.pixel_features(sizes, sizes.train_size))
        ours = criterion.entity_losses(outputs, targets)
        masks = [output.mask_logits[:, :, 0] for output in outputs]
        classes = [output.class_logits for output in outputs]
        theirs = mmdet.loss_by_feat(classes, masks, mmdet_targets(sizes), [{}])
    return Check(max(_deviation(ours[name], value) for name, value in theirs.items()), 1e-4)


def check_panoptic(sizes: HeadSizes) -> Check:
    """The panoptic map: the share of pixels that differ. None may."""
    case = CASES["panoptic"]
    ours, theirs = case.ours(sizes)(), case.mmdet(sizes)()
    return Check((ours != theirs).float().mean().item(), 0.0)


CHECKS = {"mask_logits": check_masks, "losses": check_losses, "panoptic_map": check_panoptic}


def _deviation(ours: Tensor, theirs: Tensor) -> float:
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()
