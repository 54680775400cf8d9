"""Mask AP of images."""

from __future__ import annotations

from itertools import chain
from typing import Any

from omgseg.evaluation.functional.coco_instance import evaluate_instances
from omgseg.evaluation.functional.json_file import load_annotations
from omgseg.evaluation.metrics.base import SampleMetric, encode_masks, percent, to_numpy
from omgseg.registry import METRICS


@METRICS.register_module()
class CocoInstanceMetric(SampleMetric):
    """Mask AP against a COCO instance file; reads ``pred_instances`` (labels, scores, masks).

    Values: the twelve COCO numbers (``AP``, ``AP50``, ``AP75``, ``APs``, ... ``AR@100``, ...), -1 where
    undefined. The classes are those of the annotation file, the images those that were predicted.

    Args:
        ann_file: instance JSON.
        prefix, kwargs: see mmengine's BaseMetric.

    Raises:
        FileNotFoundError, ValueError: the file is missing or of another kind.
    """

    default_prefix = "coco_instance"

    def __init__(self, ann_file: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ann_file = ann_file
        self.ground_truth = load_annotations(ann_file, ("images", "annotations", "categories"))
        self.sizes = {i["id"]: (i["height"], i["width"]) for i in self.ground_truth["images"]}

    def reduce(self, sample: dict[str, Any]) -> list[dict[str, Any]]:
        image_id = self.field(sample, "img_id")
        if image_id not in self.sizes:
            raise ValueError(
                f"{self.ann_file}: field 'images' has no entry with id {image_id!r}; dataset and metric must "
                "use the same annotation file"
            )
        predicted = self.field(sample, "pred_instances")
        masks = to_numpy(predicted["masks"])
        if masks.shape[1:] != self.sizes[image_id]:
            raise ValueError(
                f"image {image_id}: predicted masks have size {masks.shape[1:]}, {self.ann_file} says "
                f"{self.sizes[image_id]}; predictions must be resized to the original image (ori_shape)"
            )
        categories = self.category_ids(to_numpy(predicted["labels"])).tolist()
        scores = to_numpy(predicted["scores"]).tolist()
        return [
            {"image_id": image_id, "category_id": category, "score": score, "segmentation": mask}
            for category, score, mask in zip(categories, scores, encode_masks(masks), strict=True)
        ]

    def summarize(self, results: dict[Any, list[dict[str, Any]]]) -> dict[str, float]:
        detections = list(chain.from_iterable(results.values()))
        return percent(evaluate_instances(self.ground_truth, detections, list(results))[0])
