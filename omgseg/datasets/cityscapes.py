"""Cityscapes: street scenes, from the official folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.problems import read_all
from omgseg.datasets.vocabularies import load_vocabulary
from omgseg.registry import DATASETS
from omgseg.structures.label_png import image_size

IMAGE_SUFFIX = "_leftImg8bit.png"
LABEL_SUFFIX = "_gtFine_labelIds.png"
INSTANCE_SUFFIX = "_gtFine_instanceIds.png"


@DATASETS.register_module()
class CityscapesDataset(SegmentationDataset):
    """Cityscapes with fine annotations (https://www.cityscapes-dataset.com), as distributed.

    ``data_prefix`` has the folders of a split: ``img`` (``leftImg8bit/val/``) and ``seg`` (``gtFine/val/``), with one
    folder per city in each; there is no annotation file. Category ids are the official label ids; labels that are not
    in the vocabulary are void, and so are groups of things, which have no instance number. An image's id is its name
    up to ``_leftImg8bit.png``, as in the official panoptic ground truth. ``seg_map_path`` of a sample is the map of
    label ids.
    """

    README_ANCHOR = "cityscapes"
    SEG_FORMAT = "cityscapes"
    SOURCE = "cityscapes"
    TASKS = ("panoptic", "instance")

    def __init__(self, *args: Any, vocabulary: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, vocabulary=vocabulary or load_vocabulary("cityscapes"), **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        folder = Path(self.data_prefix["img"])
        images = sorted(folder.glob(f"*/*{IMAGE_SUFFIX}"))
        if not images:
            raise FileNotFoundError(
                f"{folder}/<city>/ has no *{IMAGE_SUFFIX}; see data/README.md#{self.README_ANCHOR}"
            )
        masks = {path.name for path in Path(self.data_prefix["seg"]).glob("*/*.png")}
        return read_all(lambda path: self._entry(path, masks), images, where=str(folder))

    def _entry(self, image: Path, masks: set[str]) -> dict[str, Any]:
        name = image.name.removesuffix(IMAGE_SUFFIX)
        folder = Path(self.data_prefix["seg"]) / image.parent.name
        needed = [name + suffix for suffix in (INSTANCE_SUFFIX, LABEL_SUFFIX)]
        missing = [str(folder / file) for file in needed if file not in masks]
        if missing:
            raise FileNotFoundError(
                f"{' and '.join(missing)} not found, {image} needs it; see data/README.md#{self.README_ANCHOR}"
            )
        width, height = image_size(image)
        frame = {
            "img_path": str(image),
            "img_id": name,
            "frame_id": 0,
            "seg_map_path": str(folder / (name + LABEL_SUFFIX)),
            "instance_map_path": str(folder / (name + INSTANCE_SUFFIX)),
        }
        return {"frames": [frame], "is_video": False, "height": height, "width": width}
