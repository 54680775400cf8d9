"""Several datasets as one, in one label space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmdet.structures import TrackDataSample
from torch.utils.data import Dataset

from omgseg.datasets.base import SegmentationDataset, palette_of
from omgseg.datasets.samplers import SeededIndex
from omgseg.registry import DATASETS
from omgseg.structures import Vocabulary


@DATASETS.register_module()
class JointDataset(Dataset):
    """Datasets one after another, with merged vocabulary.

    Labels of a sample's ``gt_instances`` are mapped to the merged vocabulary by one lookup; a class-agnostic
    source keeps its ``NO_CLASS``.

    Args:
        datasets: name -> dataset or its config. A mapping, so that a derived config can change one dataset
            (its paths, its sizes) or leave it out (None). The name becomes the dataset's ``source``.
        repeat: name -> how often the dataset is gone through in an epoch. Default 1.

    Raises:
        ValueError: no dataset, or `repeat` names an unknown one.
        FileNotFoundError: from the datasets.
    """

    def __init__(
        self,
        datasets: Mapping[str, dict[str, Any] | SegmentationDataset | None],
        repeat: Mapping[str, int] | None = None,
    ) -> None:
        unknown = sorted(set(repeat or {}) - set(datasets))
        if unknown:
            raise ValueError(
                f"JointDataset: repeat names {unknown[0]!r}, the datasets are {', '.join(datasets)}"
            )
        self.datasets: dict[str, SegmentationDataset] = {
            name: DATASETS.build({"source": name, **dataset}) if isinstance(dataset, dict) else dataset
            for name, dataset in datasets.items()
            if dataset is not None
        }
        if not self.datasets:
            raise ValueError("JointDataset has no datasets")
        self.repeat = [(repeat or {}).get(name, 1) for name in self.datasets]
        if min(self.repeat) < 1:
            raise ValueError(
                f"JointDataset: repeat {dict(repeat or {})} must be at least 1; None leaves a dataset out"
            )
        self._members = list(self.datasets.values())
        self.vocabulary, self._label_maps = Vocabulary.merge(
            [dataset.vocabulary for dataset in self._members]
        )
        lengths = [len(dataset) * times for dataset, times in zip(self._members, self.repeat, strict=True)]
        self._ends = np.cumsum(lengths)

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def metainfo(self) -> dict[str, Any]:
        """As of :class:`SegmentationDataset`, in the merged vocabulary."""
        return dict(
            classes=tuple(self.vocabulary.names),
            vocabulary=self.vocabulary,
            palette=palette_of(self.vocabulary),
            sources=tuple(self.datasets),
        )

    def __getitem__(self, index: int) -> dict[str, Any]:
        source, local = self._locate(index)
        if isinstance(index, SeededIndex):
            np.random.seed(index.seed)
        data = self._members[source][local]
        sample = data["data_samples"]
        for frame in sample.video_data_samples if isinstance(sample, TrackDataSample) else [sample]:
            if "gt_instances" in frame:
                frame.gt_instances.labels = self._label_maps[source][frame.gt_instances.labels]
        return data

    def sampling_groups(self) -> tuple[np.ndarray, np.ndarray]:
        """What a batch may mix: (source number, whether the image is wider than high), both (len,)."""
        wide = [dataset.sampling_groups()[1] for dataset in self._members]
        tiles: Sequence[np.ndarray] = [
            np.tile(part, times) for part, times in zip(wide, self.repeat, strict=True)
        ]
        sources = np.repeat(np.arange(len(tiles)), [len(tile) for tile in tiles])
        return sources, np.concatenate(tiles)

    def _locate(self, index: int) -> tuple[int, int]:
        """(source number, index in that dataset)."""
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of a joint dataset of {len(self)}")
        source = int(np.searchsorted(self._ends, index, side="right"))
        start = int(self._ends[source - 1]) if source else 0
        return source, (index - start) % len(self._members[source])
