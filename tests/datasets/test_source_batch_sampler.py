"""Batches of one source, alike on all ranks, resumable."""

from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.dataset import DefaultSampler
from mmengine.runner import Runner
from mmengine.runner.loops import _InfiniteDataloaderIterator
from torch.utils.data import Dataset, SequentialSampler

from omgseg.datasets.samplers import SourceBatchSampler
from omgseg.engine.hooks import ResumeDataHook
from omgseg.registry import DATASETS

SIZES = {0: (37, 12), 1: (3, 0), 2: (9, 14)}  # source: (wide, high)


class Numbers(Dataset):
    """Sample i is i; sources follow one another."""

    def __len__(self):
        return sum(sum(size) for size in SIZES.values())

    def __getitem__(self, index):
        return index

    def sampling_groups(self):
        sources = np.repeat(list(SIZES), [sum(size) for size in SIZES.values()])
        return sources, np.concatenate([np.arange(sum(size)) < size[0] for size in SIZES.values()])


SOURCES, WIDE = Numbers().sampling_groups()


def make(batch_size=4, rank=0, world_size=1, seed=0, epoch=0):
    sampler = DefaultSampler(Numbers())
    sampler.rank, sampler.world_size = rank, world_size
    sampler.set_epoch(epoch)
    return SourceBatchSampler(sampler, batch_size, seed)


def test_an_epoch_sees_every_sample_in_batches_of_one_source():
    batches = list(make())
    assert len(batches) == len(make()) == 13 + 1 + 6
    assert all(len(batch) == 4 and len({SOURCES[i] for i in batch}) == 1 for batch in batches)
    assert {index for batch in batches for index in batch} == set(range(len(Numbers())))
    mixed = sum(len({WIDE[i] for i in batch}) > 1 for batch in batches)
    assert mixed <= 2  # the samples left over of sources 0 and 2
    order = [SOURCES[batch[0]] for batch in batches]
    assert order != sorted(order)  # sources alternate


def test_seed_and_epoch_choose_the_order():
    assert list(make(seed=3, epoch=2)) == list(make(seed=3, epoch=2))
    assert list(make(seed=3, epoch=2)) != list(make(seed=3, epoch=1))
    assert list(make(seed=3, epoch=2)) != list(make(seed=4, epoch=2))


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_share_the_global_batches(world_size):
    whole = list(make(batch_size=8))
    ranks = [list(make(8 // world_size, rank, world_size)) for rank in range(world_size)]
    assert {len(rank) for rank in ranks} == {len(whole)}
    assert [sum(parts, []) for parts in zip(*ranks)] == whole


def test_a_source_smaller_than_a_batch_is_repeated():
    batches = [batch for batch in make(batch_size=16) if SOURCES[batch[0]] == 1]
    assert len(batches) == 1 and len(batches[0]) == 16 and set(batches[0]) == {49, 50, 51}


def loader(num_workers=0):
    """As mmengine's runner builds it from a config."""
    if "Numbers" not in DATASETS:
        DATASETS.register_module(module=Numbers)
    config = dict(
        dataset=dict(type="omgseg.Numbers"),
        sampler=dict(type="DefaultSampler", shuffle=True),
        batch_sampler=dict(type="omgseg.SourceBatchSampler"),
        batch_size=4,
        num_workers=num_workers,
        collate_fn=lambda batch: batch,
    )
    return Runner.build_dataloader(config, seed=5)


def test_the_runner_builds_it():
    data = loader()
    assert isinstance(data.batch_sampler, SourceBatchSampler) and len(data) == 20
    assert isinstance(data.sampler, SequentialSampler)  # has no set_epoch: the hook finds the batch sampler's
    data.batch_sampler.sampler.set_epoch(1)
    assert list(data) == list(make(epoch=1))


@pytest.fixture
def no_pause(monkeypatch):
    monkeypatch.setattr("mmengine.runner.loops.time.sleep", lambda seconds: None)


def stream(data, count):
    iterator = _InfiniteDataloaderIterator(data)
    return [next(iterator) for _ in range(count)]


@pytest.mark.parametrize("done", [7, 20, 47])
def test_resuming_an_iteration_based_run(no_pause, done):
    expected = stream(loader(), 65)[done:]

    # mmengine's own way: draw and drop
    iterator = _InfiniteDataloaderIterator(loader())
    iterator.skip_iter(done)
    assert [next(iterator) for _ in range(65 - done)] == expected

    # ours: compute where to go on
    data = loader()
    loop = SimpleNamespace(fast_forward_on_resume=False)
    ResumeDataHook().before_train(SimpleNamespace(iter=done, train_dataloader=data, train_loop=loop))
    assert loop.fast_forward_on_resume
    assert stream(data, 65 - done) == expected


def test_resuming_an_epoch_based_run():
    from mmengine.runner import EpochBasedTrainLoop

    data = loader()
    loop = EpochBasedTrainLoop.__new__(EpochBasedTrainLoop)
    ResumeDataHook().before_train(SimpleNamespace(iter=27, epoch=1, train_dataloader=data, train_loop=loop))
    data.batch_sampler.sampler.set_epoch(1)
    assert list(data) == list(make(epoch=1))[7:]
    data.batch_sampler.sampler.set_epoch(2)
    assert list(data) == list(make(epoch=2))


def test_workers_change_no_batch():
    assert list(loader(num_workers=2)) == list(loader())


def test_wrong_sampler():
    with pytest.raises(TypeError, match="DefaultSampler"):
        SourceBatchSampler(SequentialSampler(Numbers()), 4)
