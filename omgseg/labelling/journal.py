"""The journal of a labelling run: a file with one line per image or video, from which a killed run continues.

The first line holds the settings of the labels. Each other line is an image or video with its annotations, or one that
could not be read with the reason. A finished journal ends with the number of images.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from omgseg.files import parse_json

FORMAT = "omgseg-label"
VERSION = 1
_BEGIN = b'{"format":"omgseg-label",'


class Journal:
    """Continues a journal, or starts one; close it, or use it in a ``with`` block.

    An incomplete last line, left by a killed process, is removed.

    Args:
        path: the file; created with its folders if missing.
        header: everything that the records depend on, as JSON values: settings, categories, shard.
        restart: whether to delete the content of the file first.

    Attributes:
        done: names of the images that have annotations.
        failed: reasons by name of the images that could not be read; the next run tries them again.

    Raises:
        ValueError: the file is not a journal, or has another header; the message names the difference.
        BlockingIOError: another process writes the file.
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
        """Close the file, so that other processes can write it."""
        with suppress(OSError):  # of a record that a full disk did not take; `add` has raised it already
            self._file.close()

    def add(self, record: dict[str, Any]) -> None:
        """Write the record of an image or a video.

        It has ``file``, and either ``error``; or, for COCO files, ``height``, ``width`` and ``annotations``; or
        ``result``, the object of a result file without its vocabulary.

        The operating system has the record when this returns, so killing the process does not lose it.

        Raises:
            OSError: the record cannot be written; earlier records are kept.
        """
        self._write(record)
        self._note(record)

    def finish(self) -> None:
        """Mark the journal as finished: every input of the shard has a record."""
        self._write({"finished": len(self.done) + len(self.failed)})

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(
                f"{self.path} is being written by another process; wait until it ends"
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
                error.errno, f"{error.strerror}: the same command continues from here", str(self.path)
            ) from error


def read_lines(path: Path) -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
    """The records of a file, each with its first and last byte position, up to the first incomplete line.

    Raises:
        ValueError: the file is not a journal.
    """
    end = 0
    with path.open("rb") as file:
        for line in file:
            start, end = end, end + len(line)
            try:
                record = parse_json(line) if line.endswith(b"\n") else None
            except ValueError:
                record = None
            if start == 0 and line[: len(_BEGIN)] != _BEGIN[: len(line)]:
                raise ValueError(f"{path} is not a journal of omgseg label; move it, or give another --out")
            if not isinstance(record, dict):
                return
            yield (start, end), record


def check_header(path: Path, header: dict[str, Any], expected: dict[str, Any]) -> None:
    """Check that a journal was made with the expected settings.

    Args:
        path: the journal, for the error.
        header: its first record.
        expected: the settings, categories and shard to compare with.

    Raises:
        ValueError: a setting differs; the message names it.
    """
    if header.get("version") != VERSION:
        raise ValueError(
            f"{path}: field 'version' is {header.get('version')!r}, this omgseg reads {VERSION}; "
            "label again with --overwrite"
        )
    for key, value in _flat(expected).items():
        old = _flat(header).get(key)
        if old != value:
            was, now = _short(old), _short(value)
            raise ValueError(
                f"{path} was made with another {key}: {was}, not {now}. Give the same arguments to continue, another "
                "--out, or --overwrite to start again"
            )


def _flat(header: dict[str, Any]) -> dict[str, Any]:
    """A header with its settings beside the other fields, so that errors name a single setting."""
    other = {**header, "format": None, "settings": None}  # that of journals is the same for all
    return {**other, **(header.get("settings") or {})}


def _short(value: Any, limit: int = 60) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
