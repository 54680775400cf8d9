"""Text embeddings on disk: one file for a CLIP model, its weights and a set of templates; one row a word."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from mmengine.logging import print_log
from torch import Tensor

from omgseg.models.checkpoint_io import read_state_dict, write_state_dict


def cache_folder(cache_dir: str | None = None) -> Path:
    """`cache_dir`, else ``$OMGSEG_CACHE``, else ``~/.cache/omgseg``."""
    return Path(cache_dir or os.environ.get("OMGSEG_CACHE") or "~/.cache/omgseg").expanduser()


class TextCache:
    """Word to embedding, kept in one safetensors file that is replaced as a whole.

    Processes may share the file. Of two that add words at once the later one wins, and the other's words are
    computed again when they are next needed.

    Args:
        cache_dir: see :func:`cache_folder`.
        model_name, weights, templates: what the embeddings depend on; another value is another file.
        embed_dim: E.
    """

    def __init__(
        self, cache_dir: str | None, model_name: str, weights: str, templates: Sequence[str], embed_dim: int
    ) -> None:
        self._source = {"model": model_name, "weights": weights, "templates": json.dumps(list(templates))}
        digest = hashlib.sha256(json.dumps(self._source, sort_keys=True).encode()).hexdigest()[:16]
        readable = re.sub(r"[^\w.-]+", "-", model_name)
        self.path = cache_folder(cache_dir) / "text_embeddings" / f"{readable}_{digest}.safetensors"
        self._embed_dim = embed_dim

    def read(self, words: Sequence[str]) -> dict[str, Tensor]:
        """The embeddings, float32 (E,), of those of `words` that the file has."""
        known = self._read_all()
        return {word: known[word] for word in words if word in known}

    def add(self, embeddings: Mapping[str, Tensor]) -> None:
        """Write further words. A folder that cannot be written costs time next time, so it only warns."""
        try:
            write_state_dict(self.path, {**self._read_all(), **embeddings}, metadata=self._source)
        except OSError as error:
            _warn(f"text embeddings are not kept: {self.path} cannot be written ({error})")

    def _read_all(self) -> dict[str, Tensor]:
        if not self.path.is_file():
            return {}
        try:
            known = read_state_dict(self.path)
            wrong = [word for word, row in known.items() if row.shape != (self._embed_dim,)]
            if wrong:
                raise ValueError(f"the row of {wrong[0]!r} is not of size ({self._embed_dim},)")
        except (ValueError, OSError) as error:
            _warn(f"the cache of text embeddings {self.path} is damaged and is written anew: {error}")
            with suppress(OSError):
                self.path.unlink()
            return {}
        return known


def _warn(message: str) -> None:
    print_log(message, logger="current", level=logging.WARNING)
