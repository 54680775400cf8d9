"""Imports go downwards only."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "omgseg"
EVERYONE = {"structures", "registry", "compat", "files"}
MAY_IMPORT = {
    "structures": set(),
    "compat": set(),
    "models": EVERYONE,
    "datasets": EVERYONE,
    "evaluation": EVERYONE,
    "visualization": EVERYONE,
    "benchmark": EVERYONE | {"models", "evaluation", "engine", "apis"},
    "engine": EVERYONE | {"models", "datasets", "evaluation", "visualization"},
    "apis": EVERYONE | {"models", "datasets", "visualization", "engine"},
    "labelling": EVERYONE | {"apis"},
    "web": EVERYONE | {"apis", "visualization"},
    "cli": EVERYONE | {"apis", "labelling", "web", "benchmark", "models", "datasets", "visualization"},
}


def imported_parts(file: Path) -> set[str]:
    """The sub-packages of omgseg that a file imports, at any depth of its code."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "omgseg":
            names |= {f"omgseg.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    return {name.split(".")[1] for name in names if name.startswith("omgseg.")}


@pytest.mark.parametrize("part", sorted(MAY_IMPORT))
def test_a_part_imports_only_what_lies_below_it(part):
    allowed = MAY_IMPORT[part] | {part}
    wrong = {
        f"{file.relative_to(PACKAGE)} imports {', '.join(sorted(parts - allowed))}"
        for file in (PACKAGE / part).rglob("*.py")
        if (parts := imported_parts(file)) - allowed
    }
    assert not wrong


def test_metrics_as_functions_need_no_framework():
    for file in (PACKAGE / "evaluation" / "functional").glob("*.py"):
        assert not {"models", "datasets", "registry"} & imported_parts(file), file.name


def test_no_file_outgrows_a_concept():
    long = {f: n for f in PACKAGE.rglob("*.py") if (n := len(f.read_text().splitlines())) > 300}
    assert not long
