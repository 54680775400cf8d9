"""Text embeddings on disk: one SQLite file for a CLIP model, its weights and a set of templates; one row per word."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

MAX_WORDS = 50_000
"""Words that a file keeps: 154 MB at E = 768. All data sets of the published training have about 5,000."""
_AT_ONCE = 500
"""Words per query; SQLite bounds the parameters of one statement."""
_LOCK_SECONDS = 10.0
_HOUR = 3600


class CacheDamagedError(ValueError):
    """The file is not a cache of embeddings of this size."""


def cache_folder(cache_dir: str | None = None) -> Path:
    """`cache_dir`, else ``$OMGSEG_CACHE``, else ``~/.cache/omgseg``."""
    return Path(cache_dir or os.environ.get("OMGSEG_CACHE") or "~/.cache/omgseg").expanduser()


class TextCache:
    """Word to embedding. New words are appended; beyond `max_words` those that were not used for longest go.

    Processes and threads may share the file. It only saves time: a file that cannot be written gives a warning, a
    damaged one is renamed (``.damaged``) and begun anew.

    Args:
        cache_dir: see :func:`cache_folder`.
        model_name, weights, templates: what the embeddings depend on; another value is another file.
        embed_dim: E.
        max_words: rows that are kept.
    """

    def __init__(
        self,
        cache_dir: str | None,
        model_name: str,
        weights: str,
        templates: Sequence[str],
        embed_dim: int,
        max_words: int = MAX_WORDS,
    ) -> None:
        self._source = {"model": model_name, "weights": weights, "templates": json.dumps(list(templates))}
        digest = hashlib.sha256(json.dumps(self._source, sort_keys=True).encode()).hexdigest()[:16]
        readable = re.sub(r"[^\w.-]+", "-", model_name)
        self.path = cache_folder(cache_dir) / "text_embeddings" / f"{readable}_{digest}.sqlite"
        self._embed_dim = embed_dim
        self._max_words = max_words

    def read(self, words: Sequence[str]) -> dict[str, Tensor]:
        """The embeddings, float32 (E,), of those of `words` that the file has."""
        if not self.path.is_file():
            return {}
        found: dict[str, Tensor] = {}
        try:
            with self._open("ro") as database:
                for start in range(0, len(words), _AT_ONCE):
                    part = words[start : start + _AT_ONCE]
                    marks = ",".join("?" * len(part))
                    rows = database.execute(
                        f"SELECT word, embedding FROM words WHERE word IN ({marks})", part
                    )
                    found.update((word, self._decode(word, blob)) for word, blob in rows)
            self._touch(list(found))
        except (sqlite3.DatabaseError, CacheDamagedError) as error:
            self._report(error)
            return {}
        return found

    def add(self, embeddings: Mapping[str, Tensor]) -> None:
        """Write further words, float32 (E,) each."""
        now = _hour()
        rows = [
            (word, value.float().numpy().astype("<f4").tobytes(), now) for word, value in embeddings.items()
        ]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._open("rwc") as database, database:
                self._create_tables(database)
                database.executemany("INSERT OR REPLACE INTO words VALUES (?, ?, ?)", rows)
                (count,) = database.execute("SELECT COUNT(*) FROM words").fetchone()
                oldest = "SELECT word FROM words ORDER BY used, rowid LIMIT ?"
                database.execute(
                    f"DELETE FROM words WHERE word IN ({oldest})", (max(0, count - self._max_words),)
                )
        except (sqlite3.DatabaseError, OSError) as error:
            self._report(error)

    @contextmanager
    def _open(self, mode: str) -> Iterator[sqlite3.Connection]:
        """A connection of its own for each use: it may come from any thread, and a fork inherits none."""
        place = f"{self.path.resolve().as_uri()}?mode={mode}"
        with closing(sqlite3.connect(place, uri=True, timeout=_LOCK_SECONDS)) as database:
            yield database

    def _create_tables(self, database: sqlite3.Connection) -> None:
        database.execute(
            "CREATE TABLE IF NOT EXISTS words (word TEXT PRIMARY KEY, embedding BLOB NOT NULL, used INTEGER NOT NULL)"
        )
        database.execute("CREATE TABLE IF NOT EXISTS source (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
        database.executemany("INSERT OR IGNORE INTO source VALUES (?, ?)", self._source.items())

    def _decode(self, word: str, blob: bytes) -> Tensor:
        if not isinstance(blob, bytes) or len(blob) != 4 * self._embed_dim:
            raise CacheDamagedError(f"the row of {word!r} is not of size ({self._embed_dim},)")
        return torch.from_numpy(np.frombuffer(blob, "<f4").astype(np.float32))

    def _touch(self, words: Sequence[str]) -> None:
        """Note that words are in use, at most once an hour; a file that is only read stays as it is."""
        now = _hour()
        try:
            with self._open("rw") as database, database:
                database.executemany(
                    "UPDATE words SET used = ? WHERE word = ? AND used < ?",
                    [(now, word, now) for word in words],
                )
        except sqlite3.OperationalError:  # read-only, or locked by a writer
            return

    def _report(self, error: Exception) -> None:
        """Warn; a damaged file (not one that is locked or cannot be written) is put aside."""
        if isinstance(error, sqlite3.OperationalError | OSError):
            _warn(f"text embeddings are not kept: {self.path} cannot be used ({error})")
            return
        _warn(f"the cache of text embeddings {self.path} is damaged and is begun anew: {error}")
        try:
            self.path.replace(self.path.with_name(f"{self.path.name}.damaged"))
        except OSError as failure:
            _warn(f"{self.path} cannot be renamed ({failure})")


def _hour() -> int:
    return int(time.time()) // _HOUR


def _warn(message: str) -> None:
    print_log(message, logger="current", level=logging.WARNING)
