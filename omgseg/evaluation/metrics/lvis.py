"""LVIS AP of images."""

from __future__ import annotations

from typing import Any

from omgseg.evaluation.functional.lvis import check_lvis_fields, evaluate_lvis
from omgseg.evaluation.metrics.instance_file import InstanceFileMetric
from omgseg.registry import METRICS


@METRICS.register_module()
class LVISMetric(InstanceFileMetric):
    """Mask AP against an LVIS v1 file; reads ``pred_instances`` (labels, scores, masks).

    Values: ``AP``, ``AP50``, ``AP75``, ``APs``, ``APm``, ``APl``, ``APr``, ``APc``, ``APf`` (rare, common and
    frequent categories), ``AR@300``, ``ARs@300``, ``ARm@300``, ``ARl@300``, -1 where undefined. The classes
    are those of the annotation file, the images those that were predicted.

    Args:
        ann_file: LVIS JSON.
        prefix, kwargs: see mmengine's BaseMetric.

    Raises:
        FileNotFoundError, ValueError: the file is missing or of another kind.
    """

    default_prefix = "lvis"

    def __init__(self, ann_file: str, **kwargs: Any) -> None:
        super().__init__(ann_file, **kwargs)
        check_lvis_fields(self.ground_truth, ann_file)

    def evaluate_entries(self, entries: list[dict[str, Any]], image_ids: list[Any]) -> dict[str, float]:
        return evaluate_lvis(self.ground_truth, entries, image_ids)[0]
