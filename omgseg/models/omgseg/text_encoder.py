"""The text encoder: words in sentences to unit vectors in CLIP space, cached in RAM and on disk."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import sqlite3
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from mmengine.device import get_device
from mmengine.logging import print_log
from open_clip.model import _build_text_tower
from torch import Tensor, nn
from tqdm import tqdm

from omgseg.files import cache_folder
from omgseg.models.checkpoints.loading import load_state
from omgseg.models.checkpoints.reading import read_state_dict
from omgseg.models.omgseg.classifier import ClassTexts
from omgseg.models.omgseg.clip_weights import clip_config, locate_weights, weights_id
from omgseg.protocols import MissingWords
from omgseg.registry import MODELS
from omgseg.structures import Vocabulary

_SIZES = ("small", "medium", "large")

TEMPLATES: dict[str, tuple[str, ...]] = {
    "plain": ("{}",),
    "photo": ("a photo of a {}.",),
    # The 14 sentences of ViLD (Gu et al., "Open-vocabulary object detection via vision and language knowledge
    # distillation", 2022), which the published OMG-Seg weights were trained with: five general ones, three
    # sizes.
    "vild": (
        "a photo of a {}.",
        "This is a photo of a {}",
        "There is a {} in the scene",
        "There is the {} in the scene",
        "a photo of a {} in the scene",
        *(f"a photo of a {size} {{}}." for size in _SIZES),
        *(f"This is a photo of a {size} {{}}." for size in _SIZES),
        *(f"There is a {size} {{}} in the scene." for size in _SIZES),
    ),
}
"""Template sets by name; ``{}`` stands for the word."""


def resolve_templates(templates: str | Sequence[str]) -> tuple[str, ...]:
    """The sentences of a named set, or the given sentences, checked.

    Raises:
        ValueError: unknown name, empty list, or a sentence without exactly one ``{}``.
    """
    if isinstance(templates, str):
        if templates not in TEMPLATES:
            raise ValueError(
                f"unknown templates {templates!r}: choose from {sorted(TEMPLATES)} or give a list"
            )
        return TEMPLATES[templates]
    templates = tuple(templates)
    wrong = [sentence for sentence in templates if sentence.count("{}") != 1]
    if wrong or not templates:
        raise ValueError(
            f"every template needs exactly one '{{}}' for the word; got {wrong or 'an empty list'}"
        )
    return templates


MAX_WORDS = 50_000
"""Words that a cache file keeps: 154 MB at E = 768."""
_AT_ONCE = 500
"""Words per query; SQLite bounds the parameters of one statement."""
_LOCK_SECONDS = 10.0
_HOUR = 3600


class CacheDamagedError(ValueError):
    """The file is not a cache of embeddings of this size."""


class TextCache:
    """Word to embedding. New words are appended; beyond `max_words` the least recently used ones are deleted.

    Processes and threads may share the file. It only saves time: a file that cannot be written gives a warning, a
    damaged one is renamed (``.damaged``) and replaced by a new one.

    Args:
        cache_dir: see :func:`omgseg.files.cache_folder`.
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
        _warn(f"the cache of text embeddings {self.path} is damaged and is replaced by a new one: {error}")
        try:
            self.path.replace(self.path.with_name(f"{self.path.name}.damaged"))
        except OSError as failure:
            _warn(f"{self.path} cannot be renamed ({failure})")


def _hour() -> int:
    return int(time.time()) // _HOUR


def _warn(message: str) -> None:
    print_log(message, logger="current", level=logging.WARNING)


_SENTENCES_AT_ONCE = 256
_WORDS_AT_ONCE = 256
"""Words that are embedded and written to the cache together: what an interruption loses."""
_SECONDS_BETWEEN_LINES = 60.0
"""Of the progress in a log, which is no terminal."""
WORDS_IN_MEMORY = 10_000
"""Words whose embeddings stay in RAM: those used last, 31 MB at E = 768."""


