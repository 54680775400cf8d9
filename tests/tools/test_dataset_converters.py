"""The command lines that convert datasets."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import pytest


@pytest.fixture
def convert(root):
    def run(name: str, *arguments: str) -> int:
        return runpy.run_path(str(root / "tools/datasets" / f"{name}.py"))["main"](list(arguments))

    return run


def outputs(folder: Path) -> dict[str, bytes]:
    paths = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in paths.items() if "panoptic_val" in name}


@pytest.mark.parametrize(
    ("tool", "dataset", "made"),
    [
        ("cityscapes_panoptic", "cityscapes", "gtFine/cityscapes_panoptic_val"),
        ("ade20k_panoptic", "ADEChallengeData2016", "ade20k_panoptic_val"),
    ],
)
def test_making_the_files_again(convert, toy_root, tmp_path, monkeypatch, capsys, tool, dataset, made):
    monkeypatch.setenv("OMGSEG_VOCABULARIES", str(toy_root / "data/vocabularies"))
    folder = tmp_path / dataset
    shutil.copytree(toy_root / "data" / dataset, folder)
    expected = outputs(folder)
    assert len(expected) > 2
    assert convert(tool, str(folder), "--split", "val") == 0
    assert "val: is there already" in capsys.readouterr().out

    (folder / f"{made}.json").unlink()
    assert convert(tool, str(folder), "--split", "val") == 1
    error = capsys.readouterr().err
    assert f"{made} exists without" in error and "Traceback" not in error

    shutil.rmtree(folder / made)
    assert convert(tool, str(folder), "--split", "val") == 0
    assert f"wrote {folder / made}.json" in capsys.readouterr().out
    assert outputs(folder) == expected


@pytest.mark.parametrize(
    ("tool", "anchor"), [("cityscapes_panoptic", "cityscapes"), ("ade20k_panoptic", "ade20k")]
)
def test_another_folder(convert, tmp_path, capsys, tool, anchor):
    assert convert(tool, str(tmp_path)) == 1
    assert f"not found; see data/README.md#{anchor}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
