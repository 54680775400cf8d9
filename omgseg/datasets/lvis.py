"""LVIS v1: COCO's images with 1203 categories."""

from __future__ import annotations

from typing import Any

from omgseg.datasets.coco_instance import CocoInstanceDataset
from omgseg.registry import DATASETS

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
        known = self._vocabulary.id_to_label if self._vocabulary is not None else None
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
                f"{self.ann_file}: image {image['id']} has no field 'coco_url', this is no LVIS file; "
                f"see data/README.md#{self.README_ANCHOR}"
            )
        return "/".join(image["coco_url"].split("/")[-2:])
