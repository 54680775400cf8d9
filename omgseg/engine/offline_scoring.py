"""The numbers of a config's evaluator from dumped predictions: no model, no images."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from mmengine.registry import init_default_scope

from omgseg.engine.config import ConfigError, check_arguments
from omgseg.engine.hooks import vocabulary_of
from omgseg.evaluation.dump import Manifest, read_sample, sample_file
from omgseg.registry import DATASETS
from omgseg.structures import Vocabulary

SHOWN = 5


def score(config: Config, folder: str | Path, partial: bool = False) -> dict[str, float]:
    """What testing with this config would give, from the predictions that it wrote.

    Samples are read one at a time. Ground truth lies where the config says now: paths in the samples that begin with a
    folder of the data set (``data_prefix``) get the config's folder instead.

    Args:
        config: with ``test_evaluator`` and ``test_dataloader``; the data set is not read, only its settings.
        folder: see :mod:`omgseg.evaluation.dump`.
        partial: score the samples that are there, with a warning, when some are missing.

    Raises:
        FileNotFoundError: there is no manifest, or ground truth is missing.
        ValueError: samples are missing or damaged, or the config's data set has another vocabulary.
        ConfigError: the config has no test evaluator or data.
    """
    for key in ("test_evaluator", "test_dataloader"):
        if not config.get(key):
            raise ConfigError(
                f"the config {config.filename or ''} has no {key}: there is nothing to score by"
            )
    init_default_scope(config.get("default_scope", "omgseg"))
    check_arguments(config)
    manifest = Manifest.read(folder)
    samples = _existing_samples(manifest, Path(folder), partial)
    dataset = DATASETS.build({**config.test_dataloader.dataset, "lazy_init": True})
    vocabulary = _vocabulary(manifest, dataset, config, folder)
    evaluator = Evaluator(config.test_evaluator)
    evaluator.dataset_meta = dict(
        classes=tuple(vocabulary.names),
        vocabulary=vocabulary,
        tasks=tuple(manifest.tasks),
        source=manifest.source,
    )
    folders = _moved_folders(manifest.data_prefix, getattr(dataset, "data_prefix", {}))
    for key in samples:
        evaluator.process([_moved(read_sample(folder, key), folders)])
    return evaluator.evaluate(len(samples))


def _existing_samples(manifest: Manifest, folder: Path, partial: bool) -> list[int | str]:
    missing = [key for key in manifest.samples if not sample_file(folder, key).is_file()]
    if not missing:
        return manifest.samples
    first = ", ".join(str(key) for key in missing[:SHOWN]) + (", ..." if len(missing) > SHOWN else "")
    text = f"{folder} lacks {len(missing)} of {len(manifest.samples)} samples ({first})"
    if not partial or len(missing) == len(manifest.samples):
        raise ValueError(f"{text}: the test did not finish; --partial scores the samples that are there")
    print_log(f"{text}; the others are scored", logger="current", level=logging.WARNING)
    absent = set(missing)
    return [key for key in manifest.samples if key not in absent]


def _vocabulary(manifest: Manifest, dataset: Any, config: Config, folder: str | Path) -> Vocabulary:
    """The vocabulary of the predicted labels."""
    predicted = Vocabulary.from_dict(manifest.vocabulary)
    # without a name in the config it comes from the annotation file, and the whole data set would have to be read
    if config.test_dataloader.dataset.get("vocabulary") is not None and vocabulary_of(dataset) != predicted:
        raise ValueError(
            f"the predictions in {folder} (config {manifest.config}) are labels of {predicted!r}, the data set of "
            f"{config.filename or 'this config'} has {vocabulary_of(dataset)!r}; score them with the config that "
            "wrote them"
        )
    return predicted


def _moved_folders(before: Mapping[str, str], now: Mapping[str, str]) -> list[tuple[str, str]]:
    """Pairs of folders, inner ones first."""
    pairs = [(before[name].rstrip("/"), str(now[name]).rstrip("/")) for name in before if name in now]
    return sorted((pair for pair in pairs if pair[0] != pair[1]), key=lambda pair: -len(pair[0]))


def _moved(sample: dict[str, Any], folders: list[tuple[str, str]]) -> dict[str, Any]:
    """The sample with its paths (fields ``*_path``) below the config's folders."""
    for part in (sample, *sample.get("video_data_samples", ())):
        for name, value in part.items():
            if name.endswith("_path") and isinstance(value, str):
                part[name] = next(_candidates(value, folders), value)
    return sample


def _candidates(path: str, folders: list[tuple[str, str]]) -> Iterator[str]:
    for before, now in folders:
        if path.startswith(f"{before}/"):
            yield now + path[len(before) :]
