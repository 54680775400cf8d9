"""IoU of prompted masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from omgseg.evaluation.functional.interactive import mask_overlaps, summarize_overlaps
from omgseg.evaluation.metrics.base import SampleMetric, percent, to_numpy
from omgseg.registry import METRICS


@METRICS.register_module()
class InteractiveMetric(SampleMetric):
    """IoU of the masks of prompts; reads ``pred_instances.masks`` and ``gt_instances.masks``, paired by row.

    Values: ``mIoU``, ``IoU@50``, ``IoU@75`` (shares of prompts at or above), ``oIoU``.
    """

    default_prefix = "interactive"

    def reduce(self, sample: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        ground_truth, predicted = (
            to_numpy(self.field(sample, name)["masks"]) for name in ("gt_instances", "pred_instances")
        )
        try:
            return mask_overlaps(ground_truth, predicted)
        except ValueError as error:
            raise ValueError(f"image {sample.get('img_id')!r}: {error}") from error

    def summarize(self, results: dict[Any, tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        intersection, union = (np.concatenate(parts) for parts in zip(*results.values(), strict=True))
        if not len(union):
            raise ValueError(f"none of the {len(results)} images has a prompted object")
        summary = summarize_overlaps(intersection, union)
        return percent({name: summary[name] for name in ("mIoU", "IoU@50", "IoU@75", "oIoU")})
