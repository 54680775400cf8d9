"""Files that appear complete or not at all, and names that are safe to give them."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

NAME_BYTES = 200
"""Of a safe name at most: file systems allow 255, and an ending, a number or a temporary name come on top."""
_TEMPORARY_BYTES = 150
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_RESERVED = frozenset('<>:"|?*')
"""Not allowed in names on Windows, or with a meaning in shells and globs."""


def safe_name(name: str, default: str = "unnamed") -> str:
    """Reduce any text to the name of one file or folder: that of a source, of a JSON file, of an annotation.

    The result has no separator, no control character and nothing that Windows reserves; it does not begin with a
    dash or a dot, and has at most :data:`NAME_BYTES` bytes of UTF-8. An ordinary name stays as it is. One that had to
    be changed ends in a short hash of the text, so that different texts stay different.

    Args:
        default: stands for a name of which nothing is left.
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
    """A relative path of safe names; of an absolute one, or one that leads upwards, only the last name counts."""
    path = PurePosixPath(name)
    parts = path.parts
    if path.is_absolute() or ".." in parts:
        parts = parts[-1:]
    return PurePosixPath(*(safe_name(part, default) for part in parts or ("",)))


def unique_name(name: str, used: set[str]) -> str:
    """`name`, or with a number behind it where it is in `used`, to which the result is added.

    Upper and lower case count as equal, as they do on the file systems of Windows and macOS.
    """
    number, unique = 1, name
    while unique.casefold() in used:
        number += 1
        unique = f"{name}_{number}"
    used.add(unique.casefold())
    return unique


def file_sha256(path: str | Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A temporary file beside `path` to write; it gets its name when the block ends, and is deleted on an error.

    Missing folders are created. Several threads and processes may write the same file: one of them wins. What a
    killed process has left is used again.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, lock = _locked_file(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:  # only then: once renamed, the temporary name may be another writer's
        temporary.unlink(missing_ok=True)
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
    """The beginning of a text, at most `limit` bytes, without half a character."""
    return text.encode("utf-8", "surrogateescape")[:limit].decode("utf-8", "ignore")


def _locked_file(path: Path) -> tuple[Path, int]:
    """An empty temporary file beside `path`, and the descriptor whose lock says that its writer lives.

    The first numbered name that nobody holds is taken; so the next writer takes over what a killed one has left.
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
        except OSError:  # a file system without locks, as clusters have: a name that nobody else has
            if isinstance(number, str):
                return temporary, lock
            number = os.urandom(6).hex()
        os.close(lock)
