"""Reading and writing weights without running code from the file.

What mmengine keeps in a checkpoint besides tensors is an explicit allow-list for ``torch.load``. The logged losses
(``HistoryBuffer``, made of numpy arrays) are Python objects. The installed mmengine allows the real ``getattr`` to read
them and, if that does not suffice, unpickles anything; both let a file run code. Here the list is complete for
mmengine's own files, nothing falls back, and ``getattr`` reaches the methods of ``HistoryBuffer`` only.
"""

from __future__ import annotations

import contextlib
import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from omgseg.files import whole_file
from omgseg.models.checkpoints.hub import local_file

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


class ForeignObjectsError(ValueError):
    """A file holds Python objects that are never unpickled."""


_PLACES = ("state_dict", "model")
"""Keys of a training checkpoint under which its tensors are: mmengine's, and that of many other trainers."""


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read the named tensors of a weight file onto the CPU.

    Args:
        path: ``.safetensors``, or a PyTorch file (``.pt``, ``.pth``, ``.bin``); or an ``hf://`` location of one, see
            :func:`omgseg.models.checkpoints.hub.local_file`. A training checkpoint is accepted: its tensors are under
            ``state_dict`` or ``model``. A leading ``module.`` (a data-parallel wrapper) is removed.

    Returns:
        Name to tensor.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, holds Python objects that are never unpickled, or holds no tensors.
    """
    return tensors_of(read_file(path), path)


def tensors_of(content: Any, source: str | Path) -> dict[str, Tensor]:
    """The named tensors of what :func:`read_file` returned; `source` is for messages."""
    if isinstance(content, Mapping):
        content = next((content[key] for key in _PLACES if isinstance(content.get(key), Mapping)), content)
    tensors = {}
    if isinstance(content, Mapping):
        tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    for name, value in tensors.items():
        if not isinstance(name, str):
            raise ValueError(f"{source} holds no weights: a tensor is named {name!r}, which is not a text")
        if value.layout != torch.strided or value.is_meta or value.is_quantized or value.is_complex():
            kind = "meta" if value.is_meta else str(value.layout).removeprefix("torch.")
            raise ValueError(
                f"{source}: the tensor {name!r} ({kind}, {value.dtype}) cannot be a weight; dense tensors of real "
                "numbers are needed"
            )
    if not tensors:
        raise ValueError(
            f"{source} holds no weights: expected a mapping of names to tensors, maybe under "
            "'state_dict' or 'model'"
        )
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    return tensors


def read_file(path: str | Path, map_location: Any = "cpu") -> Any:
    """Read everything a weight file or a training checkpoint holds, tensors to `map_location`.

    Raises:
        ForeignObjectsError: the file holds other Python objects; the message names them and says what to do.
        FileNotFoundError, ValueError: see :func:`read_state_dict`.
    """
    path = local_file(path)
    if not path.is_file():
        raise FileNotFoundError(f"weight file {path} not found")
    if path.suffix == ".safetensors":
        return _read_safetensors(path, map_location)
    return _read_pytorch(path, map_location)


def _read_safetensors(path: Path, map_location: Any) -> dict[str, Tensor]:
    try:
        return load_file(path, device=str(map_location))
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from error


def _read_pytorch(path: Path, map_location: Any) -> Any:
    if zipfile.is_zipfile(path):
        _check_archive(path)
    try:
        # Mapping into memory reads only the tensors that are used; the format before torch 1.6 cannot.
        with training_state_globals():
            return torch.load(
                path, map_location=map_location, weights_only=True, mmap=zipfile.is_zipfile(path)
            )
    except pickle.UnpicklingError as error:
        if not zipfile.is_zipfile(path):
            raise ValueError(
                f"{path} is not a PyTorch file, or an old one with objects that are never loaded"
            ) from error
        reason = str(error).rpartition("WeightsUnpickler error:")[2].strip().splitlines()[0]
        objects = ", ".join(_foreign_names(path)) or reason
        raise ForeignObjectsError(
            f"{path} holds Python objects besides tensors and mmengine's log; they are never loaded: {objects}. "
            f"If you trust where the file comes from, convert it with --trust-pickle: "
            f"python tools/convert_checkpoint.py {path} {path.stem}.safetensors --trust-pickle"
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # on damaged files the reader fails with whatever its next step meets
        if isinstance(error, OSError) and error.filename is not None:  # of opening it
            raise
        raise ValueError(f"{path} is damaged or not a PyTorch file: {error}") from error


def _check_archive(path: Path) -> None:
    """Refuse what torch never writes before anything of it is unpacked, and changed bytes, which torch does not notice.

    Raises:
        ValueError: parts are compressed, overlap, or differ from their checksums.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            packed = [part for part in parts if part.compress_type != zipfile.ZIP_STORED]
            if packed:
                raise ValueError(
                    f"its part {packed[0].filename!r} is compressed, which torch.save never does"
                )
            if sum(part.file_size for part in parts) > path.stat().st_size:
                raise ValueError("its parts are larger than the file")
            changed = archive.testzip()
            if changed is not None:
                raise ValueError(f"the checksum of its part {changed!r} is wrong: get the file again")
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path} is damaged or not a PyTorch file: {error}") from error


def _foreign_names(path: Path) -> list[str]:
    """Classes and functions that a file asks for and that are not allowed, found without unpickling it."""
    try:
        with training_state_globals():
            return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # a damaged pickle: what unpickling it complained of is the better message
        return []


def write_state_dict(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors as safetensors, to a temporary name first and then renamed: no reader sees half a file.

    Args:
        path: the file to create or replace; its folder is created.
        tensors: name to tensor, any device; of tensors that share memory, each is written as a copy.
        metadata: text kept in the file's header.

    Raises:
        OSError: it cannot be written, as the disk is full.
    """
    copies = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in tensors.items()
    }
    with whole_file(path) as temporary:
        try:
            save_file(copies, temporary, metadata=dict(metadata or {}))
        except SafetensorError as error:  # its text alone tells an error of the disk
            raise OSError(f"{path} cannot be written: {error}") from error
