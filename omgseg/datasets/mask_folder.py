"""The user's images with maps of classes: two folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.files import IMAGE_SUFFIXES
from omgseg.datasets.problems import ProblemKind, read_all, report_problem
from omgseg.registry import DATASETS
from omgseg.structures.label_png import image_size


@DATASETS.register_module()
class MaskFolderDataset(SegmentationDataset):
    """Images with semantic masks: ``<img>/a/b.jpg`` and ``<seg>/a/b.png``, with any sub-folders.

    A mask is a palette or greyscale PNG, 8 or 16 bits; the value of a pixel is a category id of the vocabulary. Only
    test images may lack a mask.

    Args:
        vocabulary: required, as the masks do not name their classes.
        ignore_ids: values that mean "not labelled". The metric takes the same argument.

    Raises:
        FileNotFoundError: a folder, or a training image's mask is missing.
        ValueError: no vocabulary.
    """

    README_ANCHOR = "your-own-data"
    SEG_FORMAT = "class_map"
    SOURCE = "mask_folder"
    TASKS = ("semantic",)

    def __init__(
        self, *args: Any, vocabulary: Any = None, ignore_ids: Sequence[int] = (255,), **kwargs: Any
    ) -> None:
        if vocabulary is None:
            raise ValueError(
                f"{type(self).__name__}: vocabulary is missing, a folder of masks does not name its classes; write a "
                'JSON file {"categories": [{"id": 0, "name": "road", "isthing": 0}, ...]} whose ids are the values in '
                f"the masks; see data/README.md#{self.README_ANCHOR}"
            )
        self.IGNORE_IDS = tuple(ignore_ids)
        super().__init__(*args, vocabulary=vocabulary, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        root = Path(self.data_prefix["img"])
        images = sorted(path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        if not images:
            raise FileNotFoundError(f"folder {root} has no images ({', '.join(IMAGE_SUFFIXES)})")
        masks = {str(path) for path in Path(self.data_prefix["seg"]).rglob("*.png")}
        return read_all(lambda path: self._entry(path, masks), images, where=str(root))

    def _entry(self, image: Path, masks: set[str]) -> dict[str, Any]:
        name = image.relative_to(self.data_prefix["img"])
        mask = str(Path(self.data_prefix["seg"]) / name.with_suffix(".png"))
        frame = {"img_path": str(image), "img_id": str(name.with_suffix("")), "frame_id": 0}
        if mask in masks:
            frame["seg_map_path"] = mask
        elif not self.test_mode:
            text = f"{mask} not found, the mask of {image}; see data/README.md#{self.README_ANCHOR}"
            report_problem(ProblemKind.MISSING, FileNotFoundError(text))
        width, height = image_size(image)
        return {"frames": [frame], "is_video": False, "height": height, "width": width}
