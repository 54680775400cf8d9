"""The ranges of setup.py hold what the code needs, and what is tested."""

import ast
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


def required() -> dict[str, Requirement]:
    """What setup.py asks for, by name."""
    (call,) = (
        node
        for node in ast.walk(ast.parse((ROOT / "setup.py").read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setup"
    )
    (value,) = (keyword.value for keyword in call.keywords if keyword.arg == "install_requires")
    return {line.name: line for line in map(Requirement, ast.literal_eval(value))}


def locked() -> dict[str, str]:
    """Version by name, in lower case."""
    lines = (ROOT / "requirements" / "lock.txt").read_text().splitlines()
    pins = (Requirement(line) for line in lines if line.strip() and not line.startswith("#"))
    return {_plain(pin.name): next(iter(pin.specifier)).version for pin in pins}


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


@pytest.mark.parametrize("name", list(required()))
def test_ranges_hold_the_versions_that_are_tested(name):
    asked = required()[name].specifier
    assert version(name) in asked
    assert locked()[_plain(name)] in asked


@pytest.mark.parametrize(
    ("release", "works"),
    [("12.0.0", False), ("14.0.1", False), ("14.1.0", True), ("18.1.0", True), ("19.0.0", False)],
)
def test_pyav_tells_how_a_video_was_held_and_reads_any_tags(release, works):
    """``VideoFrame.rotation`` came with 14.1; 19 takes the argument ``metadata_errors`` away."""
    assert (release in required()["av"].specifier) is works
