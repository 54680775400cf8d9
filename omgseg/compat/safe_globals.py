"""What mmengine keeps in a checkpoint besides tensors, as an explicit allow-list for ``torch.load``.

The logged losses (``HistoryBuffer``, made of numpy arrays) are Python objects. The installed mmengine allows the real
``getattr`` to read them and, if that does not suffice, unpickles anything; both let a file run code. Here the list is
complete for mmengine's own files, nothing falls back, and ``getattr`` reaches the methods of ``HistoryBuffer`` only.
"""

import contextlib
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

_SCALARS = (np.bool_, np.uint8, np.int8, np.int16, np.int32, np.int64, np.float16, np.float32, np.float64)


def _history_buffer_method(owner: type, name: str) -> Callable:
    """What ``getattr`` means in mmengine's files: the statistics that a ``HistoryBuffer`` offers."""
    if owner is not HistoryBuffer or name.startswith("_"):
        raise pickle.UnpicklingError(
            f"the file asks for attribute {name!r} of {owner!r}, which is not allowed"
        )
    return getattr(HistoryBuffer, name)


def _numpy_globals() -> list[Any]:
    core = np._core.multiarray if hasattr(np, "_core") else np.core.multiarray
    functions = (core._reconstruct, core.scalar)
    renamed = [  # numpy 2 renamed the module; a file has the name of the numpy that wrote it
        (function, f"numpy.{module}.multiarray.{function.__name__}")
        for function in functions
        for module in ("core", "_core")
    ]
    return [np.ndarray, np.dtype, *renamed, *{type(np.dtype(scalar)) for scalar in _SCALARS}]


@contextlib.contextmanager
def training_state_globals() -> Iterator[None]:
    """Inside this block ``torch.load(weights_only=True)`` reads mmengine's training state."""
    allowed = [HistoryBuffer, (_history_buffer_method, "builtins.getattr"), *_numpy_globals()]
    with torch.serialization.safe_globals(allowed):
        yield
