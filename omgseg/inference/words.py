"""Words: turns what users write into a :class:`~omgseg.structures.Vocabulary`, and adds background words.

The class scores of a query are a softmax over the words and "no object". With one word, every object gets this word
with a high score. Background words are extra classes that share the softmax but are never reported. So other objects
are not forced into the requested words, and scores are comparable between calls with different words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from omgseg.datasets.vocabularies import load_vocabulary, shipped_vocabularies
from omgseg.inference.abilities import UnsupportedRequest
from omgseg.inference.results import SegmentationResult
from omgseg.messages import did_you_mean
from omgseg.protocols import MaskNamer
from omgseg.structures import NO_CLASS, Category, Task, Vocabulary

Words = Vocabulary | Iterable[str | Category] | Mapping[str, Iterable[str]] | str | Path

SHORT_NAMES = {
    "ade": "ade20k",
    "coco": "coco_panoptic",
    "lvis": "lvis_v1",
    "objects365": "objects365_v2",
    "youtube_vis": "youtube_vis_2021",
}
"""Short names of label spaces that ship under longer ones."""
GENERIC_WORDS = ("sky", "ground", "floor", "wall", "ceiling", "building", "water", "plants")
"""Stuff that is in most images, whatever a model was trained with."""
FALLBACK = "coco_panoptic"
"""Replaces the words of the training if a checkpoint does not hold them; the published one does not."""
MOST_PANOPTIC_WORDS = 999
"""COCO's panoptic encoding is ``label + 1000 * instance``."""


def to_vocabulary(vocabulary: Words | None = None, stuff: Iterable[str] = ()) -> Vocabulary | None:
    """The vocabulary of a user's words.

    Args:
        vocabulary: a list of words, which are things; ``{"things": [...], "stuff": [...]}``, where stuff is what
            cannot be counted (sky, road); a :class:`Vocabulary`; a file of one (``.json``, or ``.txt`` with one word
            a line, see :meth:`Vocabulary.load`); or the name of a known label space (``"coco"``, ``"lvis"``,
            ``"ade20k"``, ``"cityscapes"``, ``"vipseg"``, ``"youtube_vis_2019"``, ...).
        stuff: further words, for stuff.

    Returns:
        The vocabulary; None if both arguments are without words.

    Raises:
        FileNotFoundError: a text is neither a file nor a known name.
        ValueError: the file is not a vocabulary, there are no words, a word is empty or occurs twice, or a dictionary
            has another key.
        TypeError: a single text is given instead of a list of words, or a word is not a text.
    """
    if isinstance(stuff, str):
        raise TypeError(f"stuff is a list of words, e.g. stuff=[{stuff!r}]")
    more = [_category(word, is_thing=False) for word in stuff]
    if vocabulary is None:
        return _vocabulary(more) if more else None
    if isinstance(vocabulary, (str, Path)):
        vocabulary = _load(vocabulary)
    if isinstance(vocabulary, Vocabulary) and len(vocabulary) and not more:
        return vocabulary
    if isinstance(vocabulary, Mapping):
        vocabulary = _things_and_stuff(vocabulary)
    if not isinstance(vocabulary, Iterable):
        raise TypeError(f'a vocabulary is a list of words, e.g. ["dog", "car"], not {vocabulary!r}')
    categories = [_category(word) for word in vocabulary] + more
    if not categories:
        raise ValueError('the vocabulary has no words; give some, e.g. vocabulary=["dog", "car"]')
    return _vocabulary(categories)


def _vocabulary(categories: list[Category]) -> Vocabulary:
    """The vocabulary of a user's categories. Words that differ in case are equal, unless categories have ids."""
    seen: set[tuple[tuple[str, ...], bool]] = set()
    for category in categories:
        key = (category.words, category.is_thing)
        if category.id is None and key in seen:
            raise ValueError(f"category {category.name!r} occurs twice in the vocabulary; leave one out")
        seen.add(key)
    return Vocabulary(categories)


