"""A category: the words by which a class is known in text space."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from omgseg.messages import shown

MAX_ID = 2**31
"""Ids of categories are below: metrics and masks hold them in 32 bits."""


def normalize_words(name: str) -> tuple[str, ...]:
    """Split a dataset's class name into the words it stands for.

    ``_or_`` and ``/`` separate synonyms, ``_`` is a space, case folds:
    ``"Wall_or_floor/Tile" -> ("wall", "floor", "tile")``.
    """
    words = (re.sub(r"[_\s]+", " ", part).strip().casefold() for part in re.split(r"_or_|/", name))
    return tuple(dict.fromkeys(word for word in words if word))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value < MAX_ID


def _are_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(word, str) for word in value)


def _is_color(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 3
        and all(type(channel) is int and 0 <= channel <= 255 for channel in value)
    )


_FIELDS = (
    ("name", _is_text, "a text"),
    ("id", _is_id, f"a whole number from 0 to {MAX_ID - 1}"),
    ("isthing", lambda value: value in (0, 1), "0 or 1"),
    ("synonyms", _are_texts, "a list of texts"),
    ("color", _is_color, "three whole numbers from 0 to 255"),
)
"""Field of a file, what it may hold, and how that is said."""


@dataclass(frozen=True)
class Category:
    """One class of a label space.

    Attributes:
        name: the name in the dataset's files, shown to users.
        is_thing: countable object (True) or amorphous stuff (False).
        synonyms: further names.
        id: the id in the dataset's files; None where a category stands for words only.
        color: RGB, 0..255, where the dataset defines one.
    """

    name: str
    is_thing: bool = True
    synonyms: tuple[str, ...] = ()
    id: int | None = None
    color: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        if not self.words:
            raise ValueError(
                f"category {self.id if self.id is not None else ''} has an empty name: {self.name!r}"
            )

    @property
    def words(self) -> tuple[str, ...]:
        """All normalised names, the own one first, without repetition."""
        return tuple(
            dict.fromkeys(word for name in (self.name, *self.synonyms) for word in normalize_words(name))
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Category:
        """Read an entry of a COCO ``categories`` list; ``isthing`` is 1 where the file has no such field."""
        if not isinstance(data, dict) or "name" not in data:
            raise ValueError(f"category entry {shown(data)} has no field 'name'")
        for field, accepts, wanted in _FIELDS:
            if data.get(field) is not None and not accepts(data[field]):
                raise ValueError(
                    f"category {shown(data['name'])}: {field!r} is {shown(data[field])}, not {wanted}"
                )
        color = data.get("color")
        return cls(
            name=data["name"],
            is_thing=bool(data.get("isthing", True)),
            synonyms=tuple(data.get("synonyms") or ()),
            id=data.get("id"),
            color=tuple(color) if color is not None else None,
        )

    def to_dict(self) -> dict[str, Any]:
        """The inverse of :meth:`from_dict`, ready for JSON."""
        data: dict[str, Any] = {"id": self.id, "name": self.name, "isthing": int(self.is_thing)}
        if self.synonyms:
            data["synonyms"] = list(self.synonyms)
        if self.color is not None:
            data["color"] = list(self.color)
        return data
