"""Mask AP and boundary AP of images."""

from __future__ import annotations

from typing import Any

from omgseg.evaluation.functional.coco_instance import evaluate_instances
from omgseg.evaluation.metrics.instance_file import InstanceFileMetric
from omgseg.registry import METRICS


@METRICS.register_module()
class CocoInstanceMetric(InstanceFileMetric):
    """Mask AP against a COCO instance file; reads ``pred_instances`` (labels, scores, masks).

    Values: the twelve COCO numbers (``AP``, ``AP50``, ``AP75``, ``APs``, ... ``AR@100``, ...), -1 where
    undefined. The classes are those of the annotation file, the images those that were predicted.

    Args:
        ann_file: instance JSON.
        boundary: also the twelve numbers of boundary AP: ``AP_boundary``, ``AP50_boundary``, ...
        prefix, kwargs: see mmengine's BaseMetric.

    Raises:
        FileNotFoundError, ValueError: the file is missing or of another kind.
    """

    default_prefix = "coco_instance"

    def __init__(self, ann_file: str, boundary: bool = False, **kwargs: Any) -> None:
        super().__init__(ann_file, **kwargs)
        self.boundary = boundary

    def evaluate_entries(self, entries: list[dict[str, Any]], image_ids: list[Any]) -> dict[str, float]:
        values, _ = evaluate_instances(self.ground_truth, entries, image_ids)
        if self.boundary:
            bands, _ = evaluate_instances(self.ground_truth, entries, image_ids, boundary=True)
            values |= {f"{name}_boundary": value for name, value in bands.items()}
        return values
