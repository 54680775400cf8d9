"""Samplers of training batches."""

from omgseg.datasets.samplers.seeded_index import SeededIndex
from omgseg.datasets.samplers.source_batch_sampler import SourceBatchSampler

__all__ = ["SeededIndex", "SourceBatchSampler"]
