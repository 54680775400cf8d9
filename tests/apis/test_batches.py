"""Batches of equal keys, answered in order."""

import random

import pytest

from omgseg.apis.batches import WINDOW, run_in_batches


@pytest.mark.parametrize("batch_size", [1, 3])
def test_order_and_keys(batch_size):
    rng = random.Random(0)
    items = [(number, rng.choice("abc")) for number in range(50)]
    batches = []

    def run(batch):
        batches.append([key for _, key in batch])
        return [number * 10 for number, _ in batch]

    assert list(run_in_batches(items, lambda item: item[1], run, batch_size)) == [n * 10 for n in range(50)]
    assert all(len(set(batch)) == 1 and len(batch) <= batch_size for batch in batches)
    assert batch_size == 1 or len(batches) < 25


def test_what_waits_is_bounded():
    """One rare key does not hold back the results of all others."""
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    found = run_in_batches(items(), lambda number: number == 0, lambda batch: batch, 4)
    assert next(found) == 0
    assert len(taken) <= 4 * WINDOW + 2
    assert list(found) == list(range(1, 100))
