"""Cityscapes' own instance AP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omgseg.evaluation.functional.cityscapes_instance import match_instances, summarize_cityscapes
from omgseg.evaluation.metrics.base import SampleMetric, percent, to_numpy
from omgseg.registry import METRICS


@METRICS.register_module()
class CityscapesInstanceMetric(SampleMetric):
    """Instance AP of Cityscapes' official evaluation; reads ``pred_instances`` (labels, scores, masks).

    Ground truth of each image: ``<city>/<img_id>_gtFine_instanceIds.png``, where an ``img_id`` is the name of the
    image without ``_leftImg8bit.png`` and begins with the city. Category ids of the vocabulary are the
    official label ids.

    Values: ``AP`` and ``AP50``, means over the classes that occur in the ground truth; NaN without any.

    Args:
        seg_prefix: folder of the cities in ``gtFine``.
        prefix, kwargs: see mmengine's BaseMetric.

    Raises:
        FileNotFoundError: the folder is missing.
    """

    default_prefix = "cityscapes"

    def __init__(self, seg_prefix: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seg_prefix = Path(seg_prefix)
        if not self.seg_prefix.is_dir():
            raise FileNotFoundError(f"{seg_prefix} not found; see data/README.md#cityscapes")

    def reduce(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Areas and overlaps of an image's predictions and objects."""
        name = str(self.field(sample, "img_id"))
        path = self.seg_prefix / name.split("_")[0] / f"{name}_gtFine_instanceIds.png"
        predicted = self.field(sample, "pred_instances")
        labels, scores, masks = (to_numpy(predicted[field]) for field in ("labels", "scores", "masks"))
        return match_instances(path, self.category_ids(labels).tolist(), scores.tolist(), masks)

    def summarize(self, results: dict[Any, dict[str, Any]]) -> dict[str, float]:
        return percent(summarize_cityscapes(results.values())[0])
