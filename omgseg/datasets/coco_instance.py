"""Images in the COCO instance format: COCO's own, and any other data written like it."""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import Any

from mmengine.logging import print_log

from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.files import read_json, read_sides
from omgseg.datasets.problems import Kind, problem, read_each
from omgseg.registry import DATASETS


@DATASETS.register_module()
class CocoInstanceDataset(SegmentationDataset):
    """Images in the COCO instance format (https://cocodataset.org/#format-data, sections 1 and 2).

    Masks are polygons or run lengths, compressed or not; they are drawn when a sample is read. Crowd regions are left
    out. ``data_prefix`` has the folder ``img``, below which ``file_name`` is. Training leaves out images without
    an instance; test mode keeps them, as test images have none.
    """

    README_ANCHOR = "coco"
    SEG_FORMAT = "rle"
    SOURCE = "coco_instance"
    TASKS = ("instance",)
    PREFIXES = ("img",)

    def load_data_list(self) -> list[dict[str, Any]]:
        data = read_json(self.ann_file, ("images", "categories"), self.README_ANCHOR)
        self._check_file(data)
        annotations = data.get("annotations") or []
        if not annotations and not self.test_mode:
            raise ValueError(
                f"{self.ann_file}: 'annotations' is empty, training needs the masks; "
                f"see data/README.md#{self.README_ANCHOR}"
            )
        self.use_categories(data["categories"], (entry["category_id"] for entry in annotations))
        instances = self._instances(annotations)
        images = data["images"]
        if not self.test_mode:
            images = [image for image in images if image["id"] in instances]
            if not images:
                raise ValueError(
                    f"{self.ann_file}: no image has an instance; 'image_id' of an annotation must be the 'id' of an "
                    "image, and 'iscrowd' 0"
                )
        if len(images) < len(data["images"]):
            left_out = len(data["images"]) - len(images)
            print_log(
                f"{self.ann_file}: {left_out} images without instance left out", "current", logging.INFO
            )
        entries = read_each(
            lambda image: self._entry(image, instances.get(image["id"], [])), images, where=self.ann_file
        )
        return [entry for entry in entries if entry]

    def _check_file(self, data: dict[str, Any]) -> None:
        """Refuse a file of another kind; subclasses know how one looks."""
        if data.get("annotations") and "segments_info" in data["annotations"][0]:
            raise ValueError(
                f"{self.ann_file} is a panoptic file (field 'segments_info'); CocoPanopticDataset reads it, this "
                f"dataset reads instance files; see data/README.md#{self.README_ANCHOR}"
            )

    def _instances(self, annotations: list[dict[str, Any]]) -> dict[Any, list[dict[str, Any]]]:
        """What the samples need of the annotations, by image id."""
        instances = defaultdict(list)
        for entry in annotations:
            if not entry.get("segmentation"):
                problem(Kind.ANNOTATION, ValueError(self._without_mask(entry)))
            elif not entry.get("iscrowd"):
                instances[entry["image_id"]].append(
                    {
                        "id": entry["id"],
                        "category_id": entry["category_id"],
                        "segmentation": entry["segmentation"],
                        "area": entry.get("area"),
                    }
                )
        return dict(instances)

    def _without_mask(self, annotation: dict[str, Any]) -> str:
        return (
            f"{self.ann_file}: annotation {annotation['id']} has no mask ('segmentation'); give it polygons or run "
            "lengths, or remove it"
        )

    def _entry(self, image: dict[str, Any], instances: list[dict[str, Any]]) -> dict[str, Any] | None:
        height, width = read_sides(image, f"{self.ann_file}: image {image['id']}")
        name = self._file_name(image)
        if name is None:
            return None
        frame = {
            "img_path": f"{self.data_prefix['img'].rstrip('/')}/{name}",
            "img_id": image["id"],
            "frame_id": 0,
            "instances": instances,
        }
        return {"frames": [frame], "is_video": False, "height": height, "width": width}

    def _file_name(self, image: dict[str, Any]) -> str | None:
        """Path below the image folder; None leaves the image out."""
        if "file_name" not in image:
            raise ValueError(f"{self.ann_file}: image {image['id']} has no field 'file_name'")
        return image["file_name"]
