"""Vocabulary: the ordered categories that a prediction chooses from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omgseg.files import parse_json
from omgseg.messages import did_you_mean, shown
from omgseg.structures.category import Category, normalize_words

if TYPE_CHECKING:
    from torch import Tensor

NO_CLASS = -1
"""Label of an entity without a class: class-agnostic sources use it, and it takes no class loss."""


class Vocabulary(Sequence[Category]):
    """Ordered categories, things first, then stuff. A label is an index into it.

    Raises:
        ValueError: two categories share an id, or have the same name and kind.
    """

    def __init__(self, categories: Iterable[Category] = ()) -> None:
        categories = list(categories)
        self._categories = tuple(
            [c for c in categories if c.is_thing] + [c for c in categories if not c.is_thing]
        )
        self._check_unique()
        self.id_to_label: dict[int, int] = {
            c.id: label for label, c in enumerate(self._categories) if c.id is not None
        }

    def _check_unique(self) -> None:
        seen: set[Any] = set()
        for category in self._categories:
            keys = [(category.name, category.is_thing)]
            if category.id is not None:
                keys.append(category.id)
            for key in keys:
                if key in seen:
                    raise ValueError(
                        f"category {category.name!r} (id {category.id}) occurs twice in the vocabulary"
                    )
                seen.add(key)

    def __len__(self) -> int:
        return len(self._categories)

    def __getitem__(self, label: int) -> Category:
        return self._categories[label]

    def __iter__(self) -> Iterator[Category]:
        return iter(self._categories)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self._categories == other._categories

    def __hash__(self) -> int:
        return hash(self._categories)

    def __repr__(self) -> str:
        return (
            f"Vocabulary({self.num_things} things, {self.num_stuff} stuff: {', '.join(self.names[:5])}, ...)"
        )

    @property
    def num_things(self) -> int:
        return sum(c.is_thing for c in self._categories)

    @property
    def num_stuff(self) -> int:
        return len(self) - self.num_things

    @property
    def names(self) -> list[str]:
        return [c.name for c in self._categories]

    @property
    def words(self) -> list[tuple[str, ...]]:
        return [c.words for c in self._categories]

    @property
    def label_to_id(self) -> list[int | None]:
        return [c.id for c in self._categories]

    @property
    def thing_mask(self) -> Tensor:
        """bool, (C,): True for things."""
        import torch

        return torch.tensor([c.is_thing for c in self._categories], dtype=torch.bool)

    def things(self) -> Vocabulary:
        """The things alone; their labels do not change, as things come first."""
        return Vocabulary(c for c in self._categories if c.is_thing)

    def shares_word_with(self, other: Vocabulary) -> list[bool]:
        """For each own category: does any category of `other` have one of its words?"""
        known = {word for words in other.words for word in words}
        return [any(word in known for word in words) for words in self.words]

    def labels_of(self, names: Sequence[str]) -> list[int]:
        """The labels of categories, given by their names.

        Raises:
            ValueError: a name is not in the vocabulary.
        """
        known = {category.name: label for label, category in enumerate(self._categories)}
        for name in names:
            if name not in known:
                raise ValueError(f"{name!r} is no category of {self!r}{did_you_mean(name, known)}")
        return [known[name] for name in names]

    @classmethod
    def from_names(cls, names: Iterable[str], is_thing: bool = True) -> Vocabulary:
        """A vocabulary of words, e.g. what a user typed."""
        return cls(Category(name=name, is_thing=is_thing) for name in names)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Vocabulary:
        if not isinstance(data["categories"], list):
            raise ValueError(f"'categories' is {shown(data['categories'])}, not a list")
        return cls(Category.from_dict(entry) for entry in data["categories"])

    def to_dict(self) -> dict[str, Any]:
        return {"categories": [c.to_dict() for c in self._categories]}

    @classmethod
    def load(cls, path: str | Path) -> Vocabulary:
        """Read a vocabulary from a JSON or a ``.txt`` file, in UTF-8 or another encoding (:func:`decoded`).

        Args:
            path: a JSON file with ``{"categories": [{"id", "name", "isthing", "synonyms", "color"}, ...]}``; or a text
                file with one thing a line, its synonyms after commas. In a text file empty lines are skipped, and lines
                that begin with the same word, in upper or lower case, are one thing.

        Raises:
            FileNotFoundError, ValueError: naming the file and the field, or the line.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"vocabulary file {path} not found")
        if path.suffix.lower() == ".txt":
            return cls(_things_of_lines(path))
        try:
            return cls.from_dict(parse_json(decoded(path.read_bytes())))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} is not a vocabulary (a JSON object with 'categories'): {error}"
            ) from error

    def save(self, path: str | Path) -> None:
        Path(path).write_text(json.dumps(self.to_dict(), indent=1))

    @staticmethod
    def merge(vocabularies: Sequence[Vocabulary]) -> tuple[Vocabulary, list[Tensor]]:
        """Merge label spaces in text space.

        Two categories of the same kind become one when any of their words agree; thing and stuff never merge.

        Args:
            vocabularies: the sources' own vocabularies.

        Returns:
            The merged vocabulary (without ids, as those belong to a source) and, for each source, a label map:
            int64 (C_source + 1,), ``merged_label = label_map[label]``. The last entry is ``NO_CLASS``, so that the
            label ``NO_CLASS`` (-1) maps to itself.
        """
        import torch  # late: words alone, such as those of the table of models, need no framework

        merged, owners = _merge_words(vocabularies)
        vocabulary = Vocabulary(merged)
        position = {(c.name, c.is_thing): label for label, c in enumerate(vocabulary)}
        label_maps = [
            torch.tensor(
                [position[merged[index].name, merged[index].is_thing] for index in of_source] + [NO_CLASS]
            )
            for of_source in owners
        ]
        return vocabulary, label_maps


