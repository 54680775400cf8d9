"""Classified images: a folder for each class, as ImageNet has them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.files import IMAGE_SUFFIXES, read_lines, require_folder
from omgseg.datasets.problems import collecting
from omgseg.registry import DATASETS
from omgseg.structures import Category, Vocabulary


@DATASETS.register_module()
class ImageFolderDataset(SegmentationDataset):
    """Images of one object each, below a folder of their class: ``<img>/goldfish/1.jpg``.

    The whole image is the object's box, and there is no mask: a training must know what to do with it, as that of
    projects/ov_sam does. The names of the folders are the words of the classes, unless a file has better ones. Classes
    that share a word are one. No image is opened before it is read.

    Args:
        ann_file: optional, a text file with a line for each folder to take, its name and its words:
            ``n01443537 goldfish, Carassius auratus``, as ImageNet's ``LOC_synset_mapping.txt``. Default: all folders,
            with their names as words.
        args, kwargs: see :class:`SegmentationDataset`; there is no `vocabulary`.

    Raises:
        FileNotFoundError: a folder is missing, or has no images.
        ValueError: a line has no words, or a vocabulary was given.
    """

    README_ANCHOR = "image-folders"
    SEG_FORMAT = "boxes"
    SOURCE = "image_folder"
    TASKS = ("instance",)
    PREFIXES = ("img",)

    def __init__(self, *args: Any, vocabulary: Any = None, **kwargs: Any) -> None:
        if vocabulary is not None:
            raise ValueError(
                f"{type(self).__name__}: its classes are its folders, it takes no vocabulary; ann_file names a text "
                f"file with other words for them; see data/README.md#{self.README_ANCHOR}"
            )
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        root = Path(self.data_prefix["img"])
        words = self._words() if self.ann_file else _folder_names(root)
        if not words:
            raise FileNotFoundError(
                f"folder {root} has no folders of classes; see data/README.md#{self.README_ANCHOR}"
            )
        self._vocabulary, labels = _merge(words.values())
        entries: list[dict[str, Any]] = []
        for folder, label in zip(words, labels, strict=True):
            with collecting(str(root / folder)):
                entries += self._entries(require_folder(root / folder, self.README_ANCHOR), label)
        return entries

    def _words(self) -> dict[str, tuple[str, ...]]:
        """The words of each folder in the file."""
        found = {}
        for line in read_lines(self.ann_file, self.README_ANCHOR, "classes"):
            folder, _, names = line.partition(" ")
            words = tuple(word.strip() for word in names.split(",") if word.strip())
            if not words:
                raise ValueError(
                    f"{self.ann_file}: the line {line!r} is not a folder, a space, and words with commas between them"
                )
            found[folder] = words
        return found

    def _entries(self, folder: Path, label: int) -> list[dict[str, Any]]:
        names = sorted(name for name in os.listdir(folder) if name.lower().endswith(IMAGE_SUFFIXES))
        if not names:
            raise FileNotFoundError(
                f"folder {folder} has no images ({', '.join(IMAGE_SUFFIXES)}); see data/README.md#{self.README_ANCHOR}"
            )
        instances = [{"id": 1, "category_id": label, "bbox": None}]
        return [
            {
                "frames": [
                    {
                        "img_path": f"{folder}/{name}",
                        "img_id": f"{folder.name}/{name}",
                        "frame_id": 0,
                        "instances": instances,
                    }
                ],
                "is_video": False,
                "height": 0,  # no file says it but the images
                "width": 0,
            }
            for name in names
        ]


def _folder_names(root: Path) -> dict[str, tuple[str, ...]]:
    return {
        entry.name: (entry.name,)
        for entry in sorted(os.scandir(root), key=lambda e: e.name)
        if entry.is_dir()
    }


def _merge(words: Iterable[tuple[str, ...]]) -> tuple[Vocabulary, list[int]]:
    """A vocabulary in which classes that share a word are one, with labels as ids; and the label of each class."""
    classes = [Vocabulary([Category(name, synonyms=tuple(synonyms))]) for name, *synonyms in words]
    merged, label_maps = Vocabulary.merge(classes)
    vocabulary = Vocabulary(replace(category, id=label) for label, category in enumerate(merged))
    return vocabulary, [int(label_map[0]) for label_map in label_maps]
