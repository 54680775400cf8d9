"""What is labelled so far: a file of lines that grows with every image and survives the process.

The first line says what the labels depend on; every other one is an image with its annotations, an image that
could not be read with the reason, or, at the end, the number of images, which says that none is missing.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

FORMAT = "omgseg-label"
VERSION = 1
_BEGIN = b'{"format":"omgseg-label",'


class Journal:
    """Opens a journal to go on with it, or starts one; close it, or use it in a ``with`` block.

    A line that the end of a process cut off is dropped.

    Args:
        path: the file, created with its folders if missing.
        header: what all its records depend on, for JSON: settings, categories, shard.
        restart: forget what is in the file.

    Attributes:
        done: names of the images that have annotations.
        failed: reason by name of the images that could not be read; they are tried again.

    Raises:
        ValueError: the file is not a journal, or one of another header; names what differs.
        BlockingIOError: another process writes it.
    """

    def __init__(self, path: Path, header: dict[str, Any], restart: bool = False) -> None:
        self.path = path
        self.done: set[str] = set()
        self.failed: dict[str, str] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = path.open("a+b")
        try:
            self._lock()
            if restart:
                self._file.truncate(0)
            self._read(json.loads(json.dumps(header)))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let other processes write the file."""
        with suppress(OSError):  # a record that the full disk did not take; its error was raised by `add`
            self._file.close()

    def add(self, record: dict[str, Any]) -> None:
        """Keep the record of an image: ``file``, and either ``error`` or ``height``, ``width`` and ``annotations``.

        It is in the hands of the operating system when this returns: the end of the process does not lose it.

        Raises:
            OSError: it cannot be written; what was added before is kept.
        """
        self._write(record)
        self._note(record)

    def finish(self) -> None:
        """Say that every image of the shard has a record."""
        self._write({"finished": len(self.done) + len(self.failed)})

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(
                f"{self.path} is being written by another process; wait for its end"
            ) from error

    def _read(self, header: dict[str, Any]) -> None:
        end = 0
        for offset, record in read_lines(self.path):
            if end == 0:
                check_header(self.path, record, header)
            else:
                self._note(record)
            end = offset[1]
        self._file.truncate(end)
        if end == 0:
            self._write({"format": FORMAT, "version": VERSION, **header})

    def _note(self, record: dict[str, Any]) -> None:
        name = record.get("file")
        if "error" in record:
            if name not in self.done:
                self.failed[name] = record["error"]
        elif name is not None:
            self.done.add(name)
            self.failed.pop(name, None)

    def _write(self, record: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(record, separators=(",", ":")).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise OSError(
                error.errno, f"{error.strerror}: the same command goes on from here", self.path
            ) from error


def read_lines(path: Path) -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
    """The records of a file with where they begin and end, up to the first line that is cut off.

    Raises:
        ValueError: the file is not a journal.
    """
    end = 0
    with path.open("rb") as file:
        for line in file:
            start, end = end, end + len(line)
            try:
                record = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                record = None
            if start == 0 and line[: len(_BEGIN)] != _BEGIN[: len(line)]:
                raise ValueError(
                    f"{path} is not a journal of omgseg label; move it away, or give another --out"
                )
            if not isinstance(record, dict):
                return
            yield (start, end), record


def check_header(path: Path, found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Refuse records that were made otherwise.

    Raises:
        ValueError: names the settings that differ.
    """
    if found.get("version") != VERSION:
        raise ValueError(f"{path}: version {found.get('version')!r}, this program reads {VERSION}")
    for key, value in _flat(expected).items():
        old = _flat(found).get(key)
        if old != value:
            was, now = _short(old), _short(value)
            raise ValueError(
                f"{path} was made with another {key}: {was}, not {now}. Give the same arguments to go on, another "
                "--out, or --overwrite to start again"
            )


def _flat(header: dict[str, Any]) -> dict[str, Any]:
    """Settings are compared one by one, so that the error names the one that differs."""
    return {**header, **(header.get("settings") or {}), "settings": None}


def _short(value: Any, limit: int = 60) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