def _category(word: Any, is_thing: bool = True) -> Category:
    if isinstance(word, Category):
        return word
    if not isinstance(word, str):
        raise TypeError(f'a word must be a text, e.g. "dog", not {word!r}')
    return Category(word, is_thing)


def _things_and_stuff(words: Mapping[str, Iterable[str]]) -> list[Category]:
    for key, value in words.items():
        if key not in ("things", "stuff"):
            raise ValueError(f'the vocabulary has the key {key!r}; its keys are "things" and "stuff"')
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise TypeError(f"the vocabulary's {key} are a list of words, e.g. [{value!r}]")
    return [_category(word, key == "things") for key, value in words.items() for word in value]


def _load(name_or_path: str | Path) -> Vocabulary:
    name = str(name_or_path)
    try:
        return load_vocabulary(SHORT_NAMES.get(name.lower(), name))
    except FileNotFoundError as error:
        known = [*SHORT_NAMES, *shipped_vocabularies()]
        hint = did_you_mean(name, known)
        raise FileNotFoundError(f'{error}{hint}; words are given as a list: ["{name}"]') from None


@dataclass(frozen=True)
class WordChoice:
    """The words of a call.

    Attributes:
        asked: the requested words, the vocabulary of the result.
        all: the words that the model chooses from: `asked` and the background words.
    """

    asked: Vocabulary
    all: Vocabulary

    def restrict(self, result: SegmentationResult) -> SegmentationResult:
        """Remove the segments of background words.

        Args:
            result: a result whose labels index `all`.

        Returns:
            The segments of the requested words, with labels that index `asked`.
        """
        if self.all is self.asked:
            return result
        label_of = {(category.name, category.is_thing): label for label, category in enumerate(self.asked)}
        new_label = np.array([label_of.get((c.name, c.is_thing), NO_CLASS) for c in self.all] + [NO_CLASS])
        labels = new_label[result.labels]
        kept = result.select(labels != NO_CLASS)
        return kept.replace(labels=labels[labels != NO_CLASS], vocabulary=self.asked)


def choose_words(
    model: Any, words: Words | None, background: Words | None, default: Vocabulary | None, task: Task
) -> WordChoice | None:
    """The requested words and the background words of a call.

    Args:
        model: a :class:`~omgseg.protocols.Segmenter`.
        words: the words of the call; None: the default ones.
        background: words that compete with the requested ones and are not reported. None: :func:`background_words`, or
            none if the model scores each word by itself, or if the requested words are a whole label space, of the
            training or of a dataset (whose categories have ids). ``[]``: none. In a model with fixed words all of them
            compete, whatever is given.
        default: the default words; None: the model's own.
        task: a task with words.

    Returns:
        The choice; None for a model without words.

    Raises:
        UnsupportedRequest: the model does not have a word.
        FileNotFoundError, ValueError, TypeError: see :func:`to_vocabulary`; there are no words; or there are more than
            the task takes, see :func:`check_word_count`.
    """
    asked, trained = to_vocabulary(words) or default, model.abilities.vocabulary
    if not model.abilities.open_vocabulary:
        if asked is None:
            return None if trained is None else WordChoice(trained, trained)
        asked = select_words(model, asked)
        return WordChoice(asked, asked if asked == trained else trained)
    asked = trained if asked is None else asked
    if asked is None:
        raise ValueError(
            'no words: the checkpoint holds no training vocabulary; give one, e.g. vocabulary=["dog", "car"], '
            'vocabulary={"things": ["dog"], "stuff": ["sky"]}, or vocabulary="coco"'
        )
    check_word_count(asked, task)
    if background is None:
        alone = model.abilities.independent_words or _is_label_space(asked, trained)
        competing = [] if alone else background_words(asked, trained)
    else:
        competing = [] if _is_empty(background) else without_words_of(asked, to_vocabulary(background))
    if task is Task.PANOPTIC:  # as many background words as the encoding has room for
        competing = competing[: MOST_PANOPTIC_WORDS - len(asked)]
    return WordChoice(asked, Vocabulary([*asked, *competing]) if competing else asked)


