"""Asking for a few words only: what else there may be competes for the class scores, and is left out of the answer.

The class scores of a query are a softmax over the words and "no object". With one word, whatever is an object becomes
that word, at a high score. Background words give everything else its own place in the softmax, so that a score is the
probability of the word among all that there may be, and comparable between calls that ask for different words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from omgseg.apis.results import SegmentationResult
from omgseg.apis.words import Words, to_vocabulary
from omgseg.structures import NO_CLASS, Category, Vocabulary

GENERIC_WORDS = ("sky", "ground", "floor", "wall", "ceiling", "building", "water", "plants")
"""Stuff that fills most pictures, whatever a model was trained with."""
FALLBACK = "coco_panoptic"
"""Stands in for the training's words where a checkpoint does not hold them, as the published one does not."""


@dataclass(frozen=True)
class AskedWords:
    """The words that an answer may contain, and those that the model chooses from.

    Attributes:
        asked: the vocabulary of the result.
        all: `asked` and the background words.
    """

    asked: Vocabulary
    all: Vocabulary

    def answer(self, result: SegmentationResult) -> SegmentationResult:
        """A result with the asked words alone.

        Args:
            result: with labels of `all`.
        """
        if self.all is self.asked:
            return result
        own = {(category.name, category.is_thing): label for label, category in enumerate(self.asked)}
        new_label = np.array([own.get((c.name, c.is_thing), NO_CLASS) for c in self.all] + [NO_CLASS])
        labels = new_label[result.labels]
        kept = result.select(labels != NO_CLASS)
        return kept.replace(labels=labels[labels != NO_CLASS], vocabulary=self.asked)


def ask(
    words: Words | None, background: Words | None, default: Vocabulary | None, trained: Vocabulary | None
) -> AskedWords:
    """What a call asks for.

    Args:
        words: of the call; None for the model's own.
        background: words that compete, but are not found. None: :func:`background_words`, or nothing where the words
            are a whole label space, of the training or of a dataset (whose categories have ids). ``[]``: nothing.
        default: words of calls that give none.
        trained: words of the training.

    Raises:
        FileNotFoundError, ValueError, TypeError: see :func:`~omgseg.apis.words.to_vocabulary`; or there are no words.
    """
    asked = to_vocabulary(words) or default
    if asked is None:
        raise ValueError(
            'no words: the checkpoint holds no training vocabulary; give one, e.g. vocabulary=["dog", "car"], '
            'vocabulary={"things": ["dog"], "stuff": ["sky"]}, or vocabulary="coco"'
        )
    if background is None:
        others = () if _is_label_space(asked, trained) else background_words(asked, trained)
    else:
        others = () if _is_empty(background) else without_words_of(asked, to_vocabulary(background))
    return AskedWords(asked, Vocabulary([*asked, *others]) if others else asked)


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
        related = any(own <= part or part <= own for own in taken for part in parts)
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
