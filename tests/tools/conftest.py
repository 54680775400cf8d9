"""The toy world and the joint toy config, in sizes at which an iteration takes a fraction of a second."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from omgseg.toy.generate import TINY, generate
from tests.small_toy import SMALL

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def toy_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a tiny toy world in ``data/``: what $OMGSEG_TOY names. Read only."""
    root = tmp_path_factory.mktemp("toy")
    generate(root / "data", sizes=TINY)
    return root


@pytest.fixture(scope="session")
def small_config() -> str:
    """Text of a config that derives from configs/toy/joint.py; lines may be added."""
    return SMALL


@pytest.fixture
def write_config(
    toy_root: Path, small_config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Write the small config with further lines, and set $OMGSEG_TOY and the working folder.

    ``write_config("lines", toy=folder)`` is the config's path; `toy` is the toy world to use.
    """
    monkeypatch.chdir(tmp_path)

    def write(lines: str = "", toy: Path = toy_root) -> str:
        monkeypatch.setenv("OMGSEG_TOY", str(toy))
        # mmengine keeps loggers by the experiment's name
        name = f"experiment_name = {tmp_path.name!r}\n"
        Path("small.py").write_text(small_config + name + lines)
        return "small.py"

    return write


@pytest.fixture
def call_tool(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a Python tool in this process: ``call_tool("train.py", "small.py", "--amp")``."""

    def call(name: str, *arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(ROOT / "tools" / name), run_name="__main__")

    return call
