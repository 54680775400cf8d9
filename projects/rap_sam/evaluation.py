"""COCO-SAM as the released code evaluates it: where it clicks, and what it counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import BaseTransform

from omgseg.evaluation.functional.interactive import centre_of, mask_overlaps
from omgseg.evaluation.metrics.base import SampleMetric, percent, to_numpy
from omgseg.registry import METRICS, TRANSFORMS

NOC_THRESHOLDS = (0.5, 0.8, 0.85, 0.9)
MAX_CLICKS = 20
"""What an object counts in NoC that one click does not segment well enough."""


@TRANSFORMS.register_module()
class PublishedClicks(BaseTransform):
    """One click on each object of an image, where the published evaluation has it: the number of the pixel that is
    farthest from the mask's edge (:func:`centre_of`), without the half pixel to its centre.

    Adds ``prompts`` as ``SamplePrompts`` does; belongs after a ``Resize`` of images and masks.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        points = [centre_of(mask.astype(bool)) for mask in results["gt_masks"][:, 0]]
        results["prompts"] = {"points": np.array(points, np.float32).reshape(-1, 2)}
        return results


@METRICS.register_module()
class PublishedInteractiveMetric(SampleMetric):
    """IoU of the masks of single clicks as the released code counts it; reads ``pred_instances.masks`` and
    ``gt_instances.masks``, paired by row.

    The masks of the annotations, which have the size of the resized image, are resized to those of the prediction,
    bilinearly, and everything above 0 counts: they grow. Values: ``mIoU``, NaN if both masks of an object are empty;
    ``NoC@50``, ..., where an object counts 1 or `MAX_CLICKS`.

    Args:
        cut: count only the first masks, as many as there are images, as the released code does; its own order within
            an image is random. False: all.
        kwargs: see :class:`SampleMetric`.
    """

    default_prefix = "published"

    def __init__(self, cut: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cut = cut

    def reduce(self, sample: dict[str, Any]) -> np.ndarray:
        """The IoU (N,) of an image's masks."""
        truth = torch.as_tensor(self.field(sample, "gt_instances")["masks"])
        found = to_numpy(self.field(sample, "pred_instances")["masks"]).astype(bool)
        if not len(truth):
            return np.zeros(0)
        grown = (
            F.interpolate(truth.float()[None], found.shape[1:], mode="bilinear", align_corners=False)[0] > 0
        )
        intersection, union = mask_overlaps(grown.cpu().numpy(), found)
        with np.errstate(invalid="ignore"):
            return intersection / union

    def summarize(self, results: dict[Any, np.ndarray]) -> dict[str, float]:
        ious = np.concatenate(list(results.values()))
        if self.cut:
            ious = ious[: len(results)]
        clicks = {
            f"NoC@{round(100 * limit)}": float(np.where(ious >= limit, 1, MAX_CLICKS).mean())
            for limit in NOC_THRESHOLDS
        }
        return percent({"mIoU": float(ious.mean())}) | clicks