def check_word_count(words: Vocabulary, task: Task) -> None:
    """Check that a task takes this many words.

    Raises:
        ValueError: there are too many words; the message gives the limit.
    """
    if task is Task.PANOPTIC and len(words) > MOST_PANOPTIC_WORDS:
        raise ValueError(
            f"the task 'panoptic' takes up to {MOST_PANOPTIC_WORDS} words, the vocabulary has {len(words)}; "
            "choose task='instance' or 'semantic', or fewer words"
        )


def choose_names(model: Any, words: Words | None) -> Vocabulary | None:
    """Words for naming masks; None if masks get no names.

    Raises:
        UnsupportedRequest: the model does not name masks, or does not have a word.
        FileNotFoundError, ValueError, TypeError: see :func:`to_vocabulary`.
    """
    names = None if words is None or words == Vocabulary() else to_vocabulary(words)
    if names is None:
        return None
    if not isinstance(model, MaskNamer):
        raise UnsupportedRequest("names for masks", model)
    return names if model.abilities.open_vocabulary else select_words(model, names)


def choose_word(model: Any, words: Words | None) -> Category | None:
    """The word that joins exemplars; None: the exemplars alone say what is meant.

    Raises:
        UnsupportedRequest: the model does not have the word.
        FileNotFoundError, ValueError, TypeError: see :func:`to_vocabulary`; or there are several words.
    """
    chosen = to_vocabulary(words)
    if chosen is None:
        return None
    if len(chosen) > 1:
        raise ValueError(f"exemplars take one word, and there are {len(chosen)}; give one or none")
    return (chosen if model.abilities.open_vocabulary else select_words(model, chosen))[0]


def select_words(model: Any, asked: Vocabulary) -> Vocabulary:
    """The categories of a model with fixed words that match the requested words, in the order of the request.

    Raises:
        UnsupportedRequest: the model does not have a word; the message gives similar ones.
    """
    fixed = model.abilities.vocabulary or Vocabulary()
    if asked == fixed:
        return fixed
    by_word = {word: category for category in reversed(fixed) for word in category.words}
    chosen: dict[Category, None] = {}
    for category in asked:
        match = next((by_word[word] for word in category.words if word in by_word), None)
        if match is None:
            similar = get_close_matches(category.words[0], by_word, n=3, cutoff=0.5)
            hint = f" (its nearest words: {', '.join(similar)})" if similar else ""
            raise UnsupportedRequest(f"the word {category.name!r}{hint}", model)
        chosen[match] = None
    return Vocabulary(chosen)


def background_words(asked: Vocabulary, trained: Vocabulary | None) -> list[Category]:
    """The words of the training and some generic ones, without those that are related to the requested words.

    Args:
        asked: the requested words.
        trained: the words of the training; None: those of COCO.
    """
    known = to_vocabulary(FALLBACK) if trained is None else trained
    generic = [Category(word, is_thing=False) for word in GENERIC_WORDS]
    return without_words_of(asked, [*known, *generic])


def without_words_of(asked: Vocabulary, candidates: Iterable[Category]) -> list[Category]:
    """The candidates that are not related to the requested words, each word once.

    Two names are related if all words of one occur in the other: "car" is left out if "yellow car" is requested, and
    the other way round.
    """
    taken = [set(word.split()) for words in asked.words for word in words]
    seen: set[str] = set()
    chosen = []
    for category in candidates:
        parts = [set(word.split()) for word in category.words]
        related = any(words <= part or part <= words for words in taken for part in parts)
        if related or seen & set(category.words):
            continue
        seen.update(category.words)
        chosen.append(Category(category.name, category.is_thing, category.synonyms))
    return chosen


def _is_label_space(words: Vocabulary, trained: Vocabulary | None) -> bool:
    """Whether words are a whole label space: that of the training, or of a dataset, whose categories have ids."""
    return words == trained or any(category.id is not None for category in words)


def _is_empty(background: Words) -> bool:
    return isinstance(background, (list, tuple)) and not background
