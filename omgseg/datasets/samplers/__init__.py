"""Samplers of training batches."""

from omgseg.datasets.samplers.source_batch_sampler import SourceBatchSampler

__all__ = ["SourceBatchSampler"]
