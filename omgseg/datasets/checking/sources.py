"""The datasets that a config names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omgseg.datasets.base import SegmentationDataset
from omgseg.registry import DATASETS

SPLITS = ("test", "val", "train")


class UsageError(ValueError):
    """The config has no dataset to check."""


GROUND_TRUTH = {
    "CocoInstanceMetric": "CocoInstanceDataset",
    "CocoPanopticMetric": "CocoPanopticDataset",
    "LVISMetric": "LVISDataset",
    "YouTubeVISMetric": "YouTubeVISDataset",
}
"""The dataset that reads the annotation file of a metric."""


@dataclass(frozen=True)
class DatasetFiles:
    """One dataset of a config, or the ground truth of a metric beside it.

    Attributes:
        name: its name in a joint dataset, or its class's; the metric's.
        config: arguments of the dataset, with ``type``.
        masks_only: the images are those of another source.
        needs: further files and folders, which metrics read.
    """

    name: str
    config: Mapping[str, Any]
    masks_only: bool = False
    needs: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The annotation or split file; the folder of the images where there is none."""
        file = self.config.get("ann_file")
        return str(Path(self.config.get("data_root", "")) / file) if file else self.images

    @property
    def is_class_agnostic(self) -> bool:
        return _class_of(self.config).CLASS_AGNOSTIC

    @property
    def images(self) -> str:
        """The folder of the images."""
        return str(Path(self.config.get("data_root", "")) / self.config.get("data_prefix", {}).get("img", ""))

    @property
    def files(self) -> tuple[str, ...]:
        """The annotation file and the folders of masks."""
        root, prefix = Path(self.config.get("data_root", "")), self.config.get("data_prefix", {})
        folders = [str(root / folder) for key, folder in sorted(prefix.items()) if key != "img"]
        return (self.file, *folders)

    def covers(self, other: DatasetFiles) -> bool:
        """Whether a check of this source finds all that is wrong with the other one."""
        if self.files != other.files:
            return False
        same_images = other.masks_only or (not self.masks_only and self.images == other.images)
        same_words = self.config.get("vocabulary") == other.config.get("vocabulary")
        as_strict = other.config.get("test_mode", False) or not self.config.get("test_mode", False)
        return same_images and as_strict and (same_words or other.is_class_agnostic)

    def build(self) -> SegmentationDataset:
        """The dataset, not parsed yet, without a pipeline.

        Raises:
            FileNotFoundError, ValueError: its vocabulary cannot be loaded, or an argument is wrong.
        """
        return DATASETS.build({"source": self.name, **self.config, "pipeline": [], "lazy_init": True})


def find_sources(config: Mapping[str, Any], split: str | None = None, name: str = "") -> list[DatasetFiles]:
    """The datasets of a config: those of its data loader, or those that it only defines.

    Args:
        config: a config, or one of ``configs/_base_/datasets``, which define ``<dataset>_test_dataloader``,
            ``<dataset>_train`` and ``<dataset>_evaluator``.
        split: ``"test"``, ``"val"`` or ``"train"``. None takes the first of these that the config has.
        name: take the dataset of this name alone, where a config defines it among others.

    Raises:
        UsageError: the config has none, or one is not of this package.
    """
    for name_of_split in (split,) if split else SPLITS:
        found = _datasets(config, name_of_split)
        chosen = {name: found[name]} if name in found else found
        sources = [
            source
            for prefix, node in chosen.items()
            for source in _with_metrics(config, name_of_split, prefix, node)
        ]
        if sources:
            return sources
    wanted = f"{split}_dataloader" if split else "test_dataloader, val_dataloader or train_dataloader"
    raise UsageError(f"the config has no {wanted}")


def _datasets(config: Mapping[str, Any], split: str) -> dict[str, Any]:
    """Configs of datasets by the name before ``_<split>_dataloader`` (or ``_train``); "" is the config's own."""
    key = f"{split}_dataloader"
    if config.get(key):
        return {"": config[key]["dataset"]}
    found = {
        name.removesuffix(f"_{key}"): loader["dataset"]
        for name, loader in config.items()
        if name.endswith(f"_{key}") and loader
    }
    if split == "train":
        nodes = (
            (name, node) for name, node in config.items() if name.endswith("_train") and _is_dataset(node)
        )
        found.update({name.removesuffix("_train"): node for name, node in nodes})
    return found


def _with_metrics(config: Mapping[str, Any], split: str, prefix: str, node: Any) -> Iterator[DatasetFiles]:
    metrics = config.get(f"{prefix}_evaluator" if prefix else f"{split}_evaluator") or ()
    metrics = [] if split == "train" else [metrics] if isinstance(metrics, Mapping) else metrics
    datasets = [metric for metric in metrics if metric["type"] in GROUND_TRUTH and metric.get("ann_file")]
    others = [metric for metric in metrics if metric not in datasets]
    needs = tuple(metric[key] for metric in others for key in ("ann_file", "seg_prefix") if metric.get(key))
    sources = [DatasetFiles(name, leaf, needs=needs) for name, leaf in _leaves(node)]
    yield from sources
    yield from (_ground_truth(metric, sources[0]) for metric in datasets)


def _ground_truth(metric: Mapping[str, Any], source: DatasetFiles) -> DatasetFiles:
    """The files of a metric as a dataset with the images and the vocabulary of another one."""
    config = dict(
        type=GROUND_TRUTH[metric["type"]],
        ann_file=metric["ann_file"],
        data_prefix=dict(img=source.images),
        vocabulary=source.config.get("vocabulary"),
        test_mode=True,
    )
    if metric.get("seg_prefix"):
        config["data_prefix"]["seg"] = metric["seg_prefix"]
    return DatasetFiles(metric["type"], config, masks_only=True)


def _is_dataset(node: Any) -> bool:
    return isinstance(node, Mapping) and "type" in node


def _leaves(node: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Datasets inside of wrappers (``datasets`` or ``dataset``), with their names."""
    cls = _class_of(node)
    if isinstance(cls, type) and issubclass(cls, SegmentationDataset):
        yield node.get("source") or cls.SOURCE, node
        return
    inner = node.get("datasets", node.get("dataset"))
    if inner is None:
        raise UsageError(f"{node['type']!r} is not a dataset of this package, and wraps none")
    named: Iterable[tuple[str | None, Any]] = [(None, inner)]
    if isinstance(inner, Mapping) and "type" not in inner:
        named = inner.items()
    elif isinstance(inner, list | tuple):
        named = [(None, wrapped) for wrapped in inner]
    for name, wrapped in named:
        if wrapped is not None:
            yield from ((name or name_of_leaf, leaf) for name_of_leaf, leaf in _leaves(wrapped))


def _class_of(node: Any) -> Any:
    if not _is_dataset(node):
        raise UsageError(f"expected a dataset with a 'type', got {node!r}")
    return DATASETS.get(node["type"]) if isinstance(node["type"], str) else node["type"]
