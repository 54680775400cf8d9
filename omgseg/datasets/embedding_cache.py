"""Embeddings of images that a teacher computed once, on disk: many processes fill the folder, many read it.

A folder holds ``teacher.json`` and shards, ``<hash>.safetensors``, of up to :data:`SHARD_SIZE` float16 tensors each.
The key of an embedding is the SHA-256 of its image's file: moved images keep theirs, changed ones have none. A shard's
metadata holds the CRC-32 of each tensor.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from omgseg.files import parse_json, remove_abandoned, whole_file

SHARD_SIZE = 32
"""Embeddings of a shard: 64 MiB of SAM's. A killed process loses no more."""
FILL = "python tools/teacher_embeddings.py CONFIG"
"""The command that fills a cache."""
_TEACHER = "teacher.json"
_SHARDS = "*.safetensors"
_CLAIMS = ".claims"
_PREFIX = 16
"""Hexadecimal digits of a key that the index compares; the shard's header has all of them."""


class EmbeddingCacheError(ValueError):
    """A cache lacks an image, is damaged, or is another teacher's."""


@dataclass(frozen=True)
class Teacher:
    """Whose embeddings a cache holds.

    Attributes:
        weights: the file, for messages.
        sha256: of its content.
        image_size: side of the square that images are fitted into, in pixels.
    """

    weights: str
    sha256: str
    image_size: int

    def is_same(self, other: Teacher) -> bool:
        """Whether both give the same embeddings, wherever their files lie."""
        return (self.sha256, self.image_size) == (other.sha256, other.image_size)

    def __str__(self) -> str:
        return f"{self.weights} (SHA-256 {self.sha256[:12]}...) at {self.image_size} pixels"


