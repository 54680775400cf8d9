"""Images in the COCO panoptic format: COCO with classes and as prompts, ADE20K."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from typing import Any

from mmengine.logging import print_log

from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.files import annotations_of, read_json, read_sides
from omgseg.datasets.problems import read_all
from omgseg.datasets.pseudo_labels import check_score
from omgseg.datasets.vocabularies import load_vocabulary
from omgseg.registry import DATASETS


@DATASETS.register_module()
class CocoPanopticDataset(SegmentationDataset):
    """Images in the COCO panoptic format (https://cocodataset.org/#format-data, section 4).

    ``data_prefix`` has the folders ``img`` (images; a ``file_name`` may also be an absolute path) and ``seg`` (panoptic
    PNGs). Training leaves out images without an annotation; test mode keeps them, as test images have none.
    """

    README_ANCHOR = "coco"
    SEG_FORMAT = "coco_panoptic"
    SOURCE = "coco_panoptic"
    TASKS = ("panoptic", "instance")
    HAS_SCORES = True

    def load_data_list(self) -> list[dict[str, Any]]:
        data = read_json(self.ann_file, ("images", "categories"), self.README_ANCHOR)
        annotations = {entry["image_id"]: entry for entry in annotations_of(data, self.ann_file)}
        if not annotations and not self.test_mode:
            raise ValueError(
                f"{self.ann_file}: 'annotations' is empty, training needs the panoptic annotations; "
                f"see data/README.md#{self.README_ANCHOR}"
            )
        segments = (segment for entry in annotations.values() for segment in self._segments_of(entry))
        self.use_categories(data["categories"], (segment["category_id"] for segment in segments))
        if self.pseudo_labels is not None:
            self._check_scores(annotations.values())
        images = data["images"]
        if not self.test_mode:
            images = [image for image in images if image["id"] in annotations]
        if len(images) < len(data["images"]):
            left_out = len(data["images"]) - len(images)
            print_log(
                f"{self.ann_file}: {left_out} images without annotation left out", "current", logging.INFO
            )
        return read_all(
            lambda image: self._entry(image, annotations.get(image["id"])), images, where=self.ann_file
        )

    def _segments_of(self, annotation: dict[str, Any]) -> list[dict[str, Any]]:
        if "segments_info" not in annotation:
            raise ValueError(
                f"{self.ann_file}: an annotation has no field 'segments_info', this is not a panoptic file "
                f"(panoptic_*.json); see data/README.md#{self.README_ANCHOR}"
            )
        return annotation["segments_info"]

    def _check_scores(self, annotations: Iterable[dict[str, Any]]) -> None:
        for annotation in annotations:
            for segment in self._segments_of(annotation):
                where = f"{self.ann_file}: segment {segment['id']} of image {annotation['image_id']}"
                check_score(segment, where)

    def _entry(self, image: dict[str, Any], annotation: dict[str, Any] | None) -> dict[str, Any]:
        height, width = read_sides(image, f"{self.ann_file}, image {image['id']}")
        frame = {
            "img_path": os.path.join(self.data_prefix["img"], image["file_name"]),
            "img_id": image["id"],
            "frame_id": 0,
        }
        if annotation is not None:
            frame["seg_map_path"] = f"{self.data_prefix['seg'].rstrip('/')}/{annotation['file_name']}"
            frame["segments_info"] = annotation["segments_info"]
        return {"frames": [frame], "is_video": False, "height": height, "width": width}


@DATASETS.register_module()
class CocoPromptDataset(CocoPanopticDataset):
    """The same images as class-agnostic masks for training with prompts; a stuff segment counts as one object."""

    SOURCE = "coco_prompts"
    TASKS = ("interactive",)
    CLASS_AGNOSTIC = True


@DATASETS.register_module()
class ADE20KDataset(CocoPanopticDataset):
    """ADEChallengeData2016 (http://sceneparsing.csail.mit.edu), as converted by ``tools/datasets/ade20k_panoptic.py``
    or by Mask2Former's scripts: ``ann_file`` is ``ade20k_panoptic_{train,val}.json``.

    A category id is the value of the semantic masks minus one, in the panoptic and in the instance file; image ids
    are strings (``ADE_val_00000001``).
    """

    README_ANCHOR = "ade20k"
    SOURCE = "ade20k"

    def __init__(self, *args: Any, vocabulary: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, vocabulary=vocabulary or load_vocabulary("ade20k"), **kwargs)

    def _entry(self, image: dict[str, Any], annotation: dict[str, Any] | None) -> dict[str, Any]:
        """Stuff without its area, which counts the pixels under things too: only the evaluation needs it so."""
        entry = super()._entry(image, annotation)
        stuff = {category.id for category in self.vocabulary if not category.is_thing}
        for frame in entry["frames"]:
            if "segments_info" in frame:
                frame["segments_info"] = [
                    {k: v for k, v in segment.items() if k != "area" or segment["category_id"] not in stuff}
                    for segment in frame["segments_info"]
                ]
        return entry
