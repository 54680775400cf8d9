"""The check of the losses costs one wait for the device, however many losses there are."""

from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from omgseg.engine import FiniteLossHook, NonFiniteLossError


class CountReads(TorchDispatchMode):
    """Counts how often a value leaves the device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func.name() == "aten::_local_scalar_dense"
        return func(*args, **(kwargs or {}))


def check(losses: dict) -> None:
    FiniteLossHook().after_train_iter(SimpleNamespace(iter=7), 0, {"data_samples": []}, losses)


def test_one_read_for_all_losses():
    with CountReads() as reads:
        check({f"loss_{index}": torch.tensor(float(index)) for index in range(40)})
    assert reads.count <= 1


def test_every_kind_of_value_is_checked():
    check({})
    check({"a": 1.0, "b": torch.tensor([2]), "c": torch.tensor(1.0, dtype=torch.bfloat16)})
    with pytest.raises(NonFiniteLossError, match=r"iteration 7: b = nan, d = inf\."):
        check({"a": 1.0, "b": torch.tensor(float("nan")), "c": torch.tensor(3), "d": float("inf")})