@MODELS.register_module(name="CLIPTextEncoder")
class TextEncoder:
    """Text embeddings of a vocabulary.

    It is not a part of the model's state: the text tower is built only when a word is not in the cache, on the
    accelerator if there is one, and released afterwards. With the words in the cache, neither weights nor a
    network are needed.

    Args:
        model_name: an open_clip model, the same as the image encoder's.
        pretrained: open_clip's tag, or a local file of a whole CLIP model; None: random weights, the same every time
            and not cached on disk, with a warning.
        templates: name of a set in :data:`~omgseg.models.omgseg.text_encoder.TEMPLATES`, or a list of sentences
            with one ``{}`` each.
        cache_dir: folder of cached embeddings and of downloaded weights. None is ``$OMGSEG_CACHE``, else
            ``~/.cache/omgseg``, and the hub's own folder for weights.

    Raises:
        ValueError: unknown model or templates.
        FileNotFoundError: `pretrained` is a local file that does not exist.
    """

    def __init__(
        self,
        model_name: str = "convnext_large_d_320",
        pretrained: str | None = None,
        templates: str | Sequence[str] = "vild",
        cache_dir: str | None = None,
    ) -> None:
        self.model_name = model_name
        self.pretrained = pretrained
        self.templates = resolve_templates(templates)
        self.embed_dim: int = clip_config(model_name)["embed_dim"]
        self._download_dir = cache_dir
        self._known: OrderedDict[str, Tensor] = OrderedDict()
        self._cache: TextCache | None = None
        if pretrained is not None:
            identity = weights_id(model_name, pretrained)
            self._cache = TextCache(cache_dir, model_name, identity, self.templates, self.embed_dim)

    @property
    def cache_path(self) -> Path | None:
        """The file that holds this encoder's embeddings; None with random weights, which are not kept."""
        return None if self._cache is None else self._cache.path

    def __call__(self, vocabulary: Vocabulary) -> Tensor:
        """Embed every word of every category.

        Args:
            vocabulary: C categories; P is the largest number of words that one of them has.

        Returns:
            (C, P, E) float32 unit vectors on the CPU. A category of fewer than P words repeats its first one,
            which leaves the maximum over words as it is.

        Raises:
            MissingWords: words are not in the cache and the weights are missing; says how to give them.
        """
        words_of, known = self._known_words_of(vocabulary)
        most = max((len(words) for words in words_of), default=1)
        rows = [
            torch.stack([known[word] for word in (*words, *words[:1] * (most - len(words)))])
            for words in words_of
        ]
        return torch.stack(rows) if rows else torch.zeros(0, most, self.embed_dim)

    def class_texts(self, vocabulary: Vocabulary) -> ClassTexts:
        """The same embeddings without padding, on the CPU; see :meth:`__call__`."""
        words_of, known = self._known_words_of(vocabulary)
        owners = [label for label, words in enumerate(words_of) for _ in words]
        embeddings = [known[word] for words in words_of for word in words]
        stacked = torch.stack(embeddings) if embeddings else torch.zeros(0, self.embed_dim)
        return ClassTexts(stacked, torch.tensor(owners, dtype=torch.int64), len(words_of))

    def _known_words_of(self, vocabulary: Vocabulary) -> tuple[list[tuple[str, ...]], dict[str, Tensor]]:
        """The words of each category, and the embedding (E,) of each word."""
        words_of = vocabulary.words
        different = list(dict.fromkeys(word for words in words_of for word in words))
        return words_of, self._embeddings_of(different)

    def _embeddings_of(self, words: Sequence[str]) -> dict[str, Tensor]:
        """Embeddings (E,) of different words: from RAM, from the cache file, else from the text tower."""
        found = {word: self._known[word] for word in words if word in self._known}
        missing = [word for word in words if word not in found]
        if missing and self._cache is not None:
            found |= self._cache.read(missing)
            missing = [word for word in missing if word not in found]
        if missing:
            found |= zip(missing, self._embed(missing).unbind(), strict=True)
        self._keep(found)
        return found

    def _keep(self, embeddings: Mapping[str, Tensor]) -> None:
        """Hold on to the words used last."""
        for word, embedding in embeddings.items():
            if word not in self._known:
                self._known[word] = embedding.clone()  # a view would hold its whole batch
            self._known.move_to_end(word)
        while len(self._known) > WORDS_IN_MEMORY:
            self._known.popitem(last=False)

    @torch.no_grad()
    def _embed(self, words: Sequence[str]) -> Tensor:
        """(len(words), E): mean over templates of the unit embeddings of the sentences, normalised. What is embedded is
        in the cache file at once; many words show their progress."""
        try:
            tower = self._build_tower().to(get_device())
        except FileNotFoundError as error:
            raise MissingWords(
                words,
                f"their text embeddings are not in the cache {self.cache_path} "
                f"(tools/text_embeddings.py fills it on a machine that has the weights), and {error}",
            ) from error
        tokenize = open_clip.get_tokenizer(self.model_name)
        found = []
        shown = dict(
            total=len(words),
            desc="text embeddings",
            unit="word",
            leave=False,
            disable=len(words) <= _WORDS_AT_ONCE,
            mininterval=0.1 if sys.stderr.isatty() else _SECONDS_BETWEEN_LINES,
        )
        with tqdm(**shown) as progress:
            for start in range(0, len(words), _WORDS_AT_ONCE):
                batch = words[start : start + _WORDS_AT_ONCE]
                embeddings = self._embed_batch(tower, tokenize, batch)
                if self._cache is not None:
                    self._cache.add(dict(zip(batch, embeddings, strict=True)))
                found.append(embeddings)
                progress.update(len(batch))
        return torch.cat(found)

    def _embed_batch(
        self, tower: nn.Module, tokenize: Callable[[list[str]], Tensor], words: Sequence[str]
    ) -> Tensor:
        sentences = [template.format(word) for word in words for template in self.templates]
        tokens = tokenize(sentences).to(get_device())
        with _without_padding(tower, tokens) as tokens:
            batches = [tower(batch).float().cpu() for batch in tokens.split(_SENTENCES_AT_ONCE)]
        embeddings = F.normalize(torch.cat(batches), dim=-1).unflatten(0, (len(words), len(self.templates)))
        return F.normalize(embeddings.mean(1), dim=-1)

    def _build_tower(self) -> nn.Module:
        config = clip_config(self.model_name)
        path = None
        if self.pretrained is None:
            print_log(
                f"CLIP text encoder {self.model_name!r} has RANDOM weights (pretrained=None): "
                "labels mean nothing",
                logger="current",
                level=logging.WARNING,
            )
        else:
            path = locate_weights(self.model_name, self.pretrained, self._download_dir)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # random towers agree between processes and runs
            tower = _build_text_tower(
                config["embed_dim"], config["text_cfg"], config.get("quick_gelu", False)
            )
        if path is not None:
            weights = read_state_dict(path)
            prefix = "text." if any(name.startswith("text.") for name in weights) else ""
            of_tower = {
                name: weights[prefix + name] for name in tower.state_dict() if prefix + name in weights
            }
            try:
                load_state(tower, of_tower)
            except ValueError as error:
                raise ValueError(
                    f"{path} does not fit the text tower of {self.model_name!r}: {error}"
                ) from error
        return tower.eval()


@contextmanager
def _without_padding(tower: nn.Module, tokens: Tensor) -> Iterator[Tensor]:
    """The tokens without the columns that are padding in every sentence: exact for a causal tower, and 5 times less
    work.

    In a causal tower no token sees what comes after it, and the embedding is read at the sentence's end.
    """
    mask = getattr(tower, "attn_mask", None)
    if mask is None or tower.pool_type not in ("argmax", "eos"):
        yield tokens
        return
    length = int((tokens != tower.pad_id).any(0).nonzero().max()) + 1
    tower.attn_mask = mask[:length, :length]
    try:
        yield tokens[:, :length]
    finally:
        tower.attn_mask = mask
