"""What metrics of instance segmentation share that compare with one JSON file."""

from __future__ import annotations

from abc import abstractmethod
from itertools import chain
from typing import Any

from omgseg.evaluation.functional.json_file import load_annotations
from omgseg.evaluation.metrics.base import SampleMetric, percent, to_numpy
from omgseg.structures.run_lengths import encode_masks


class InstanceFileMetric(SampleMetric):
    """Collects ``pred_instances`` (labels, scores, masks) as result entries in COCO's format.

    Args:
        ann_file: instance JSON.
        kwargs: see SampleMetric.

    Raises:
        FileNotFoundError, ValueError: the file is missing or of another kind.
    """

    def __init__(self, ann_file: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ann_file = ann_file
        self.ground_truth = load_annotations(ann_file, ("images", "annotations", "categories"))
        self.sizes = {i["id"]: (i["height"], i["width"]) for i in self.ground_truth["images"]}

    @abstractmethod
    def evaluate_entries(self, entries: list[dict[str, Any]], image_ids: list[Any]) -> dict[str, float]:
        """Values (fractions, -1 where undefined) of the result entries of these images."""

    def reduce(self, sample: dict[str, Any]) -> list[dict[str, Any]]:
        """The result entries of an image."""
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
        entries = list(chain.from_iterable(results.values()))
        return percent(self.evaluate_entries(entries, list(results)))
