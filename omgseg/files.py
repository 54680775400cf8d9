"""Atomic writing of files, safe file names, and reading JSON that anybody may have written."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

NAME_BYTES = 200
"""Longest safe name; file systems allow 255 bytes, and suffixes, numbers and temporary names need some of them."""
_TEMPORARY_BYTES = 150
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_RESERVED = frozenset('<>:"|?*')
"""Characters that Windows does not allow in names, or that have a meaning in shells and globs."""


def safe_name(name: str, default: str = "unnamed") -> str:
    """Turn any text into the name of one file or folder.

    The result has no separator, no control character and no name or character that Windows reserves; it does not begin
    with a dash or a dot, and has at most :data:`NAME_BYTES` bytes of UTF-8. A name that is already safe is not changed.
    A changed name ends in a short hash of the text, so different texts have different names.

    Args:
        name: the text.
        default: used if no character is left.
    """
    parts = [part for part in re.split(r"[/\\]", name) if part not in ("", ".", "..")]
    text = "".join("_" if _is_unsafe(character) else character for character in "_".join(parts))
    text = text.lstrip("-. ").rstrip(". ") or default
    if _DEVICES.match(text):
        text = f"_{text}"
    if text == (name or default) and len(text.encode()) <= NAME_BYTES:
        return text
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{_cut(text, NAME_BYTES - len(digest) - 1)}-{digest}"


def safe_path(name: str, default: str = "unnamed") -> PurePosixPath:
    """A relative path of safe names; only the last name of an absolute path, or of one with ``..``, is used."""
    path = PurePosixPath(name)
    parts = path.parts
    if path.is_absolute() or ".." in parts:
        parts = parts[-1:]
    return PurePosixPath(*(safe_name(part, default) for part in parts or ("",)))


def unique_name(name: str, used: set[str]) -> str:
    """`name`, with a number behind it if the name is in `used`; the result is added to `used`.

    Upper and lower case are equal, as on the file systems of Windows and macOS.
    """
    number, unique = 1, name
    while unique.casefold() in used:
        number += 1
        unique = f"{name}_{number}"
    used.add(unique.casefold())
    return unique


def cache_folder(cache_dir: str | None = None) -> Path:
    """`cache_dir`, else ``$OMGSEG_CACHE``, else ``~/.cache/omgseg``."""
    return Path(cache_dir or os.environ.get("OMGSEG_CACHE") or "~/.cache/omgseg").expanduser()


def file_sha256(path: str | Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def parse_json(text: str | bytes) -> Any:
    """``json.loads``, which ends with a ValueError, too, where lists or objects are nested too deep for it.

    Raises:
        ValueError: it is not JSON, or nested too deep.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("its lists or objects are nested too deep") from error


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A temporary file beside `path`, which is renamed to `path` when the block ends, and deleted after an error.

    Missing folders are created. Several threads and processes may write the same file; the last one wins. Temporary
    files of killed processes are used again.

    Raises:
        OSError: it cannot be written, as the disk is full or the folder read-only; the message names `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, lock = _locked_file(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        # not after success: the temporary name may belong to another writer by then
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = str(path)  # a failing write knows no names
        raise
    finally:
        os.close(lock)


def remove_abandoned(folder: str | Path, pattern: str = "*") -> list[Path]:
    """Delete the temporary files of :func:`whole_file` that killed processes have left in a folder.

    Args:
        folder: is not searched below its top.
        pattern: of the names that the files would have got.

    Returns:
        What was deleted. A file whose writer still runs is kept, as is any on a file system without locks.
    """
    removed = []
    for path in Path(folder).glob(f".{pattern}.*.tmp"):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):  # not another writer's by now
                path.unlink()
                removed.append(path)
    return removed


def _is_unsafe(character: str) -> bool:
    return character in _RESERVED or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def _cut(text: str, limit: int) -> str:
    """The beginning of a text, at most `limit` bytes of UTF-8, cut between characters."""
    return text.encode("utf-8", "surrogateescape")[:limit].decode("utf-8", "ignore")


def _locked_file(path: Path) -> tuple[Path, int]:
    """An empty temporary file beside `path`, and a descriptor that locks it while its writer lives.

    The first numbered name without a lock is taken, so files of killed writers are used again.
    """
    number: int | str = 0
    while True:
        temporary = path.with_name(f".{_cut(path.name, _TEMPORARY_BYTES)}.{number}.tmp")
        lock = os.open(temporary, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), os.stat(temporary)):
                os.ftruncate(lock, 0)
                return temporary, lock
            number += 1  # another writer has just finished
        except (BlockingIOError, FileNotFoundError):
            number += 1
        except OSError:  # a file system without locks, as on some clusters: take a random name
            if isinstance(number, str):
                return temporary, lock
            number = os.urandom(6).hex()
        os.close(lock)
