"""Classes in the files of COCO and its relatives."""

from __future__ import annotations

from typing import Any

from omgseg.structures import NO_CLASS, Vocabulary

NO_CLASS_NAME = "object"


class CategoryTable:
    """The ``categories`` of a file, and the id of each label.

    The ids are those of the vocabulary if all its categories have one, else positions + 1. What has no class goes to a
    category ``object`` behind the others, which is only listed when it occurs, or when there are no classes.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        ids = vocabulary.label_to_id
        self._ids: list[int] = list(range(1, len(ids) + 1)) if None in ids else ids
        self._no_class_id = max(self._ids, default=0) + 1
        self._lists_no_class = not self._ids

    def id_of(self, label: int) -> int:
        """The category id of a label, also of ``NO_CLASS``."""
        if label == NO_CLASS:
            self._lists_no_class = True
            return self._no_class_id
        return self._ids[label]

    def entries(self) -> list[dict[str, Any]]:
        """The list ``categories``, when all results are in."""
        listed = [
            {**category.to_dict(), "id": number}
            for category, number in zip(self.vocabulary, self._ids, strict=True)
        ]
        if self._lists_no_class:
            listed.append({"id": self._no_class_id, "name": NO_CLASS_NAME, "isthing": 1})
        return listed

    def check(self, vocabulary: Vocabulary, name: str) -> None:
        """Check that a result has the vocabulary of the file.

        Raises:
            ValueError: it has another one.
        """
        if vocabulary != self.vocabulary:
            raise ValueError(
                f"the result of {name!r} has another vocabulary than the file it shall be added to"
            )
