"""How models behind the seam compute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch


@contextmanager
def predicting(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Compute without gradients; in float32, or in a shorter type through autocast.

    Args:
        device: of the model.
        dtype: with which it was loaded.
    """
    short = torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
    with torch.no_grad(), short:
        yield


def full_precision(device: torch.device) -> AbstractContextManager:
    """Compute float32 in float32, also where autocast is on; the meta device knows no autocast.

    Args:
        device: of the tensors.
    """
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
