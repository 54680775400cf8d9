import pickle

import numpy as np
from mmengine.dataset import DefaultSampler

from omgseg.datasets.samplers import SeededIndex, SourceBatchSampler


class TwoSources:
    """Six wide samples of each of two sources."""

    def __len__(self) -> int:
        return 12

    def sampling_groups(self) -> tuple[np.ndarray, np.ndarray]:
        return np.repeat([0, 1], 6), np.ones(12, dtype=bool)


def batches(epoch: int = 0, skip: int = 0) -> list[list[tuple[int, int]]]:
    base = DefaultSampler(TwoSources(), shuffle=True, seed=0)
    base.set_epoch(epoch)
    sampler = SourceBatchSampler(base, batch_size=2, seed=3)
    sampler.skip(skip)
    return [[(int(index), index.seed) for index in batch] for batch in sampler]


def test_an_index_keeps_its_seed_on_the_way_to_a_worker():
    index = pickle.loads(pickle.dumps(SeededIndex(7, 2**32 - 1)))
    assert index == 7 and index.seed == 2**32 - 1 and [10, 20, 30][SeededIndex(1, 0)] == 20


def test_seeds_belong_to_the_draw_and_differ():
    first, second = batches(), batches(epoch=1)
    assert first == batches()
    seeds = [seed for batch in first + second for _, seed in batch]
    assert len(set(seeds)) == len(seeds) == 24


def test_a_resumed_epoch_continues_with_the_same_seeds():
    assert batches(skip=2) == batches()[2:]
