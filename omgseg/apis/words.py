"""From what users write to a :class:`Vocabulary`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from omgseg.datasets.vocabularies import load_vocabulary, shipped_vocabularies
from omgseg.structures import Category, Vocabulary

Words = Vocabulary | Iterable[str | Category] | Mapping[str, Iterable[str]] | str | Path

SHORT_NAMES = {
    "ade": "ade20k",
    "coco": "coco_panoptic",
    "lvis": "lvis_v1",
    "objects365": "objects365_v2",
    "youtube_vis": "youtube_vis_2021",
}
"""What people call label spaces that ship under a longer name."""


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
        TypeError: a single string where a list of words belongs.
    """
    if isinstance(stuff, str):
        raise TypeError(f"stuff is a list of words, e.g. stuff=[{stuff!r}]")
    more = [Category(word, is_thing=False) for word in stuff]
    if vocabulary is None:
        return Vocabulary(more) if more else None
    if isinstance(vocabulary, (str, Path)):
        vocabulary = _load(vocabulary)
    if isinstance(vocabulary, Mapping):
        vocabulary = _things_and_stuff(vocabulary)
    categories = [word if isinstance(word, Category) else Category(word) for word in vocabulary] + more
    if not categories:
        raise ValueError('the vocabulary has no words; give some, e.g. vocabulary=["dog", "car"]')
    return Vocabulary(categories)


def _things_and_stuff(words: Mapping[str, Iterable[str]]) -> list[Category]:
    for key, value in words.items():
        if key not in ("things", "stuff"):
            raise ValueError(f'the vocabulary has the key {key!r}; it is {{"things": [...], "stuff": [...]}}')
        if isinstance(value, str):
            raise TypeError(f"the vocabulary's {key} are a list of words, e.g. [{value!r}]")
    return [Category(word, is_thing=key == "things") for key, value in words.items() for word in value]


def _load(name_or_path: str | Path) -> Vocabulary:
    name = str(name_or_path)
    try:
        return load_vocabulary(SHORT_NAMES.get(name.lower(), name))
    except FileNotFoundError as error:
        known = [*SHORT_NAMES, *shipped_vocabularies()]
        near = get_close_matches(name.lower(), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise FileNotFoundError(f'{error}{hint}; words are given as a list: ["{name}"]') from None
