"""One model, several users of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

import torch

from omgseg.models.segmentor import OMGSeg

T = TypeVar("T")


class ModelGate:
    """Lets one thread at a time compute with a model, without gradients and in one precision.

    Args:
        model: in eval mode.
        dtype: of the computation; float32, or a shorter type through autocast.
    """

    def __init__(self, model: OMGSeg, dtype: torch.dtype = torch.float32) -> None:
        self.model = model
        self.dtype = dtype
        self._lock = threading.RLock()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Wait for the others, then compute; may be nested."""
        device = next(self.model.parameters()).device.type
        short = torch.autocast(device, self.dtype, enabled=self.dtype != torch.float32)
        with self._lock, torch.no_grad(), short:
            yield


def through_gate(method: Callable[..., T]) -> Callable[..., T]:
    """A method that runs with the gate of its object, ``self.gate``, open."""

    @wraps(method)
    def inside(self: Any, *args: Any, **kwargs: Any) -> T:
        with self.gate.open():
            return method(self, *args, **kwargs)

    return inside


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The precision of the computation.

    Args:
        name: ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 on an accelerator that computes with it, else
            float32.

    Raises:
        ValueError: another name.
    """
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if name in known:
        return known[name]
    if name != "auto":
        raise ValueError(f"dtype {name!r} is none of auto, {', '.join(known)}")
    accelerator = torch.accelerator.current_accelerator()
    if accelerator is None or accelerator.type != device.type:
        return torch.float32
    supported = getattr(torch.get_device_module(device), "is_bf16_supported", None)
    return torch.bfloat16 if supported is not None and supported() else torch.float32
