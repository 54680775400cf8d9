"""Images with maps of classes, in two folders: the user's own, PASCAL VOC, PASCAL Context and COCO-Stuff."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.files import IMAGE_SUFFIXES, read_lines
from omgseg.datasets.problems import ProblemKind, read_all, report_problem
from omgseg.datasets.vocabularies import load_vocabulary
from omgseg.registry import DATASETS
from omgseg.structures import Vocabulary
from omgseg.structures.label_png import image_size


@DATASETS.register_module()
class MaskFolderDataset(SegmentationDataset):
    """Images with semantic masks: ``<img>/a/b.jpg`` and ``<seg>/a/b.png``, with any sub-folders.

    A mask is a palette or greyscale PNG, 8 or 16 bits; the value of a pixel is a category id of the vocabulary. Only
    test images may lack a mask. Without a folder ``seg`` in ``data_prefix`` no image has one, for trainings that need
    none.

    Args:
        vocabulary: required, as the masks do not name their classes.
        ignore_ids: values that mean "not labelled". The metric takes the same argument.
        ann_file: optional, a text file with the names of the images to take, one a line, below ``img`` and without
            their suffix. Default: all.

    Raises:
        FileNotFoundError: a folder, an image of the list or a training image's mask is missing.
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

    def full_init(self) -> None:
        """See :meth:`SegmentationDataset.full_init`."""
        if "seg" not in self.data_prefix:
            self.PREFIXES = ("img",)
        super().full_init()

    def load_data_list(self) -> list[dict[str, Any]]:
        root = Path(self.data_prefix["img"])
        images = sorted(path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        if not images:
            raise FileNotFoundError(f"folder {root} has no images ({', '.join(IMAGE_SUFFIXES)})")
        if self.ann_file:
            images = self._listed(images)
        masks = None
        if "seg" in self.data_prefix:
            masks = {str(path) for path in Path(self.data_prefix["seg"]).rglob("*.png")}
        return read_all(lambda path: self._entry(path, masks), images, where=str(root))

    def _name(self, image: Path) -> str:
        return image.relative_to(self.data_prefix["img"]).with_suffix("").as_posix()

    def _listed(self, images: Sequence[Path]) -> list[Path]:
        """The images that the file lists, in its order."""
        known = {self._name(image): image for image in images}
        names = read_lines(self.ann_file, self.README_ANCHOR, "images")
        for name in names:
            if name not in known:
                text = (
                    f"{self.ann_file} lists {name!r}, but there is no such image in {self.data_prefix['img']}; see "
                    f"data/README.md#{self.README_ANCHOR}"
                )
                report_problem(ProblemKind.MISSING, FileNotFoundError(text))
        return [known[name] for name in names if name in known]

    def _entry(self, image: Path, masks: set[str] | None) -> dict[str, Any]:
        name = self._name(image)
        frame = {"img_path": str(image), "img_id": name, "frame_id": 0}
        if masks is not None:
            mask = str(Path(self.data_prefix["seg"], f"{name}.png"))
            if mask in masks:
                frame["seg_map_path"] = mask
            elif not self.test_mode:
                text = f"{mask} not found, the mask of {image}; see data/README.md#{self.README_ANCHOR}"
                report_problem(ProblemKind.MISSING, FileNotFoundError(text))
        width, height = image_size(image)
        return {"frames": [frame], "is_video": False, "height": height, "width": width}


@DATASETS.register_module()
class PascalVOCDataset(MaskFolderDataset):
    """PASCAL VOC 2012 (http://host.robots.ox.ac.uk/pascal/VOC/voc2012/) as distributed.

    ``img`` is ``JPEGImages/``, ``seg`` is ``SegmentationClass/``, and ``ann_file`` one of the lists in
    ``ImageSets/Segmentation/``. In a mask, 0 is background, 1 to 20 are the objects, and 255 their outlines.

    Args:
        background: whether "background" is a class; else its pixels are ignored.
        vocabulary: other words for the same ids. Default: the shipped ones.
        args, kwargs: see :class:`MaskFolderDataset`.
    """

    README_ANCHOR = "pascal-voc-and-pascal-context"
    SOURCE = "pascal_voc"

    def __init__(self, *args: Any, background: bool = False, vocabulary: Any = None, **kwargs: Any) -> None:
        words = self.SOURCE if vocabulary is None else vocabulary
        if not isinstance(words, Vocabulary):
            words = load_vocabulary(words)
        if not background:
            words = Vocabulary(category for category in words if category.id != 0)
        ignored = (255,) if background else (0, 255)
        super().__init__(*args, vocabulary=words, ignore_ids=ignored, **kwargs)


@DATASETS.register_module()
class PascalContextDataset(PascalVOCDataset):
    """PASCAL Context (https://cs.stanford.edu/~roozbeh/pascal-context/) with its 59 most frequent classes.

    ``img`` is ``JPEGImages/`` of VOC 2010, ``seg`` has masks in which 0 is background and 1 to 59 are the classes by
    alphabet. The annotations are distributed in other files, of which MMSegmentation's converter makes these.
    """

    SOURCE = "pascal_context"


@DATASETS.register_module()
class COCOStuffDataset(MaskFolderDataset):
    """COCO-Stuff (https://github.com/nightrome/cocostuff), 80 things and 91 kinds of stuff in COCO 2017, as published.

    ``seg`` is a folder of ``stuffthingmaps_trainval2017.zip``. A pixel is a category's id minus one (0 to 181, with
    gaps), or 255.
    """

    README_ANCHOR = "coco-stuff"
    SOURCE = "coco_stuff"

    def __init__(self, *args: Any, vocabulary: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, vocabulary=vocabulary or self.SOURCE, **kwargs)
