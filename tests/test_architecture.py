"""The house stands: imports go downwards, in no circle, and a file is a chapter."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "omgseg"
FILE_LINES = 600
FUNCTION_LINES = 60
CHAPTER_LINES = 80
"""A module of fewer lines that one other module imports is a step of that one's flow, unless a reason is given."""

GROUND = {"structures", "compat", "files", "messages", "registry", "tables"}
"""What every part may import."""
BELOW_SEAM = {"models", "datasets", "evaluation", "visualization", "engine"}
MAY_IMPORT = {
    "structures": {"files", "messages"},
    "compat": set(),
    "files": {"messages"},
    "messages": set(),
    "registry": set(),
    "tables": set(),
    "protocols": {"structures"},
    "model_table": {"messages", "protocols", "structures"},
    "projects": {"model_table"},
    "recipes": set(),
    "models": GROUND | {"protocols", "model_table"},
    "datasets": GROUND,
    "evaluation": GROUND,
    "visualization": GROUND,
    "engine": GROUND | {"protocols", "models", "datasets", "evaluation", "visualization"},
    "guests": GROUND | {"protocols", "models", "datasets"},
    "inference": GROUND | {"protocols", "model_table", "datasets", "evaluation", "visualization", "engine"},
    "labelling": GROUND | {"protocols", "model_table", "inference"},
    "web": GROUND | {"protocols", "model_table", "inference", "visualization"},
    "cli": GROUND
    | {
        "protocols",
        "model_table",
        "inference",
        "labelling",
        "web",
        "engine",
        "datasets",
        "visualization",
        "toy",
    },
    "toy": GROUND | BELOW_SEAM | {"protocols", "inference", "recipes"},
}
"""From the ground up. ``toy``, the embedded example, uses the house like a project; only the command that draws samples
imports it."""


SHORT_WITH_REASON: dict[str, str] = {
    "omgseg.structures.category": "a concept of its own, re-exported with the vocabulary",
    "omgseg.structures.task": "a concept of its own, re-exported",
    "omgseg.datasets.converters.cityscapes": "one converter per dataset",
    "omgseg.models.checkpoints.transformers_sam": "a layout of checkpoints, which the SAM benchmark uses, too",
    "omgseg.models.mask_queries.refine": "one rule of how clicks correct masks, tested alone",
    "omgseg.toy.architecture": "what open_clip and timm find by its registered name",
    "omgseg.cli.status": "exit codes, the contract of the command line",
    "omgseg.cli.models": "a command of the command line",
    "omgseg.cli.check": "a command of the command line",
    "omgseg.cli.web": "a command of the command line",
    "omgseg.cli.export": "a command of the command line",
}
"""Modules under ``CHAPTER_LINES`` with a single importer that are right as they are, and why."""


@cache
def modules() -> dict[str, Path]:
    """All modules of the package by full name; a package's is that of its ``__init__.py``."""
    found = {}
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


@cache
def imports_of(name: str) -> frozenset[str]:
    """Modules of omgseg that a module imports, at any depth of its code and for type checkers, too.

    ``from package import name`` counts as the module ``package.name`` where there is one, else as the package. The root
    package is left out: importing any part imports it, and its public names are imported when they are used.
    """
    known, found = modules(), set()
    for node in ast.walk(ast.parse(known[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {one if one in known else node.module for one in full}
    return frozenset(one for one in found if one in known and one not in ("omgseg", name))


def part_of(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def functions(file: Path) -> list[tuple[str, int]]:
    """Names of a file's functions and their lines; docstrings do not count."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = node.end_lineno - node.lineno + 1
            if ast.get_docstring(node):
                lines -= node.body[0].end_lineno - node.body[0].lineno + 1
            found.append((f"{file.relative_to(ROOT)}:{node.lineno} {node.name}", lines))
    return found


def test_every_part_has_its_place():
    assert {part_of(name) for name in modules()} - {""} == set(MAY_IMPORT)


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_a_part_imports_only_what_lies_below_it(part):
    wrong = []
    for name in modules():
        if part_of(name) != part:
            continue
        allowed = MAY_IMPORT[part] | {part}
        wrong += [f"{name} imports {other}" for other in imports_of(name) if part_of(other) not in allowed]
    assert not wrong


def test_no_module_imports_in_a_circle():
    graph = {}
    for name in modules():
        graph[name] = imports_of(name)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("a circle: " + " -> ".join(reversed(error.args[1])))


def test_nothing_above_the_seam_knows_a_model():
    """Nor by its path in a string, which would be an import in disguise."""
    above = [name for name in modules() if part_of(name) in ("inference", "labelling", "web", "cli")]
    wrong = [
        f"{name}:{node.lineno} {node.value}"
        for name in above
        for node in ast.walk(ast.parse(modules()[name].read_text()))
        if isinstance(node, ast.Constant) and str(node.value).startswith("omgseg.models")
    ]
    assert above and not wrong


def test_nothing_above_the_seam_knows_a_project():
    """Neither its modules nor its configs: they come by what users name, and a new one needs no edit there."""
    above = [name for name in modules() if part_of(name) in ("inference", "labelling", "web", "cli")]
    wrong = [name for name in above if re.search(r"\bprojects[./]\w", modules()[name].read_text())]
    assert above and not wrong


def test_metrics_as_functions_need_no_framework():
    for name in modules():
        if name.startswith("omgseg.evaluation.functional"):
            others = {part_of(other) for other in imports_of(name)}
            assert not {"models", "datasets", "registry"} & others, name
            assert "mmengine" not in modules()[name].read_text(), name


def python_files() -> list[Path]:
    folders = (PACKAGE, ROOT / "benchmarks", ROOT / "tools", ROOT / "projects")
    return [file for folder in folders for file in sorted(folder.rglob("*.py"))]


def test_a_file_is_a_chapter_and_no_book():
    long = {
        str(f.relative_to(ROOT)): n
        for f in python_files()
        if (n := len(f.read_text().splitlines())) > FILE_LINES
    }
    assert not long


def test_a_function_fits_a_screen():
    assert not {
        name: lines for file in python_files() for name, lines in functions(file) if lines > FUNCTION_LINES
    }


def test_a_short_module_has_several_users_or_a_reason():
    importers = defaultdict(set)
    for name in modules():
        for other in imports_of(name):
            importers[other].add(name)
    short = {
        name
        for name, file in modules().items()
        if file.name not in ("__init__.py", "__main__.py")
        and len(file.read_text().splitlines()) < CHAPTER_LINES
        and len(importers[name] - {name.rpartition(".")[0]}) == 1
    }
    without_reason = short - set(SHORT_WITH_REASON)
    assert not without_reason, "merge each into its only user, or give a reason"


def test_reasons_are_given_for_modules_that_exist():
    assert set(SHORT_WITH_REASON) <= set(modules())