def _things_of_lines(path: Path) -> list[Category]:
    """The things of a text file, see :meth:`Vocabulary.load`."""
    try:
        lines = decoded(path.read_bytes()).splitlines()
    except ValueError as error:
        raise ValueError(f"{path} is no list of words, one a line: {error}") from error
    names_of: dict[str, dict[str, None]] = {}
    for number, line in enumerate(lines, start=1):
        names = [name for part in line.split(",") if (name := " ".join(part.split()))]
        if not names:
            continue
        words = normalize_words(names[0])
        if not words:
            raise ValueError(f"{path}, line {number}: {names[0]!r} is no word; remove it")
        names_of.setdefault(words[0], {}).update(dict.fromkeys(names))
    if not names_of:
        raise ValueError(f"{path} has no words; write one a line")
    return [Category(name, synonyms=tuple(others)) for name, *others in names_of.values()]


_MARKS = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
"""Byte order marks, the longer ones first; those of UTF-8 need no entry."""


def decoded(content: bytes) -> str:
    """The text of a file in UTF-8, in UTF-16 or UTF-32 with a byte order mark or, if it is none of these, in Latin-1.

    Raises:
        ValueError: it holds control characters, so it is no text.
    """
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8-sig")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8-sig":
            raise ValueError(f"it begins as {encoding.upper()} and is not; save it as UTF-8") from error
        text = content.decode("latin-1")
    if any(ord(character) < 32 and not character.isspace() for character in text):
        raise ValueError("it holds control characters, so it is no text; save it as UTF-8")
    return text


def _merge_words(vocabularies: Sequence[Vocabulary]) -> tuple[list[Category], list[list[int]]]:
    """Group categories that share a word (a union-find in order of appearance).

    Returns:
        The merged categories, and for each source the merged index of each of its categories.
    """
    members = [category for vocabulary in vocabularies for category in vocabulary]
    parent = list(range(len(members)))

    def root(index: int) -> int:
        while parent[index] != index:
            index = parent[index]
        return index

    first_with_word: dict[tuple[str, bool], int] = {}
    for index, category in enumerate(members):
        for word in category.words:
            first = root(first_with_word.setdefault((word, category.is_thing), index))
            second = root(index)
            parent[max(first, second)] = min(first, second)

    groups: dict[int, list[Category]] = {}
    for index, category in enumerate(members):
        groups.setdefault(root(index), []).append(category)
    merged_index = {group: position for position, group in enumerate(groups)}
    merged = [_unite(group) for group in groups.values()]
    flat = iter(merged_index[root(index)] for index in range(len(members)))
    return merged, [[next(flat) for _ in vocabulary] for vocabulary in vocabularies]


def _unite(group: list[Category]) -> Category:
    first = group[0]
    names = dict.fromkeys(name for category in group for name in (category.name, *category.synonyms))
    names.pop(first.name)
    color = next((c.color for c in group if c.color is not None), None)
    return Category(first.name, first.is_thing, tuple(names), None, color)
