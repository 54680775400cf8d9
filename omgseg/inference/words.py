"""Words: from what users write to a :class:`~omgseg.structures.Vocabulary`, and what the model chooses from.

The class scores of a query are a softmax over the words and "no object". With one word, whatever is an object becomes
that word, at a high score. Background words are extra classes that share the softmax but are never reported, so that
other objects are not forced into the asked words, and scores are comparable between calls that ask for different words.
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
"""What people call label spaces that ship under a longer name."""
GENERIC_WORDS = ("sky", "ground", "floor", "wall", "ceiling", "building", "water", "plants")
"""Stuff that fills most images, whatever a model was trained with."""
FALLBACK = "coco_panoptic"
"""Stands in for the training's words where a checkpoint does not hold them, as the published one does not."""
MOST_PANOPTIC_WORDS = 999
"""COCO's panoptic encoding is ``label + 1000 * instance``."""


def to_vocabulary(vocabulary: Words | None = None, stuff: Iterable[str] = ()) -> Vocabulary | None:
    """The vocabulary of a user's words.

    Args:
        vocabulary: a list of words, which are things; ``{"things": [...], "stuff": [...]}``, where stuff is what
            cannot be counted (sky, road); a :class:`Vocabulary`; a JSON file of one; or the name of a known label
            space (``"coco"``, ``"lvis"``, ``"ade20k"``, ``"cityscapes"``, ``"vipseg"``, ``"youtube_vis_2019"``, ...).
        stuff: words for stuff besides `vocabulary`.

    Returns:
        None where there are no words at all.

    Raises:
        FileNotFoundError: neither a file nor a known name.
        ValueError: no vocabulary file, no word at all, an empty word, a word twice, or another key.
        TypeError: a single string where a list of words belongs, or a word that is not a text.
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
    """Of words that users wrote: "dog" and "Dog" are the same one. Datasets have ids to tell categories apart."""
    seen: set[tuple[tuple[str, ...], bool]] = set()
    for category in categories:
        key = (category.words, category.is_thing)
        if category.id is None and key in seen:
            raise ValueError(f"category {category.name!r} (id {category.id}) occurs twice in the vocabulary")
        seen.add(key)
    return Vocabulary(categories)


def _category(word: Any, is_thing: bool = True) -> Category:
    if isinstance(word, Category):
        return word
    if not isinstance(word, str):
        raise TypeError(f'a word is a text, e.g. "dog", not {word!r}')
    return Category(word, is_thing)


def _things_and_stuff(words: Mapping[str, Iterable[str]]) -> list[Category]:
    for key, value in words.items():
        if key not in ("things", "stuff"):
            raise ValueError(f'the vocabulary has the key {key!r}; it is {{"things": [...], "stuff": [...]}}')
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
    """The words that an answer may contain, and those that the model chooses from.

    Attributes:
        asked: the vocabulary of the result.
        all: `asked` and the words that compete with them.
    """

    asked: Vocabulary
    all: Vocabulary

    def restrict(self, result: SegmentationResult) -> SegmentationResult:
        """A result with the asked words alone.

        Args:
            result: with labels of `all`.
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
    """What the model of a call chooses from.

    Args:
        model: a :class:`~omgseg.protocols.Segmenter`.
        words: of the call; None for the default ones.
        background: words that compete, but are not found. None: :func:`background_words`, or nothing where the words
            are a whole label space, of the training or of a dataset (whose categories have ids). ``[]``: nothing.
            For a model with fixed words, all of its words compete, whatever is given.
        default: words of calls that give none; None: the model's own.
        task: one with words.

    Returns:
        None for a model without words.

    Raises:
        UnsupportedRequest: words that the model does not have.
        FileNotFoundError, ValueError, TypeError: see :func:`to_vocabulary`; there are no words; or more than the task
            takes, see :func:`check_word_count`.
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
        others = [] if _is_label_space(asked, trained) else background_words(asked, trained)
    else:
        others = [] if _is_empty(background) else without_words_of(asked, to_vocabulary(background))
    if task is Task.PANOPTIC:  # no user has asked for them by number: those that fit
        others = others[: MOST_PANOPTIC_WORDS - len(asked)]
    return WordChoice(asked, Vocabulary([*asked, *others]) if others else asked)


def check_word_count(words: Vocabulary, task: Task) -> None:
    """Refuse more words than a task takes; needs no model.

    Raises:
        ValueError: says how many there may be.
    """
    if task is Task.PANOPTIC and len(words) > MOST_PANOPTIC_WORDS:
        raise ValueError(
            f"the task 'panoptic' takes up to {MOST_PANOPTIC_WORDS} words, the vocabulary has {len(words)}; "
            "choose task='instance' or 'semantic', or fewer words"
        )


def choose_names(model: Any, words: Words | None) -> Vocabulary | None:
    """Words to name masks with; None for none.

    Raises:
        UnsupportedRequest: the model does not name masks, or not with these words.
        FileNotFoundError, ValueError, TypeError: see :func:`to_vocabulary`.
    """
    names = None if words is None or words == Vocabulary() else to_vocabulary(words)
    if names is None:
        return None
    if not isinstance(model, MaskNamer):
        raise UnsupportedRequest("names for masks", model)
    return names if model.abilities.open_vocabulary else select_words(model, names)


def select_words(model: Any, asked: Vocabulary) -> Vocabulary:
    """Those categories of a model with fixed words that users mean, in the users' order.

    Raises:
        UnsupportedRequest: a word is not among them; names the nearest ones.
    """
    fixed = model.abilities.vocabulary or Vocabulary()
    if asked == fixed:
        return fixed
    by_word = {word: category for category in reversed(fixed) for word in category.words}
    chosen: dict[Category, None] = {}
    for category in asked:
        found = next((by_word[word] for word in category.words if word in by_word), None)
        if found is None:
            near = get_close_matches(category.words[0], by_word, n=3, cutoff=0.5)
            hint = f" (its nearest words: {', '.join(near)})" if near else ""
            raise UnsupportedRequest(f"the word {category.name!r}{hint}", model)
        chosen[found] = None
    return Vocabulary(chosen)


def background_words(asked: Vocabulary, trained: Vocabulary | None) -> list[Category]:
    """The words of the training and some generic ones, as far as they do not mean what is asked for.

    Args:
        trained: default: those of COCO.
    """
    known = to_vocabulary(FALLBACK) if trained is None else trained
    generic = [Category(word, is_thing=False) for word in GENERIC_WORDS]
    return without_words_of(asked, [*known, *generic])


def without_words_of(asked: Vocabulary, others: Iterable[Category]) -> list[Category]:
    """Those of `others` that neither are, nor include, nor belong to what is asked for, as far as words tell.

    "car" is left out where "yellow car" is asked for, and the other way round; each word is taken once.
    """
    taken = [set(word.split()) for words in asked.words for word in words]
    seen: set[str] = set()
    chosen = []
    for category in others:
        parts = [set(word.split()) for word in category.words]
        related = any(words <= part or part <= words for words in taken for part in parts)
        if related or seen & set(category.words):
            continue
        seen.update(category.words)
        chosen.append(Category(category.name, category.is_thing, category.synonyms))
    return chosen


def _is_label_space(words: Vocabulary, trained: Vocabulary | None) -> bool:
    """Such words have a place for everything: those of a dataset, which have ids, or of the training."""
    return words == trained or any(category.id is not None for category in words)


def _is_empty(background: Words) -> bool:
    return isinstance(background, (list, tuple)) and not background