class EmbeddingCache:
    """Reads a cache. Its memory is 12 bytes an embedding: no file stays open, and processes may share it by fork.

    Args:
        folder: of the cache.

    Raises:
        FileNotFoundError: nothing was cached there.
        EmbeddingCacheError: a shard is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.teacher = _read_teacher(self.folder)
        if self.teacher is None:
            raise FileNotFoundError(f"{folder} holds no embeddings of a teacher; run {FILL}")
        self._changed: int | None = None
        self._shards: list[str] = []
        self._prefixes = np.zeros(0, np.uint64)
        self._numbers = np.zeros(0, np.int32)
        self.refresh()

    def refresh(self) -> None:
        """Take in the shards that were written since; cheap where the folder has not changed."""
        changed = self.folder.stat().st_mtime_ns
        if changed == self._changed:
            return
        self._changed = changed
        known = set(self._shards)
        new = sorted(path.name for path in self.folder.glob(_SHARDS) if path.name not in known)
        if not new:
            return
        prefixes, numbers = [self._prefixes], [self._numbers]
        for number, name in enumerate(new, start=len(self._shards)):
            keys = self._keys_of(name)
            prefixes.append(np.array([_prefix(key) for key in keys], np.uint64))
            numbers.append(np.full(len(keys), number, np.int32))
        self._shards += new
        self._prefixes, self._numbers = np.concatenate(prefixes), np.concatenate(numbers)
        order = self._prefixes.argsort()
        self._prefixes, self._numbers = self._prefixes[order], self._numbers[order]

    def __len__(self) -> int:
        return len(self._prefixes)

    def __contains__(self, key: str) -> bool:
        return len(self._candidates(key)) > 0

    def __getitem__(self, key: str) -> Tensor:
        """The embedding of a key, float16 (E, h, w), compared with its checksum.

        Raises:
            KeyError: there is none.
            EmbeddingCacheError: its shard is damaged.
        """
        for number in self._candidates(key):
            path = self.folder / self._shards[number]
            try:
                with safe_open(path, "pt") as shard:
                    if key not in shard.keys():
                        continue
                    embedding = shard.get_tensor(key)
                    checksum = (shard.metadata() or {}).get(key)
            except (SafetensorError, OSError) as error:
                raise _damaged(path, str(error)) from error
            if checksum != _checksum(embedding):
                raise _damaged(path, "a checksum is wrong")
            return embedding
        raise KeyError(key)

    def _candidates(self, key: str) -> np.ndarray:
        """Numbers of the shards that hold keys of this beginning; seldom more than one."""
        prefix = np.uint64(_prefix(key))
        first, last = (self._prefixes.searchsorted(prefix, side) for side in ("left", "right"))
        return self._numbers[first:last]

    def _keys_of(self, name: str) -> list[str]:
        path = self.folder / name
        try:
            with safe_open(path, "pt") as shard:
                return list(shard.keys())
        except (SafetensorError, OSError) as error:
            raise _damaged(path, str(error)) from error


class EmbeddingWriter:
    """Adds to a cache; several processes may add to one folder at the same time.

    Use it as a context: leaving it writes the last shard.

    Args:
        folder: is created where it is missing.
        teacher: whose embeddings are added.

    Raises:
        EmbeddingCacheError: the folder holds those of another teacher, or a shard is damaged.
    """

    def __init__(self, folder: str | Path, teacher: Teacher) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        held = _read_teacher(folder)
        if held is None:
            with whole_file(folder / _TEACHER) as temporary:
                temporary.write_text(json.dumps(asdict(teacher), indent=2))
        elif not held.is_same(teacher):
            raise EmbeddingCacheError(
                f"{folder} holds the embeddings of another teacher, {held}; the config's is {teacher}: choose "
                "another folder"
            )
        remove_abandoned(folder, _SHARDS)
        self.cache = EmbeddingCache(folder)
        self._open: dict[str, Tensor] = {}
        self._claims = open(folder / _CLAIMS, "ab")

    def __enter__(self) -> EmbeddingWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.flush()
        finally:
            self._claims.close()

    def claim(self, key: str) -> bool:
        """Whether this process shall compute the embedding: no shard has it, and no other living process computes it.

        A claim ends when the embedding is written, or with the process.
        """
        try:
            fcntl.lockf(self._claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(key))
        except BlockingIOError:
            return False
        except OSError:
            pass  # a file system without locks: processes may compute the same, which does no harm
        if key in self._open:
            return False
        self.cache.refresh()
        if key in self.cache:
            self._release(key)
            return False
        return True

    def add(self, key: str, embedding: Tensor) -> None:
        """Keep an embedding (E, h, w), in half precision; every :data:`SHARD_SIZE` of them are written."""
        self._open[key] = embedding.detach().to("cpu", torch.float16).contiguous()
        if len(self._open) >= SHARD_SIZE:
            self.flush()

    def flush(self) -> None:
        """Write what was added since the last shard.

        Raises:
            EmbeddingCacheError: it cannot be written, as when the disk is full; these embeddings are lost.
        """
        if not self._open:
            return
        shard, self._open = self._open, {}
        name = hashlib.sha256("".join(sorted(shard)).encode()).hexdigest()[:32]
        checksums = {key: _checksum(embedding) for key, embedding in shard.items()}
        try:
            with whole_file(self.cache.folder / f"{name}.safetensors") as temporary:
                save_file(shard, temporary, metadata=checksums)
        except (SafetensorError, OSError) as error:
            raise EmbeddingCacheError(
                f"{self.cache.folder}: a shard cannot be written ({error}); make room or repair it, then run {FILL}"
            ) from error
        for key in shard:
            self._release(key)

    def _release(self, key: str) -> None:
        try:
            fcntl.lockf(self._claims, fcntl.LOCK_UN, 1, _place(key))
        except OSError:
            pass


def _read_teacher(folder: Path) -> Teacher | None:
    path = folder / _TEACHER
    if not path.is_file():
        return None
    try:
        return Teacher(**parse_json(path.read_text()))
    except (ValueError, TypeError) as error:
        raise EmbeddingCacheError(
            f"{path} does not name a teacher ({error}); delete {folder}, then run {FILL}"
        ) from error


def _prefix(key: str) -> int:
    return int(key[:_PREFIX], 16)


def _place(key: str) -> int:
    """A byte of the file of claims; its offsets have 63 bits."""
    return _prefix(key) >> 1


def _checksum(embedding: Tensor) -> str:
    return f"{zlib.crc32(embedding.numpy()):08x}"


def _damaged(path: Path, reason: str) -> EmbeddingCacheError:
    return EmbeddingCacheError(f"{path} is damaged ({reason}): delete it, then run {FILL}")
