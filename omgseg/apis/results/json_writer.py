"""JSON files of many results."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from omgseg.apis.results.categories import CategoryTable
from omgseg.files import whole_file
from omgseg.structures import Vocabulary

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

INFO = {"description": "predictions of omgseg"}


class JsonWriter:
    """One JSON file of many results, in a ``with`` block: complete at its end, or not there after an error.

    Entries of ``annotations`` go to the disk at once, so that memory holds a small record for each image.

    Args:
        path: missing folders are created.
        vocabulary: of all results.
        root: the folder of the images; what lies in it is named relative to it. None: names as they are.
    """

    def __init__(self, path: str | Path, vocabulary: Vocabulary, root: str | Path | None = None) -> None:
        self.path = Path(path)
        self.categories = CategoryTable(vocabulary)
        self.root = None if root is None else Path(root)
        self._stack = ExitStack()
        self._file: IO[str] | None = None
        self._count = 0

    def __enter__(self) -> Self:
        temporary = self._stack.enter_context(whole_file(self.path))
        self._file = self._stack.enter_context(temporary.open("w", encoding="utf-8"))
        self._file.write(f'{{"info":{_text(INFO)},"annotations":[')
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._file.write(
                f"\n],{_text({**self.records(), 'categories': self.categories.entries()})[1:]}\n"
            )
        self._file = None
        self._stack.__exit__(kind, error, trace)

    def records(self) -> dict[str, list[dict[str, Any]]]:
        """The lists of the file beside ``annotations`` and ``categories``."""
        raise NotImplementedError

    def write(self, entries: Iterable[dict[str, Any]]) -> None:
        """Append entries to ``annotations``.

        Raises:
            RuntimeError: outside of the ``with`` block.
        """
        if self._file is None:
            raise RuntimeError(f"{self.path}: results are added inside of the writer's with block")
        for entry in entries:
            self._file.write((",\n" if self._count else "\n") + _text(entry))
            self._count += 1


def shortest(number: np.float32) -> float:
    """The number with the fewest digits that gives this one back."""
    return float(str(number))


def _text(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"))
