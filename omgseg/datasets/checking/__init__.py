"""Finding all mistakes in the files of a dataset at once; ``tools/check_dataset.py`` is its command line."""

from omgseg.datasets.checking.report import Report, SourceReport
from omgseg.datasets.checking.run import check_sources
from omgseg.datasets.checking.sources import SPLITS, DatasetFiles, UsageError, find_sources

__all__ = ["SPLITS", "Report", "DatasetFiles", "SourceReport", "UsageError", "check_sources", "find_sources"]
