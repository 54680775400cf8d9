"""Checks the datasets of configs, in several processes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader
from tqdm import tqdm

from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.checking.listing import check_annotation_file, check_listing
from omgseg.datasets.checking.report import Report, SourceReport
from omgseg.datasets.checking.samples import SampleCheck, join
from omgseg.datasets.checking.sources import DatasetFiles
from omgseg.datasets.files import require_folder
from omgseg.datasets.problems import Problem, ProblemKind, collect_problems, collecting
from omgseg.datasets.video_folders import VideoFolderDataset

FAST_SAMPLES = 200
"""How many samples of a dataset a fast check reads; that all files exist is always checked."""
FAST_FRAMES = 3
"""How many frames of a video it reads completely."""
BATCH = 4
"""Samples a worker checks at a time."""


def check_sources(
    sources: Iterable[DatasetFiles], fast: bool = False, workers: int = 2, progress: bool = True
) -> Report:
    """Find all problems of some datasets. Files that several of them share are checked once.

    Args:
        sources: the datasets, see :func:`find_sources`.
        fast: read :data:`FAST_SAMPLES` samples of each (always the same ones) instead of all.
        workers: processes that read samples; 0 reads in this one.
        progress: show a bar on a terminal.
    """
    report = Report()
    done: list[tuple[DatasetFiles, SourceReport]] = []
    for source in sorted(sources, key=lambda source: (source.masks_only, source.is_class_agnostic)):
        found = next((found for earlier, found in done if earlier.covers(source)), None)
        if found is None:
            found = SourceReport(source.file)
            report.sources.append(found)
            done.append((source, found))
            _check_source(source, found, fast, workers, progress)
        found.add_name(source.name)
        found.add(_missing_needs(source))
    return report


def _check_source(
    source: DatasetFiles, report: SourceReport, fast: bool, workers: int, progress: bool
) -> None:
    dataset = _parse(source, report)
    if dataset is None:
        return
    report.samples = len(dataset)
    problems, report.note = check_listing(dataset, source.masks_only)
    report.add(problems)
    indices = np.arange(len(dataset))
    if fast and len(dataset) > FAST_SAMPLES:
        indices = np.sort(np.random.default_rng(0).choice(indices, FAST_SAMPLES, replace=False))
    checks = SampleCheck(dataset, indices.tolist(), FAST_FRAMES if fast else None, source.masks_only)
    loader = DataLoader(checks, batch_size=BATCH, num_workers=min(workers, len(checks)), collate_fn=join)
    with tqdm(total=len(checks), desc=source.name, unit="sample", disable=None if progress else True) as bar:
        for batch in loader:
            for problems in batch:
                report.add(problems)
            bar.update(len(batch))
    report.checked = len(checks)


def _missing_needs(source: DatasetFiles) -> list[Problem]:
    missing = [path for path in source.needs if not Path(path).exists()]
    return [
        Problem(ProblemKind.MISSING, f"{path} not found, a metric of the config needs it") for path in missing
    ]


def _parse(source: DatasetFiles, report: SourceReport) -> SegmentationDataset | None:
    """The dataset with its list of samples, None where that cannot be read; reports what is wrong with its files."""
    dataset = None
    with collect_problems(source.file) as problems:
        dataset = source.build()
        if dataset.ann_file.endswith(".json"):
            problems += check_annotation_file(dataset.ann_file, dataset.README_ANCHOR)
        missing = _missing_folders(dataset) if _lists_folders(dataset) else []
        problems += missing
        if not missing:  # else a problem for each of the files would say no more
            dataset.full_init()
    if any(kind != ProblemKind.NO_SAMPLES for kind, _ in problems):  # it only follows from these
        problems = [problem for problem in problems if problem.kind != ProblemKind.NO_SAMPLES]
    report.add(problems)
    return dataset if dataset is not None and dataset._fully_initialized else None


def _lists_folders(dataset: SegmentationDataset) -> bool:
    return isinstance(dataset, VideoFolderDataset) or not dataset.ann_file.endswith(".json")


def _missing_folders(dataset: SegmentationDataset) -> list[Problem]:
    with collect_problems(dataset.ann_file) as missing:
        for folder in (dataset.data_prefix[key] for key in dataset.PREFIXES if key in dataset.data_prefix):
            with collecting(folder):
                require_folder(folder, dataset.README_ANCHOR)
    return missing
