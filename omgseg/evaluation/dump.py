"""Predictions on disk, for scoring without the model: one file per sample, and a manifest.

``<folder>/manifest.json`` says what was predicted, ``<folder>/samples/<id>.npz`` holds a sample: a NumPy archive
whose member ``structure`` is JSON (UTF-8 bytes) with everything but arrays, which are members of their own. Nothing
is pickled, and what is read equals what was written bit for bit.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from pycocotools import mask as coco_mask
from torch import Tensor

from omgseg.evaluation.metrics.base import frames_of, is_video, to_numpy
from omgseg.files import parse_json, whole_file
from omgseg.structures.run_lengths import encode_masks

MANIFEST = "manifest.json"
_STRUCTURE = "structure"
# Keys of the JSON objects that stand for something else; no name in a sample starts like this.
_ARRAY, _MASKS, _RUN_LENGTHS = "$array", "$masks", "$run_lengths"


@dataclass(frozen=True)
class Manifest:
    """What the files of a folder are.

    Attributes:
        config: the config's file name.
        checkpoint: the weights' file name, or the name of a model.
        vocabulary: ``Vocabulary.to_dict()`` of what predicted labels index.
        samples: image or video ids of the whole data set, in its order.
        data_prefix: folders of the data set, by which paths in the samples begin.
        tasks, source: see ``SegmentationDataset``.
    """

    config: str
    checkpoint: str
    vocabulary: dict[str, Any]
    samples: list[int | str]
    data_prefix: dict[str, str] = field(default_factory=dict)
    tasks: list[str] = field(default_factory=list)
    source: str = ""

    def write(self, folder: str | Path) -> None:
        """Start a dump in a folder.

        Raises:
            FileExistsError: it holds one already.
        """
        path = Path(folder) / MANIFEST
        if path.exists():
            raise FileExistsError(
                f"{folder} already holds predictions ({MANIFEST}); choose another folder or delete it, "
                "else samples of two runs would mix"
            )
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, folder: str | Path) -> Manifest:
        """Raises:
        FileNotFoundError: the folder has no manifest.
        ValueError: the manifest is damaged, or of another version.
        """
        path = Path(folder) / MANIFEST
        if not path.is_file():
            raise FileNotFoundError(f"{path} not found; tools/test.py --dump {folder} writes it")
        try:
            return cls(**parse_json(path.read_text()))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} is not a manifest of dumped predictions: {error}") from error


def sample_file(folder: str | Path, key: int | str) -> Path:
    """The file of an image or video id."""
    return Path(folder) / "samples" / f"{quote(str(key), safe='')}.npz"


def write_sample(folder: str | Path, sample: Mapping[str, Any]) -> Path:
    """Write a predicted sample, as :meth:`SampleMetric.process` gets it, under its id.

    Everything that it holds is kept: predictions, metainfo, and what the data set packed.

    Raises:
        TypeError: a value is of a kind that cannot be written.
    """
    key = sample["video_id" if is_video(sample) else "img_id"]
    if is_video(sample):
        sample = {**sample, "video_data_samples": frames_of(sample)}
    arrays: dict[str, np.ndarray] = {}
    structure = json.dumps(_pack(sample, arrays, f"sample {key!r}"))
    arrays[_STRUCTURE] = np.frombuffer(structure.encode(), dtype=np.uint8)
    path = sample_file(folder, key)
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
    return path


def read_sample(folder: str | Path, key: int | str) -> dict[str, Any]:
    """Read a sample; tensors come back as arrays, tuples as lists.

    Raises:
        FileNotFoundError: it was not written.
        ValueError: the file is damaged.
    """
    path = sample_file(folder, key)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return _unpack(parse_json(arrays[_STRUCTURE].tobytes()), arrays)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} (predictions of {key!r}) not found") from None
    except (EOFError, KeyError, MemoryError, OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged, or not a dumped sample: {error}") from error


def _pack(value: Any, arrays: dict[str, np.ndarray], where: str) -> Any:
    """`value` as JSON; its arrays go to `arrays`."""
    if isinstance(value, Mapping):
        if isinstance(value.get("counts"), bytes):
            return {_RUN_LENGTHS: value["counts"].decode("ascii"), "size": [int(n) for n in value["size"]]}
        return {str(name): _pack(part, arrays, f"{where}.{name}") for name, part in value.items()}
    if isinstance(value, (Tensor, np.ndarray)):
        return _pack_array(to_numpy(value), arrays, where)
    if isinstance(value, (list, tuple)):
        return [_pack(part, arrays, f"{where}[{index}]") for index, part in enumerate(value)]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"{where}: a {type(value).__name__} cannot be written; only arrays, masks and plain values can"
    )


def _pack_array(array: np.ndarray, arrays: dict[str, np.ndarray], where: str) -> dict[str, Any]:
    if array.dtype == bool and array.ndim >= 3:
        masks = encode_masks(array.reshape(-1, *array.shape[-2:]))
        return {_MASKS: [mask["counts"] for mask in masks], "shape": list(array.shape)}
    if array.dtype.hasobject:
        raise TypeError(f"{where}: an array of Python objects cannot be written")
    name = str(len(arrays))
    kind = array.dtype.str
    if array.dtype.kind in "iu" and array.size and array.min() >= 0:
        array = array.astype(np.min_scalar_type(array.max()))  # a quarter of the bytes to compress
    arrays[name] = array
    return {_ARRAY: name, "dtype": kind}


def _unpack(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_unpack(part, arrays) for part in value]
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        return arrays[value[_ARRAY]].astype(value["dtype"])
    if _MASKS in value:
        return _decode_masks(value[_MASKS], value["shape"])
    if _RUN_LENGTHS in value:
        return {"size": value["size"], "counts": value[_RUN_LENGTHS].encode("ascii")}
    return {name: _unpack(part, arrays) for name, part in value.items()}


def _decode_masks(counts: Sequence[str], shape: Sequence[int]) -> np.ndarray:
    """Bool (..., H, W)."""
    masks = np.zeros((len(counts), *shape[-2:]), dtype=bool)
    for mask, encoded in zip(masks, counts, strict=True):
        mask[:] = coco_mask.decode({"size": shape[-2:], "counts": encoded.encode("ascii")})
    return masks.reshape(shape)
