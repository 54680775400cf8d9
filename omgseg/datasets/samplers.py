"""Batches for joint training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from mmengine.dataset import DefaultSampler
from torch.utils.data import Sampler

from omgseg.registry import DATA_SAMPLERS


class SeededIndex(int):
    """A sample's index with a seed for this time it is drawn.

    A batch sampler that yields these makes augmentation independent of which process loads a sample, of how many
    processes there are, and of what was loaded before: resumed training sees what uninterrupted training sees.

    Attributes:
        seed: of numpy's generator, below 2**32.
    """

    seed: int

    def __new__(cls, index: int, seed: int) -> SeededIndex:
        self = super().__new__(cls, index)
        self.seed = seed
        return self

    def __getnewargs__(self) -> tuple[int, int]:
        return int(self), self.seed


@DATA_SAMPLERS.register_module()
class SourceBatchSampler(Sampler[list[int]]):
    """Batches that hold one source, and one orientation of images where the numbers allow.

    An epoch is a list of *global* batches of ``batch_size * world_size`` samples, computed alike on all ranks
    from (seed, epoch); a rank takes its slice of each. So all ranks see the same source in the same step, as
    gradient synchronisation needs, and the global batches do not depend on how many ranks share one. The
    samples of a source that do not fill a batch of their orientation share batches, and the last batch is filled up
    with samples of the same source: nothing is left out, and a source may be smaller than a batch.

    In a config, beside ``dataset`` and ``batch_size``::

        sampler=dict(type="DefaultSampler", shuffle=True), batch_sampler=dict(type="SourceBatchSampler")

    mmengine passes the sampler, which lends its dataset, rank and epoch (set by ``DistSamplerSeedHook``
    or the iteration-based loop); its own order is not used.

    Args:
        sampler: mmengine's ``DefaultSampler``. Its dataset has ``sampling_groups()``.
        batch_size: samples of a batch, on one rank.
        seed: chooses the order. The seed of ``DefaultSampler`` cannot be used, as mmengine draws it at random when
            ranks are seeded apart.
    """

    def __init__(self, sampler: DefaultSampler, batch_size: int, seed: int = 0) -> None:
        if not isinstance(sampler, DefaultSampler):
            raise TypeError(
                f"SourceBatchSampler needs sampler=dict(type='DefaultSampler'), got {type(sampler).__name__}"
            )
        if batch_size < 1:
            raise ValueError(f"batch_size {batch_size} must be at least 1")
        self.sampler = sampler
        self.batch_size = batch_size
        self.seed = seed
        sources, wide = sampler.dataset.sampling_groups()
        members = [np.flatnonzero(sources == source) for source in np.unique(sources)]
        self._groups = [[of_source[wide[of_source]], of_source[~wide[of_source]]] for of_source in members]
        self._skipped_epochs = 0
        self._skipped_batches = 0

    @property
    def global_batch_size(self) -> int:
        return self.batch_size * self.sampler.world_size

    def __len__(self) -> int:
        """Batches of a whole epoch, the same on every rank."""
        size = self.global_batch_size
        return sum(-(-sum(len(group) for group in groups) // size) for groups in self._groups)

    def __iter__(self) -> Iterator[list[SeededIndex]]:
        start, self._skipped_batches = self._skipped_batches, 0
        epoch = self.sampler.epoch + self._skipped_epochs
        first = self.sampler.rank * self.batch_size
        of_rank = slice(first, first + self.batch_size)
        for number, batch in enumerate(self.global_batches(epoch)[start:], start):
            seeds = np.random.default_rng((self.seed, epoch, number)).integers(2**32, size=len(batch))
            pairs = zip(batch[of_rank].tolist(), seeds[of_rank].tolist(), strict=True)
            yield [SeededIndex(index, seed) for index, seed in pairs]

    def skip(self, num_batches: int) -> None:
        """Continue as if `num_batches` batches had been drawn since the sampler's present epoch began.

        Resuming at iteration k of an iteration-based run: ``skip(k)`` once. Of an epoch-based run, whose loop
        sets the epoch itself: ``skip(k % len(sampler))``.
        """
        self._skipped_epochs, self._skipped_batches = divmod(num_batches, len(self))

    def global_batches(self, epoch: int) -> np.ndarray:
        """All batches of an epoch: int64 (number of batches, batch_size * world_size)."""
        random = np.random.default_rng((self.seed, epoch))
        batches = np.concatenate([self._batches_of(groups, random) for groups in self._groups])
        return random.permutation(batches)

    def _batches_of(self, groups: list[np.ndarray], random: np.random.Generator) -> np.ndarray:
        """Batches of one source, given the samples of either orientation."""
        size = self.global_batch_size
        groups = [random.permutation(group) for group in groups]
        whole = [group[: len(group) // size * size] for group in groups]
        rest = np.concatenate([group[len(group) // size * size :] for group in groups])
        missing = -len(rest) % size
        if missing:
            fill = random.permutation(np.concatenate(groups))
            rest = np.concatenate([rest, np.resize(fill, missing)])
        return np.concatenate([*whole, rest]).reshape(-1, size)
