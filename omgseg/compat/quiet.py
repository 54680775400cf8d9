"""Keeps two lines off the screen that tell users nothing.

``mmdet.datasets`` prints that it has no OneDL, a storage service; mmdet's point generator makes torch warn of a
default that is the one it wants.
"""

import contextlib
import importlib.abc
import importlib.machinery
import sys
import warnings
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, TextIO

_UNWANTED = "Could not import OneDL"
_PRINTING_MODULES = frozenset({"mmdet.datasets", "mmdet.datasets.transforms"})


class _LineFilter:
    """A text stream in front of another one that drops the unwanted line and passes on everything else."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._pending = ""

    def write(self, text: str) -> int:
        *lines, self._pending = (self._pending + text).split("\n")
        for line in lines:
            if _UNWANTED not in line:
                self._stream.write(line + "\n")
        return len(text)

    def finish(self) -> None:
        """Pass on a last line that has no line end."""
        if self._pending and _UNWANTED not in self._pending:
            self._stream.write(self._pending)
        self._pending = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Import inside this block without the line about OneDL; all other output passes."""
    filtered = _LineFilter(sys.stdout)
    try:
        with contextlib.redirect_stdout(filtered):  # type: ignore[type-var]
            yield
    finally:
        filtered.finish()


class _QuietFinder(importlib.abc.MetaPathFinder):
    """Runs the two printing modules inside :func:`quiet_import`, whoever imports them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _PRINTING_MODULES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                with quiet_import():
                    run(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def install() -> None:
    """Put the finder first in ``sys.meta_path``, and the warning's filter beside it, once."""
    if not any(isinstance(finder, _QuietFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _QuietFinder())
        warnings.filterwarnings(
            "ignore", message="torch.meshgrid: in an upcoming release", category=UserWarning
        )
