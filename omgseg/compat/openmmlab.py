"""The OpenMMLab packages as they come from the package index: without compiled operators, and without noise.

``mmcv.ops`` looks up its operators when it is imported, so without ``mmcv._ext`` not even ``import mmdet.models``
works, although most models (ours among them) call none of them. The stand-in answers the look-up and refuses the call.

Two lines are kept off the screen that tell users nothing: ``mmdet.datasets`` prints that it has no OneDL, a storage
service; mmdet's point generator makes torch warn of a default that is the one it wants.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.abc
import importlib.machinery
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any, NoReturn, TextIO

MODULE = "mmcv._ext"

_HOW_TO_GET = (
    "this mmcv was installed without compiled operators. "
    "To compile them, where torch, a C++ compiler and (for GPUs) nvcc are installed: "
    "pip install --force-reinstall --no-deps --no-build-isolation --no-binary onedl-mmcv onedl-mmcv"
)


class MissingOperatorError(RuntimeError):
    """A compiled mmcv operator was called, but this mmcv has none."""


def _missing(name: str) -> Callable[..., NoReturn]:
    def operator(*args: object, **kwargs: object) -> NoReturn:
        raise MissingOperatorError(f"mmcv operator {name!r} is not available: {_HOW_TO_GET}")

    operator.__name__ = operator.__qualname__ = name
    return operator


class _StandIn(ModuleType):
    """Every public attribute is a function that raises :class:`MissingOperatorError`."""

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        if name.startswith("__"):  # Python itself asks for ``__path__`` and the like
            raise AttributeError(name)
        return _missing(name)


class _StandInFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds ``mmcv._ext`` and nothing else. It stands last in ``sys.meta_path``: compiled operators win."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(fullname, self) if fullname == MODULE else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to execute."""


@functools.cache
def has_compiled_ops() -> bool:
    """Are mmcv's compiled operators there? Imports mmcv."""
    return not isinstance(importlib.import_module(MODULE), _StandIn)


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
    """Let ``import mmdet.models`` work, silently, without compiled mmcv operators. Idempotent."""
    if not any(isinstance(finder, _StandInFinder) for finder in sys.meta_path):
        sys.meta_path.append(_StandInFinder())  # last: compiled operators win
    if not any(isinstance(finder, _QuietFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _QuietFinder())
        warnings.filterwarnings(
            "ignore", message="torch.meshgrid: in an upcoming release", category=UserWarning
        )
