"""From what users write to a :class:`Vocabulary`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from omgseg.datasets.vocabularies import load_vocabulary
from omgseg.structures import Category, Vocabulary

Words = Vocabulary | Iterable[str] | str | Path


def to_vocabulary(vocabulary: Words | None = None, stuff: Iterable[str] = ()) -> Vocabulary | None:
    """The vocabulary of a user's words.

    Args:
        vocabulary: a list of words, which are things; a :class:`Vocabulary`; a JSON file of one; or the name
            of one that ships with the package (``"coco_panoptic"``).
        stuff: words for what cannot be counted (sky, road), besides `vocabulary`.

    Returns:
        None where there are no words at all.

    Raises:
        FileNotFoundError: neither a file nor a shipped name.
        ValueError: no vocabulary file, an empty list, an empty word, or a word twice.
        TypeError: `stuff` is a single string.
    """
    if isinstance(stuff, str):
        raise TypeError(f"stuff is a list of words, e.g. stuff=[{stuff!r}]")
    stuff = [Category(word, is_thing=False) for word in stuff]
    if vocabulary is None:
        return Vocabulary(stuff) if stuff else None
    if isinstance(vocabulary, (str, Path)):
        vocabulary = _load(vocabulary)
    categories = [word if isinstance(word, Category) else Category(word) for word in vocabulary]
    if not categories and not stuff:
        raise ValueError('the vocabulary has no words; give some, e.g. vocabulary=["dog", "car"]')
    return Vocabulary(categories + stuff)


def _load(name_or_path: str | Path) -> Vocabulary:
    try:
        return load_vocabulary(name_or_path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{error}; words are given as a list: ["{name_or_path}"]') from None
