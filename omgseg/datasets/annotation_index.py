"""Where the images and annotations of a file in the COCO instance format are, so that they need not be in memory.

A file is searched once. ``$OMGSEG_CACHE/annotation_index`` then has a copy of it, ``<SHA-256 of its content>.json``,
and what was found, ``<SHA-256>-v<reader version>.arrow``, 33 bytes an annotation: one row of columns of different
lengths. All processes map both. A ``.note`` says which content a path had, so that the next start need not read it
again. What was not used for :data:`KEPT_DAYS` is deleted when another index is made.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import mmap
import os
import shutil
import time
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from mmengine.logging import print_log

from omgseg.datasets.files import check_fields, require_file
from omgseg.datasets.json_stream import read_pieces
from omgseg.files import cache_folder, file_sha256, parse_json, whole_file
from omgseg.messages import shown

READER_VERSION = 1
"""Part of the names of index files; another one for other columns, or another meaning of one."""
KEPT_DAYS = 30
SEGMENTATION, BOX, CROWD = 1, 2, 4
"""Bits of an annotation: ``segmentation`` and ``bbox`` hold something, ``iscrowd`` is set."""
_LISTS = ("images", "annotations")
_BLOCK = 1 << 13
"""Images that are decoded at a time."""
_SETTLED_NS = 2_000_000_000
"""A file that changed later than this before it was read may change again within one tick of its file system's clock:
then its times do not say whether it is the same."""
_LARGE = 100 << 20
"""Searching a file of so many bytes takes seconds, and is worth a line in the log."""


class AnnotationIndex:
    """The lists ``images`` and ``annotations`` of a file, which stay on disk; the numbers of entries are rows.

    It may be used after a fork and sent to other processes. What happens to the file later changes nothing.

    Args:
        path: the file.
        fields: it must have.
        anchor: the part of data/README.md that describes it.
        digest: the SHA-256 of the content, where it was indexed before; None: of what the path holds now.

    Attributes:
        fields: its other fields, decoded.
        category_ids: those that annotations have, each once.
        image_codes: int32 (images,): images and annotations that belong together have the same number, which stands for
            the image's id; -1 where there is no id, or none that can be compared.
        annotation_codes: int32 (annotations,), the same.
        categories: int32 (annotations,), positions in `category_ids`, -1 as above.
        scores: float64 (annotations,), NaN where ``score`` is not a number from 0 to 1.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: not JSON (e.g. a half finished download), a field is missing, or a list is none.
    """

    def __init__(
        self, path: str | Path, fields: Sequence[str], anchor: str, digest: str | None = None
    ) -> None:
        folder = cache_folder() / "annotation_index"
        if digest is None:
            digest = _content_of(require_file(path, anchor), folder)
        self._opened_with = (str(path), tuple(fields), anchor, digest)
        table, self._text = _index_of(Path(path), digest, folder / f"{digest}-v{READER_VERSION}.arrow")
        header, columns = _unpacked(table)
        self.fields: dict[str, Any] = header["fields"]
        check_fields(self.fields, fields, path, anchor)
        for name in _LISTS:
            value = self.fields.get(name, [])  # of a list that was read entry by entry, []
            if not isinstance(value, list) and (value, name) != (None, "annotations"):
                raise ValueError(f"{path}: {name!r} is {shown(value)}, not a list")
        self.category_ids: list[Any] = header["category_ids"]
        self.image_codes = columns["image_codes"]
        self.annotation_codes = columns["annotation_codes"]
        self.categories = columns["categories"]
        self.scores = columns["scores"]
        self._columns = columns

    def __reduce__(self) -> tuple[Any, ...]:
        return AnnotationIndex, self._opened_with

    @property
    def num_images(self) -> int:
        return len(self.image_codes)

    @property
    def num_annotations(self) -> int:
        return len(self.annotation_codes)

    def has(self, bit: int) -> np.ndarray:
        """bool (annotations,), for :data:`SEGMENTATION`, :data:`BOX` or :data:`CROWD`."""
        return (self._columns["bits"] & bit) != 0

    def count(self, annotations: np.ndarray) -> np.ndarray:
        """How many of some annotations, bool (annotations,), each image has: int64 (images,)."""
        codes = self.annotation_codes[annotations]
        # the slot behind the last is that of -1
        return np.bincount(codes[codes >= 0], minlength=len(self._columns["first"]))[self.image_codes]

    def rows_of(self, image: int) -> np.ndarray:
        """The annotations of an image, int32, in the order of the file."""
        code = self.image_codes[image]
        if code < 0:
            return self._columns["order"][:0]
        return self._columns["order"][slice(*self._columns["first"][code : code + 2])]

    def images(self) -> Iterator[Any]:
        """All images, in the order of the file."""
        starts, lengths = self._columns["image_starts"], self._columns["image_lengths"]
        for first in range(0, self.num_images, _BLOCK):
            last = min(first + _BLOCK, self.num_images) - 1
            yield from parse_json(b"[%b]" % self._text[starts[first] : starts[last] + lengths[last]])

    def image(self, row: int) -> Any:
        """An entry of ``images``."""
        return self._entry("image", row)

    def annotation(self, row: int) -> Any:
        """An entry of ``annotations``."""
        return self._entry("annotation", row)

    def _entry(self, kind: str, row: int) -> Any:
        start, length = (self._columns[f"{kind}_{column}"][row] for column in ("starts", "lengths"))
        return parse_json(self._text[start : start + length])


def _content_of(path: Path, folder: Path) -> str:
    """The SHA-256 of a file, read only if the path's file has changed since the last time."""
    note = folder / f"{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()}.note"
    status = path.stat()
    # what changes when a file does
    state = [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        known = parse_json(note.read_bytes())
        if known["state"] == state:
            return str(known["sha256"])
    settled = max(status.st_mtime_ns, status.st_ctime_ns) < time.time_ns() - _SETTLED_NS
    digest = file_sha256(path)
    if settled:
        with contextlib.suppress(OSError), whole_file(note) as temporary:
            temporary.write_text(json.dumps({"path": str(path), "state": state, "sha256": digest}))
    return digest


def _index_of(path: Path, digest: str, target: Path) -> tuple[pa.Table, mmap.mmap]:
    """The index at `target` and the text it is of, made by the first process that needs it, while others wait.

    Where the folder cannot be written, every process has an index of its own in memory, of the file itself.
    """
    stored = _stored(target)
    if stored is not None:
        return stored
    with _one_at_a_time(target.with_suffix(".lock")):
        stored = _stored(target)
        if stored is not None:
            return stored
        began = time.perf_counter()
        try:
            copy = _copied(path, digest, _text_of(target))
            table = _search(copy, path)
            with whole_file(target) as temporary, pa.ipc.new_file(str(temporary), table.schema) as writer:
                writer.write_table(table)
        except OSError as error:
            text = f"{path}: its index cannot be written ({error}); every process makes its own in memory"
            print_log(text, "current", logging.WARNING)
            return _search(path, path), _mapped(path)
        except ValueError:
            _text_of(target).unlink(missing_ok=True)
            raise
        _forget_old(target.parent)
        if copy.stat().st_size > _LARGE:
            seconds = time.perf_counter() - began
            print_log(
                f"{path}: searched in {seconds:.0f} s, once; the index is {target}", "current", logging.INFO
            )
        return _stored(target) or (table, _mapped(copy))


def _text_of(index: Path) -> Path:
    return index.with_name(f"{index.name.partition('-')[0]}.json")


def _copied(path: Path, digest: str, copy: Path) -> Path:
    """A copy of the file, which nobody writes."""
    if not copy.is_file():
        with whole_file(copy) as temporary:
            shutil.copyfile(path, temporary)
            if file_sha256(temporary) != digest:
                raise ValueError(f"{path} was written while it was read; start again when it is complete")
    return copy


def _mapped(path: Path) -> mmap.mmap:
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _stored(path: Path) -> tuple[pa.Table, mmap.mmap] | None:
    """An index file and its text, mapped; None if there is none that can be read."""
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        _unpacked(table)
        text = _mapped(_text_of(path))
    except FileNotFoundError:
        return None
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError) as error:
        print_log(f"{path} is damaged ({error}), it is made again", "current", logging.WARNING)
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
        os.utime(_text_of(path))
    return table, text


