"""Images in the COCO instance format: COCO's own, LVIS, Objects365, and any other data written like it."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.dataset import force_full_init
from mmengine.logging import print_log

from omgseg.datasets.annotation_index import BOX, CROWD, SEGMENTATION, AnnotationIndex
from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.files import read_sides
from omgseg.datasets.problems import ProblemKind, read_all, report_problem
from omgseg.registry import DATASETS
from omgseg.structures import Vocabulary


@DATASETS.register_module()
class CocoInstanceDataset(SegmentationDataset):
    """Images in the COCO instance format (https://cocodataset.org/#format-data, sections 1 and 2).

    Masks are polygons or run lengths, compressed or not; they are drawn when a sample is read. Crowd regions are left
    out. ``data_prefix`` has the folder ``img``, below which ``file_name`` is, unless it is an absolute path. Training
    leaves out images without an instance; test mode keeps them, as test images have none.

    The file is not held in memory: an :class:`AnnotationIndex` finds an image and its annotations there, and the data
    list has the rows of the images that are samples.

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
        super().__init__(*args, serialize_data=False, **kwargs)  # rows are no objects

    def load_data_list(self) -> np.ndarray:
        self._index = AnnotationIndex(self.ann_file, ("images", "categories"), self.README_ANCHOR)
        self._check_file()
        if not self._index.num_annotations and not self.test_mode:
            needed = "boxes" if self.boxes_only else "masks"
            raise ValueError(
                f"{self.ann_file}: 'annotations' is empty, training needs the {needed}; "
                f"see data/README.md#{self.README_ANCHOR}"
            )
        self._instances = self._usable_annotations(self._annotations_of_categories())
        is_sample = np.ones(self._index.num_images, bool)
        if not self.test_mode:
            for row in np.flatnonzero(self._index.image_codes < 0):
                hash(self._index.image(row)["id"])  # says what is wrong with it
            is_sample = self._index.count(self._instances) > 0
            if not is_sample.any():
                raise ValueError(
                    f"{self.ann_file}: no image has an instance; 'image_id' of an annotation must be the 'id' of an "
                    "image, and 'iscrowd' 0"
                )
        left_out = np.count_nonzero(~is_sample)
        if left_out:
            print_log(
                f"{self.ann_file}: {left_out} images without instance left out", "current", logging.INFO
            )
        return np.flatnonzero(self._readable_images(is_sample))

    def _readable_images(self, is_sample: np.ndarray) -> np.ndarray:
        """Which of some images, bool (images,), are samples that can be read; notes which of them are wide."""
        readable, self._wide_images = np.zeros((2, len(is_sample)), bool)
        row = -1

        def candidates() -> Iterator[dict[str, Any]]:
            nonlocal row
            for row, image in enumerate(self._index.images()):
                if is_sample[row]:
                    yield image

        def check(image: dict[str, Any]) -> None:
            hash(image["id"])
            entry = self._entry(image, [])
            if entry is not None:
                readable[row] = True
                self._wide_images[row] = entry["width"] > entry["height"]

        read_all(check, candidates(), where=self.ann_file)
        return readable

    def _wide_samples(self) -> np.ndarray:
        return self._wide_images[self.data_list]

    @force_full_init
    def get_data_info(self, idx: int) -> dict[str, Any]:
        """The entry of a sample, read from the file."""
        row = int(self.data_list[idx])
        annotations = self._index.rows_of(row)
        instances = [
            {field: entry.get(field) for field in self._fields()}
            for entry in map(self._index.annotation, annotations[self._instances[annotations]])
        ]
        entry = self._entry(self._index.image(row), instances)
        return {**entry, "sample_idx": idx if idx >= 0 else len(self) + idx}

    def _check_file(self) -> None:
        """Refuse a file of another kind; subclasses know how one looks."""
        if self._index.num_annotations and "segments_info" in self._index.annotation(0):
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

    def _annotations_of_categories(self) -> np.ndarray:
        """Which annotations are of the categories that are read, bool (annotations,); takes these as vocabulary."""
        categories, ids = self._index.fields["categories"], self._index.category_ids
        is_chosen = np.ones(len(ids), bool)
        if self.only is not None:
            categories = self._choose_categories(categories)
            chosen = {category["id"] for category in categories}
            is_chosen = np.array([category_id in chosen for category_id in ids], bool)

        def used() -> Iterator[Any]:
            for row in np.flatnonzero(self._index.categories < 0):
                yield self._index.annotation(row)["category_id"]  # an error: there is none, or no id
            yield from (category_id for category_id, taken in zip(ids, is_chosen, strict=True) if taken)

        self.use_categories(categories, used())
        return is_chosen[self._index.categories]

    def _usable_annotations(self, candidates: np.ndarray) -> np.ndarray:
        """Which of some annotations, bool (annotations,), are instances. What columns cannot tell is looked up."""
        index = self._index
        has_shape = index.has(BOX if self.boxes_only else SEGMENTATION)
        usable = candidates & has_shape & ~index.has(CROWD)
        doubtful = candidates & (~has_shape | (index.annotation_codes < 0))
        if self.pseudo_labels is not None:
            doubtful |= usable & np.isnan(index.scores)
            usable &= index.scores >= self.pseudo_labels.min_score
        for row in np.flatnonzero(doubtful):
            usable[row] = self._is_instance(index.annotation(row))
        return usable

    def _is_instance(self, annotation: dict[str, Any]) -> bool:
        if not annotation.get("bbox" if self.boxes_only else "segmentation"):
            text = self._without_box(annotation) if self.boxes_only else self._without_mask(annotation)
            report_problem(ProblemKind.ANNOTATION, ValueError(text))
            return False
        if annotation.get("iscrowd"):
            return False
        if self.pseudo_labels is not None:
            where = f"{self.ann_file}: annotation {annotation['id']}"
            if not self.pseudo_labels.finds(annotation, where):
                return False
        hash(annotation["image_id"])  # says what is wrong with it
        return True

    def _fields(self) -> list[str]:
        """What samples need of an annotation."""
        fields = ["id", "category_id", *(("bbox",) if self.boxes_only else ("segmentation", "area"))]
        if self.test_mode and not self.boxes_only:  # training has no use for a million of them
            fields.append("bbox")
        return fields if self.pseudo_labels is None else [*fields, "score"]

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

    def _check_file(self) -> None:
        super()._check_file()
        categories = self._index.fields["categories"]
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
