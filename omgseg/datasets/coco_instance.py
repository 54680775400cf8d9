"""Images in the COCO instance format: COCO's own, LVIS, Objects365, and any other data written like it."""

from __future__ import annotations

import logging
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.logging import print_log

from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.files import annotations_of, read_json, read_sides
from omgseg.datasets.problems import ProblemKind, read_all, report_problem
from omgseg.registry import DATASETS
from omgseg.structures import Vocabulary


@DATASETS.register_module()
class CocoInstanceDataset(SegmentationDataset):
    """Images in the COCO instance format (https://cocodataset.org/#format-data, sections 1 and 2).

    Masks are polygons or run lengths, compressed or not; they are drawn when a sample is read. Crowd regions are left
    out. ``data_prefix`` has the folder ``img``, below which ``file_name`` is, unless it is an absolute path. Training
    leaves out images without an instance; test mode keeps them, as test images have none.

    Args:
        only: the categories that are read, by a field of the file's ``categories`` and its values, such as
            ``dict(frequency=["c", "f"])`` of LVIS or ``dict(id=[1, 3])``. Annotations of other categories are left out,
            and the vocabulary has these alone. None: all.
        boxes_only: read ``bbox`` and no masks. Samples then have boxes and labels, and no masks: a training must know
            what to do with them, as that of projects/ov_sam does.
        args, kwargs: see :class:`SegmentationDataset`.
    """

    README_ANCHOR = "coco"
    SEG_FORMAT = "rle"
    SOURCE = "coco_instance"
    TASKS = ("instance",)
    PREFIXES = ("img",)
    HAS_SCORES = True

    def __init__(
        self,
        *args: Any,
        only: Mapping[str, Sequence[Any]] | None = None,
        boxes_only: bool = False,
        **kwargs: Any,
    ) -> None:
        self.only = only
        self.boxes_only = boxes_only
        if boxes_only:
            self.SEG_FORMAT = "boxes"
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        data = read_json(self.ann_file, ("images", "categories"), self.README_ANCHOR)
        self._check_file(data)
        annotations = annotations_of(data, self.ann_file)
        if not annotations and not self.test_mode:
            needed = "boxes" if self.boxes_only else "masks"
            raise ValueError(
                f"{self.ann_file}: 'annotations' is empty, training needs the {needed}; "
                f"see data/README.md#{self.README_ANCHOR}"
            )
        categories = data["categories"]
        if self.only is not None:
            categories = self._choose_categories(categories)
            chosen = {category["id"] for category in categories}
            annotations = [entry for entry in annotations if entry["category_id"] in chosen]
        self.use_categories(categories, (entry["category_id"] for entry in annotations))
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
        entries = read_all(
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

    def _choose_categories(self, categories: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those that `only` names; a vocabulary that was given loses the others."""
        for field, values in self.only.items():
            there = {category.get(field) for category in categories}
            missing = [value for value in values if value not in there]
            if missing or not values:
                what = f"the {field} {missing[0]!r}" if missing else f"no {field}"
                raise ValueError(
                    f"{self.ann_file}: only={dict(self.only)} names {what}, which no category of the file has"
                )
            categories = [category for category in categories if category.get(field) in values]
        chosen = {category["id"] for category in categories}
        if self._vocabulary is not None:
            self._vocabulary = Vocabulary(word for word in self._vocabulary if word.id in chosen)
        return categories

    def _instances(self, annotations: list[dict[str, Any]]) -> dict[Any, list[dict[str, Any]]]:
        """What the samples need of the annotations, by image id."""
        instances = defaultdict(list)
        shape = "bbox" if self.boxes_only else "segmentation"
        fields = ["id", "category_id", shape]
        if not self.boxes_only:
            fields.append("area")
            if self.test_mode:  # training has no use for a million of them
                fields.append("bbox")
        pseudo_labels = self.pseudo_labels
        if pseudo_labels is not None:
            fields.append("score")
        for entry in annotations:
            if not entry.get(shape):
                text = self._without_box(entry) if self.boxes_only else self._without_mask(entry)
                report_problem(ProblemKind.ANNOTATION, ValueError(text))
            elif not entry.get("iscrowd") and (
                pseudo_labels is None
                or pseudo_labels.finds(entry, f"{self.ann_file}: annotation {entry['id']}")
            ):
                instances[entry["image_id"]].append({key: entry.get(key) for key in fields})
        return dict(instances)

    def _without_mask(self, annotation: dict[str, Any]) -> str:
        return (
            f"{self.ann_file}: annotation {annotation['id']} has no mask ('segmentation'); give it polygons or run "
            "lengths, or remove it"
        )

    def _without_box(self, annotation: dict[str, Any]) -> str:
        return (
            f"{self.ann_file}: annotation {annotation['id']} has no box ('bbox'); give it x, y, width and height, or "
            "remove it"
        )

    def _entry(self, image: dict[str, Any], instances: list[dict[str, Any]]) -> dict[str, Any] | None:
        height, width = read_sides(image, f"{self.ann_file}: image {image['id']}")
        name = self._file_name(image)
        if name is None:
            return None
        frame = {
            "img_path": os.path.join(self.data_prefix["img"], name),
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


@DATASETS.register_module()
class CocoInstancePromptDataset(CocoInstanceDataset):
    """The same images as class-agnostic masks to prompt for."""

    SOURCE = "coco_instance_prompts"
    TASKS = ("interactive",)
    CLASS_AGNOSTIC = True


NUM_CATEGORIES_V05 = 1230
"""LVIS v1 has 1203, with other ids; the files look alike otherwise."""


@DATASETS.register_module()
class LVISDataset(CocoInstanceDataset):
    """LVIS v1 (https://www.lvisdataset.org/dataset) in its official files.

    An image has no ``file_name``: the end of its ``coco_url`` is the path below the folder ``img`` of
    ``data_prefix``, which holds COCO's ``train2017/`` and ``val2017/``; each split has images of both.

    Raises:
        ValueError: the file is of LVIS v0.5, or its category ids are not those of the vocabulary.
    """

    README_ANCHOR = "lvis"
    SOURCE = "lvis"

    def _check_file(self, data: dict[str, Any]) -> None:
        super()._check_file(data)
        categories = data["categories"]
        if len(categories) == NUM_CATEGORIES_V05:
            raise ValueError(
                f"{self.ann_file} is of LVIS v0.5 ({NUM_CATEGORIES_V05} categories with other ids than in v1); "
                "download the file of LVIS v1 (lvis_v1_train.json, lvis_v1_val.json; 1203 categories) from "
                f"https://www.lvisdataset.org/dataset; see data/README.md#{self.README_ANCHOR}"
            )
        words = None if self.CLASS_AGNOSTIC else self._vocabulary
        known = words.id_to_label if words is not None else None
        foreign = [entry for entry in categories if known is not None and entry["id"] not in known]
        if foreign:
            raise ValueError(
                f"{self.ann_file}: {len(foreign)} of {len(categories)} 'categories' are not in the vocabulary of "
                f"{len(known)}, first id {foreign[0]['id']} ({foreign[0]['name']}); take the file of LVIS v1, or "
                "vocabulary=None for the file's own categories"
            )

    def _file_name(self, image: dict[str, Any]) -> str | None:
        if "coco_url" not in image:
            raise ValueError(
                f"{self.ann_file}: image {image['id']} has no field 'coco_url', this is not an LVIS file; "
                f"see data/README.md#{self.README_ANCHOR}"
            )
        return "/".join(image["coco_url"].split("/")[-2:])


@DATASETS.register_module()
class LVISPromptDataset(LVISDataset):
    """The same images as class-agnostic masks to prompt for."""

    SOURCE = "lvis_prompts"
    TASKS = ("interactive",)
    CLASS_AGNOSTIC = True


NOT_DISTRIBUTED = frozenset(
    {
        "patch6/objects365_v1_00320532.jpg",
        "patch6/objects365_v1_00320534.jpg",
        "patch16/objects365_v2_00908726.jpg",
    }
)
"""Images that the official annotations list and the archives lack."""
_PATCH_AND_NAME = re.compile(r"patch\d+/[^/]+$")


@DATASETS.register_module()
class Objects365Dataset(CocoInstanceDataset):
    """Objects365 v2 (https://www.objects365.org) with masks in the COCO instance format.

    The official files have boxes only, for which there is ``boxes_only=True``; the pseudo masks that others published
    for them have the same images and category ids. ``data_prefix`` has the folder ``img`` (``train/`` or ``val/``),
    with the images in ``patch<N>/`` whatever stands before it in ``file_name`` (officially
    ``images/v1/patch8/objects365_v1_00420917.jpg``).
    """

    README_ANCHOR = "objects365"
    SOURCE = "objects365"

    def _without_mask(self, annotation: dict[str, Any]) -> str:
        return (
            f"{self.ann_file}: annotation {annotation['id']} has a box but no mask ('segmentation'): the official "
            "detection file has boxes only; take the file with pseudo masks, or boxes_only=True; "
            f"see data/README.md#{self.README_ANCHOR}"
        )

    def _file_name(self, image: dict[str, Any]) -> str | None:
        name = super()._file_name(image)
        found = _PATCH_AND_NAME.search(name or "")
        if found is None:
            raise ValueError(
                f"{self.ann_file}: file_name {name!r} of image {image['id']} is not of Objects365 v2 "
                "(.../patch<N>/<name>.jpg); the categories of v1 have other ids; "
                f"see data/README.md#{self.README_ANCHOR}"
            )
        return None if found[0] in NOT_DISTRIBUTED else found[0]


@DATASETS.register_module()
class V3DetDataset(CocoInstanceDataset):
    """V3Det (https://v3det.openxlab.org.cn, arXiv:2304.03752): boxes of 13,204 categories, without masks.

    ``file_name`` begins with ``images/``, so that the folder ``img`` of ``data_prefix`` is the dataset's own.
    """

    README_ANCHOR = "v3det"
    SOURCE = "v3det"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, boxes_only=True, **kwargs)
