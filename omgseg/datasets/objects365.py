"""Objects365 v2 with pseudo masks."""

from __future__ import annotations

import re
from typing import Any

from omgseg.datasets.coco_instance import CocoInstanceDataset
from omgseg.registry import DATASETS

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

    The official files have boxes only; the pseudo masks that others published for them have the same images and
    category ids. ``data_prefix`` has the folder ``img`` (``train/`` or ``val/``), with the images in ``patch<N>/``
    whatever stands before it in ``file_name`` (officially ``images/v1/patch8/objects365_v1_00420917.jpg``).
    """

    README_ANCHOR = "objects365"
    SOURCE = "objects365"

    def _without_mask(self, annotation: dict[str, Any]) -> str:
        return (
            f"{self.ann_file}: annotation {annotation['id']} has a box but no mask ('segmentation'): the official "
            "detection file has boxes only; take the file with pseudo masks; "
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
