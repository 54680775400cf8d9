"""Configs that import functions stay plain text configs."""

from pathlib import Path

import pytest
from mmengine.config import Config

CONFIGS = Path(__file__).parents[1] / "configs"
USERS = sorted(file for file in CONFIGS.rglob("*.py") if "import recipes" in file.read_text())


def kinds(node):
    """The types of everything in a config."""
    if isinstance(node, dict):
        return set().union({type(node)}, *(kinds(value) for value in node.values()))
    if isinstance(node, list | tuple):
        return set().union({type(node)}, *(kinds(value) for value in node))
    return {type(node)}


@pytest.mark.parametrize("file", USERS, ids=lambda file: str(file.relative_to(CONFIGS)))
def test_a_config_with_recipes_can_be_dumped_and_read_again(file, tmp_path):
    config = Config.fromfile(file, import_custom_modules=False)
    assert kinds(config.to_dict()) <= {dict, list, tuple, str, int, float, bool, type(None)}
    assert not any(name.startswith("_") or name == "recipes" for name in config)
    config.dump(tmp_path / "dumped.py")
    assert "recipes" not in (tmp_path / "dumped.py").read_text()
    again = Config.fromfile(tmp_path / "dumped.py", import_custom_modules=False)
    assert again.to_dict() == config.to_dict()


def test_datasets_are_described_without_repeating_pipelines():
    files = sorted((CONFIGS / "_base_" / "datasets").glob("*.py"))
    assert len(files) > 15
    for file in files:
        assert "LoadFrames" not in file.read_text(), file.name
