"""What all dataset adapters share."""

from __future__ import annotations

import colorsys
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from omgseg.datasets.files import paused_garbage_collection, require_folder
from omgseg.datasets.problems import NoSamples, ProblemKind, collecting, report_problem
from omgseg.datasets.pseudo_labels import PseudoLabels
from omgseg.datasets.vocabularies import load_vocabulary, unknown_category
from omgseg.messages import placed
from omgseg.registry import TRANSFORMS
from omgseg.structures import Task, Vocabulary

MAX_BROKEN_SAMPLES = 100
"""Training skips at most this many unreadable samples, and at most 1 % of the dataset (but always one)."""


class SegmentationDataset(BaseDataset):
    """A dataset of images or videos with segments; an image is a clip of one frame.

    Subclasses implement ``load_data_list`` and set the class attributes. An entry of the data list holds no
    pixels::

        {"frames": [{"img_path", "frame_id", ...}, ...], "is_video", "height", "width", "video_id"?,
        "video_length"?}

    In training a sample whose image cannot be decoded is skipped (the next one is taken), logged and counted;
    more than 1 % of them are an error. In test mode the first one is an error.

    Args:
        ann_file, data_root, data_prefix, pipeline, test_mode: as in mmengine's ``BaseDataset``.
        vocabulary: the label space: None (the categories of the annotation file, or those of the dataset
            where it has no such file), the name of a shipped vocabulary, a JSON file, or a
            :class:`Vocabulary`.
        image_size: (width, height) that the pipeline's resizing transforms take when they name no size of
            their own.
        tasks: what the samples are for, values of :class:`Task`. Default: the class's ``TASKS``.
        source: the name under which losses and errors are reported. Default: the class's ``SOURCE``.
        pseudo_labels: the arguments of :class:`PseudoLabels`, where a model made the labels: segments need a
            ``score``. For formats with scores: COCO instances, COCO panoptic, YouTube-VIS.
    """

    README_ANCHOR: str
    SEG_FORMAT: str
    SOURCE: str
    TASKS: tuple[str, ...]
    PREFIXES: tuple[str, ...] = ("img", "seg")
    CLASS_AGNOSTIC = False
    IGNORE_IDS: tuple[int, ...] = (255,)
    """Values of a class map that mean "not labelled"; other formats do not look at it."""
    HAS_SCORES = False
    """Whether segments of the format can have a score."""

    def __init__(
        self,
        ann_file: str = "",
        data_root: str = "",
        data_prefix: dict[str, str] | None = None,
        pipeline: Sequence[dict | Callable] = (),
        vocabulary: str | Path | Vocabulary | None = None,
        image_size: tuple[int, int] | None = None,
        tasks: Sequence[str] | None = None,
        source: str | None = None,
        pseudo_labels: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if pseudo_labels is not None and not self.HAS_SCORES:
            raise ValueError(
                f"{type(self).__name__}: its format has no scores, which pseudo_labels needs; COCO instances, COCO "
                "panoptic and YouTube-VIS have them"
            )
        self.pseudo_labels = None if pseudo_labels is None else PseudoLabels.from_config(pseudo_labels)
        if isinstance(vocabulary, (str, Path)):
            vocabulary = load_vocabulary(vocabulary)
        self._vocabulary: Vocabulary | None = Vocabulary() if self.CLASS_AGNOSTIC else vocabulary
        self.image_size = image_size
        self.tasks = tuple(Task(task).value for task in tasks or self.TASKS)
        self.source = source or self.SOURCE
        self._broken: set[int] = set()
        self._wide: np.ndarray | None = None
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=data_prefix or {},
            pipeline=[TRANSFORMS.build(step) if isinstance(step, dict) else step for step in pipeline],
            **kwargs,
        )

    def full_init(self) -> None:
        """Parse the annotations.

        Raises:
            FileNotFoundError, ValueError: naming the file, the field and the fix.
        """
        for key in self.PREFIXES:
            if key not in self.data_prefix:
                raise ValueError(
                    f"{type(self).__name__}: data_prefix has no folder {key!r}: {self.data_prefix}"
                )
            with collecting(self.ann_file):
                require_folder(self.data_prefix[key], self.README_ANCHOR)
        with paused_garbage_collection(), placed(self.ann_file or type(self).__name__):
            super().full_init()

    def filter_data(self) -> list[dict[str, Any]]:
        """Called by mmengine after parsing. Nothing is filtered, but an empty dataset is a mistake."""
        if not len(self.data_list):
            raise NoSamples(f"{self.ann_file} holds no samples; see data/README.md#{self.README_ANCHOR}")
        if self._indices is None:  # otherwise a subset follows
            self._wide = self._wide_samples()
        return self.data_list

    def _wide_samples(self) -> np.ndarray:
        """Whether the image of each entry of the data list is wider than high, bool."""
        return np.array([entry["width"] > entry["height"] for entry in self.data_list])

    @property
    def vocabulary(self) -> Vocabulary:
        """The label space of ``gt_labels``; empty for a class-agnostic dataset."""
        if self._vocabulary is None:
            self.full_init()
        assert self._vocabulary is not None
        return self._vocabulary

    @property
    def metainfo(self) -> dict[str, Any]:
        """mmengine's ``dataset_meta``: what metrics and visualisers need to know about the labels."""
        return dict(
            classes=tuple(self.vocabulary.names),
            vocabulary=self.vocabulary,
            palette=palette_of(self.vocabulary),
            tasks=self.tasks,
            source=self.source,
        )

    def use_categories(self, categories: list[dict[str, Any]], used_ids: Iterable[int]) -> None:
        """Take the vocabulary from the annotation file if none was given; check the annotations against it.

        Raises:
            ValueError: the categories are wrong, or an annotation's category id is not in the vocabulary.
        """
        if self._vocabulary is None:
            try:
                self._vocabulary = Vocabulary.from_dict({"categories": categories})
            except ValueError as error:
                raise ValueError(f"{self.ann_file}: {error}") from error
        unknown = sorted(set(used_ids) - set(self._vocabulary.id_to_label))
        for category_id in () if self.CLASS_AGNOSTIC else unknown:
            report_problem(
                ProblemKind.CATEGORY, unknown_category(self.ann_file, category_id, self._vocabulary)
            )

    def describe(self, idx: int) -> dict[str, Any]:
        """What the pipeline starts from: a sample's entry of the data list, and the dataset's settings."""
        results = self.get_data_info(idx)
        results.update(
            seg_format=self.SEG_FORMAT,
            ignore_ids=self.IGNORE_IDS,
            vocabulary=None if self.CLASS_AGNOSTIC else self.vocabulary,
            image_size=self.image_size,
            tasks=self.tasks,
            source=self.source,
            ann_file=self.ann_file,
            readme_anchor=self.README_ANCHOR,
            pseudo_labels=self.pseudo_labels,
        )
        return results

    def prepare_data(self, idx: int) -> dict[str, Any]:
        """One sample through the pipeline."""
        return self.pipeline(self.describe(idx))

    def __getitem__(self, idx: int) -> dict[str, Any]:
        while not self.test_mode:
            try:
                return self.prepare_data(idx)
            except FileNotFoundError:
                raise
            except OSError as error:
                self._count_broken(idx, error)
                idx = (idx + 1) % len(self)
        return self.prepare_data(idx)

    def _count_broken(self, idx: int, error: OSError) -> None:
        """Log a sample that cannot be decoded; every loader process counts its own."""
        self._broken.add(idx)
        limit = min(MAX_BROKEN_SAMPLES, max(1, len(self) // 100))
        text = f"{len(self._broken)} of {len(self)} samples of {self.source} cannot be read"
        if len(self._broken) > limit or len(self._broken) == len(self):
            raise OSError(f"{text}, training skips at most {limit}; the last one: {error}") from error
        print_log(f"skipped: {error} ({text})", logger="current", level=logging.WARNING)

    def sampling_groups(self) -> tuple[np.ndarray, np.ndarray]:
        """What a batch may mix: (source number: 0, whether the image is wider than high), both (len,)."""
        if self._wide is None or len(self._wide) != len(self):
            sizes = (self.get_data_info(idx) for idx in range(len(self)))
            self._wide = np.fromiter((info["width"] > info["height"] for info in sizes), bool, len(self))
        return np.zeros(len(self), np.int64), self._wide


def palette_of(vocabulary: Vocabulary) -> list[tuple[int, int, int]]:
    """RGB 0..255 for each category: the dataset's own, or hues at golden-ratio steps, which lie far apart."""
    hues = (colorsys.hsv_to_rgb(label * 0.618 % 1, 0.7, 0.9) for label in range(len(vocabulary)))
    made = [tuple(int(255 * channel) for channel in rgb) for rgb in hues]
    return [category.color or color for category, color in zip(vocabulary, made, strict=True)]