def _forget_old(folder: Path) -> None:
    """Delete what was not used for a while; a process that has mapped a file keeps it."""
    oldest = time.time() - KEPT_DAYS * 86400
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()


@contextlib.contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Wait for the other processes here; where files have no locks, or cannot be written, nobody waits."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(open(path, "ab"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            # a process that comes later has a lock of its own, and finds the index
            stack.callback(path.unlink, missing_ok=True)
        yield


class _Found:
    """What is noted of the entries while a file is read."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.image_ids: dict[Any, int] = {}
        self.category_ids: dict[Any, int] = {}
        self._begin_images()
        self._begin_annotations()

    def _begin_images(self) -> None:
        self.image_starts, self.image_lengths, self.image_codes = array("q"), array("i"), array("i")

    def _begin_annotations(self) -> None:
        self.annotation_starts, self.annotation_lengths = array("q"), array("i")
        self.annotation_codes, self.categories = array("i"), array("i")
        self.bits, self.scores = array("B"), array("d")
        self.category_ids.clear()

    def begin(self, name: str, value: Any) -> None:
        """A field; the last one counts where a name comes twice."""
        self.fields[name] = value
        if name == "images":
            self._begin_images()
        elif name == "annotations":
            self._begin_annotations()

    def add_image(self, image: Any, start: int, end: int) -> None:
        self.image_starts.append(start)
        self.image_lengths.append(end - start)
        self.image_codes.append(_code(image, "id", self.image_ids))

    def add_annotation(self, annotation: Any, start: int, end: int) -> None:
        self.annotation_starts.append(start)
        self.annotation_lengths.append(end - start)
        self.annotation_codes.append(_code(annotation, "image_id", self.image_ids))
        self.categories.append(_code(annotation, "category_id", self.category_ids))
        values = annotation if isinstance(annotation, dict) else {}
        self.bits.append(
            (SEGMENTATION if values.get("segmentation") else 0)
            | (BOX if values.get("bbox") else 0)
            | (CROWD if values.get("iscrowd") else 0)
        )
        score = values.get("score")
        self.scores.append(score if type(score) in (int, float) and 0 <= score <= 1 else float("nan"))

    def packed(self) -> pa.Table:
        """One row, with a list for each column; the annotations of each image are found by `order` and `first`."""
        codes = np.asarray(self.annotation_codes)
        order = np.argsort(codes, kind="stable").astype(np.int32)[np.count_nonzero(codes < 0) :]
        sizes = np.bincount(codes[codes >= 0], minlength=len(self.image_ids))
        columns = {
            "image_starts": self.image_starts,
            "image_lengths": self.image_lengths,
            "image_codes": self.image_codes,
            "annotation_starts": self.annotation_starts,
            "annotation_lengths": self.annotation_lengths,
            "annotation_codes": self.annotation_codes,
            "categories": self.categories,
            "bits": self.bits,
            "scores": self.scores,
            "order": order,
            "first": np.concatenate(([0], np.cumsum(sizes))),
        }
        lists = [_as_list(np.asarray(values)) for values in columns.values()]
        header = json.dumps({"fields": self.fields, "category_ids": list(self.category_ids)})
        return pa.table(lists, list(columns)).replace_schema_metadata({"omgseg": header})


def _code(entry: Any, field: str, codes: dict[Any, int]) -> int:
    """The number of an entry's id, a new one for a new id; -1 if it has none, or one that is a list or an object."""
    try:
        return codes.setdefault(entry[field], len(codes))
    except (LookupError, TypeError):
        return -1


def _as_list(values: np.ndarray) -> pa.Array:
    return pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), pa.array(values))


def _unpacked(table: pa.Table) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the columns, which are no copies."""
    header = parse_json(table.schema.metadata[b"omgseg"])
    columns = {
        name: table.column(name).chunk(0).values.to_numpy(zero_copy_only=True) for name in table.column_names
    }
    return header, columns


def _search(file: Path, path: Path) -> pa.Table:
    """Read a file once, from its beginning to its end; errors name `path`."""
    found = _Found()
    add = {"images": found.add_image, "annotations": found.add_annotation}
    try:
        with open(file, "rb") as reader:
            for name, value, start, end in read_pieces(reader, _LISTS):
                if start is None:
                    found.begin(name, value)
                else:
                    add[name](value, start, end)
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON ({error}); download it again") from error
    return found.packed()
