"""A stand-in for ``mmcv._ext``, the compiled operators of mmcv, for installations that have none.

``mmcv.ops`` looks up its operators when it is imported, so without ``mmcv._ext`` not even
``import mmdet.models`` works, although most models (ours among them) call none of them. The stand-in
answers the look-up and refuses the call.
"""

import functools
import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import NoReturn

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


def install() -> None:
    """Append the finder to ``sys.meta_path``, once."""
    if not any(isinstance(finder, _StandInFinder) for finder in sys.meta_path):
        sys.meta_path.append(_StandInFinder())


@functools.cache
def has_compiled_ops() -> bool:
    """Are mmcv's compiled operators there? Imports mmcv."""
    return not isinstance(importlib.import_module(MODULE), _StandIn)
