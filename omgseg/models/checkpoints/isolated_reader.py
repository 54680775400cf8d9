"""Take the tensors out of a PyTorch file that also holds other Python objects, and run nothing that is in it.

A pickle is a program: unpickling calls whatever functions it names. Here every name means one of our own: a record of
a tensor where a tensor is rebuilt, ``OrderedDict``, or a stand-in that swallows its arguments. No module is imported
and no function called on the file's word, so classes that are not installed do no harm; ``torch.load`` has no part.

This file is also a program that imports nothing of omgseg, for an isolated interpreter (see
:func:`omgseg.models.checkpoints.trusted_pickle.read_trusted_pickle`):

    python -I isolated_reader.py CHECKPOINT TENSORS.safetensors '["folders", "to", "import", "from"]'

Facts about the training and the names that stand-ins took the place of are printed as JSON.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

_DTYPES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
_FACTS = ("epoch", "iter", "seed", "time", "experiment_name", "mmengine_version")
_FORBIDDEN = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.spawn", "os.posix_spawn")


class TensorRecord:
    """Where a tensor lies in the file: torch's own description of it, none of its values."""

    def __init__(self, storage: tuple[str, str], offset: int, size: tuple[int, ...], stride: tuple[int, ...]):
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride


class StandIn:
    """What every foreign class, function and object becomes; whatever the file does to it leaves no trace."""

    def __new__(cls, *_: Any, **__: Any) -> StandIn:
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> StandIn:
        return StandIn()

    def _ignore(self, *_: Any) -> None:
        pass

    __setstate__ = __setitem__ = append = extend = add = _ignore


def _tensor(
    storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> TensorRecord:
    return TensorRecord(storage, offset, size, stride)


def _parameter(data: Any, *_: Any) -> Any:
    return data


_KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}


class InertUnpickler(pickle.Unpickler):
    """Unpickles a checkpoint's ``data.pkl`` into plain containers, :class:`TensorRecord` and :class:`StandIn`.

    Attributes:
        replaced: name of what the file asked for -> its stand-in.
    """

    def __init__(self, file: io.BufferedIOBase) -> None:
        super().__init__(file)
        self.replaced: dict[str, type[StandIn]] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]
        if module.split(".")[0] == "torch" and name in _DTYPES:
            return name
        full = f"{module}.{name}"
        return self.replaced.setdefault(full, type("StandInClass", (StandIn,), {}))

    def persistent_load(self, pid: Any) -> tuple[str, str]:
        _, storage_type, key, *_ = pid
        return str(storage_type), str(key)


def training_facts(content: Any) -> dict[str, Any]:
    """What a training checkpoint's ``meta`` says in plain data: epoch, iteration, number of classes and the like."""
    meta = content.get("meta") if isinstance(content, Mapping) else None
    if not isinstance(meta, Mapping):
        return {}
    facts = {key: meta[key] for key in _FACTS if isinstance(meta.get(key), (bool, int, float, str))}
    about_data = meta.get("dataset_meta")
    classes = (
        about_data.get("classes", about_data.get("CLASSES")) if isinstance(about_data, Mapping) else None
    )
    if isinstance(classes, (list, tuple)):
        facts["classes"] = len(classes)
    return facts


def read_records(file: zipfile.ZipFile) -> tuple[dict[str, TensorRecord], dict[str, Any], list[str]]:
    """Tensors by name, facts about the training, and the names that stand-ins took the place of.

    Raises:
        ValueError: the file is not what ``torch.save`` writes, or holds no tensors.
    """
    names = [name for name in file.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(names) != 1:
        raise ValueError("it has no single 'data.pkl', which torch.save writes")
    unpickler = InertUnpickler(io.BytesIO(_read(file, names[0])))
    content = unpickler.load()
    state = content
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        state = content["state_dict"]
    records = {}
    if isinstance(state, Mapping):
        records = {str(name): value for name, value in state.items() if isinstance(value, TensorRecord)}
    if not records:
        raise ValueError("it holds no mapping of names to tensors, neither by itself nor under 'state_dict'")
    return records, training_facts(content), sorted(unpickler.replaced)


def _read(file: zipfile.ZipFile, name: str) -> bytes:
    if file.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"its part {name!r} is compressed, which torch.save never does")
    return file.read(name)


def load_tensors(path: str) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """The tensors themselves (copies, not views of one storage), the facts and the replaced names of a checkpoint.

    Raises:
        ValueError: see :func:`read_records`; or a tensor's storage is missing, of an unknown type or too small.
    """
    import torch

    with zipfile.ZipFile(path) as file:
        records, facts, replaced = read_records(file)
        folder = next(name for name in file.namelist() if name.endswith("/data.pkl")).removesuffix("data.pkl")
        tensors, last, values = {}, None, None
        for name, record in sorted(records.items(), key=lambda item: str(item[1].storage)):
            try:
                if record.storage != last:  # views of one storage are neighbours: it is read once
                    last, (storage_type, key) = record.storage, record.storage
                    dtype = getattr(torch, _DTYPES[storage_type])
                    data = bytearray(_read(file, f"{folder}data/{key}"))
                    values = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
                view = values.as_strided(record.size, record.stride, record.offset)
                tensors[name] = view.clone(memory_format=torch.contiguous_format)
            except (KeyError, TypeError, ValueError, RuntimeError) as error:
                raise ValueError(f"its tensor {name!r} cannot be read: {error}") from error
    return {name: tensors[name] for name in records}, facts, replaced


def wall_off() -> None:
    """From now on this interpreter opens no socket, starts no process and opens no file for writing."""

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        writes = (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if writes or event.startswith(_FORBIDDEN):
            raise PermissionError(f"{event} is not allowed here")

    sys.addaudithook(refuse)


def main(source: str, target: str, folders: str) -> None:
    sys.path.extend(json.loads(folders))
    import torch  # noqa: F401
    from safetensors.torch import save_file

    wall_off()
    try:
        tensors, facts, replaced = load_tensors(source)
    except (
        Exception
    ) as error:  # on a damaged or hostile file the unpickler fails with whatever its next step meets
        sys.exit(str(error) or type(error).__name__)
    save_file(tensors, target)
    print(json.dumps({"training": facts, "replaced": replaced}))


if __name__ == "__main__":
    main(*sys.argv[1:])
