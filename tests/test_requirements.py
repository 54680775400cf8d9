"""The ranges of setup.py hold what the code needs, and what is tested; the lock has hashes, and a page its licences."""

import ast
import re
import runpy
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
    """Version by name, in lower case, of what a person has written."""
    return _pins((ROOT / "requirements" / "lock.in").read_text().splitlines())


def _pins(lines: list[str]) -> dict[str, str]:
    pins = (Requirement(line) for line in lines if line.strip() and not line.startswith("#"))
    return {_plain(pin.name): next(iter(pin.specifier)).version for pin in pins}


def _plain(name: str) -> str:
    return re.sub("[-_.]+", "-", name.lower())


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


def test_the_lock_has_a_hash_of_every_file():
    """`pip install --require-hashes` takes nothing else; the hashes are those of the package index."""
    text = (ROOT / "requirements" / "lock.txt").read_text()
    entries = [entry for entry in re.sub(r"\\\n\s*", "", text).splitlines() if not entry.startswith("#")]
    pins, hashes = zip(*(entry.split("--hash=", 1) for entry in entries), strict=True)
    assert _pins(list(pins)) == locked()
    assert all(
        re.fullmatch("sha256:[0-9a-f]{64}", digest)
        for entry in hashes
        for digest in entry.replace("--hash=", "").split()
    )


def test_the_page_of_licences_is_that_of_the_lock():
    tool = runpy.run_path(str(ROOT / "tools" / "licences.py"))
    page = (ROOT / "docs" / "licences.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line[:1] == "|"]
    listed = {name: (released, licence) for name, released, licence in rows[2:]}
    assert {_plain(name): released for name, (released, _) in listed.items()} == locked()
    for name, (released, licence) in listed.items():
        if version(name) == released:
            assert licence == tool["licence_of"](name, released), name
