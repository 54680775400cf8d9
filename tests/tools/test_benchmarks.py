"""The twenty benchmarks through the commands that run them, on toy data in the official layouts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from omgseg.models.checkpoints.loading import VOCABULARY_KEY
from omgseg.registry import MODELS
from omgseg.toy.categories import vocabulary

ROOT = Path(__file__).parents[2]
BENCHMARKS = sorted((ROOT / "configs" / "benchmarks").glob("*.py"))
OPTIONS = ("--cfg-options", "test_dataloader.dataset.image_size=64,64", "test_dataloader.num_workers=0")


@pytest.fixture
def checkpoint(write_config, toy_root, monkeypatch, tmp_path) -> str:
    """Random weights of the small model, which know what they were trained on."""
    config = Config.fromfile(write_config())
    monkeypatch.setenv("OMGSEG_DATA", str(toy_root / "data"))
    monkeypatch.setenv("OMGSEG_VOCABULARIES", str(toy_root / "data" / "vocabularies"))
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    words = json.dumps(vocabulary(include_novel=False).to_dict())
    torch.save({"state_dict": model.state_dict(), "meta": {VOCABULARY_KEY: words}}, tmp_path / "weights.pth")
    return "weights.pth"


def test_all_run_and_score_again_without_the_model(checkpoint, call_tool):
    files = [str(file) for file in BENCHMARKS]
    outputs = ("--dump", "dump", "--out", "table.md", "--out", "table.json")
    call_tool("test.py", *files, checkpoint, "--model", "small.py", *outputs, *OPTIONS)
    found = json.loads(Path("table.json").read_text())["benchmarks"]
    assert list(found) == [file.stem for file in BENCHMARKS]
    assert {name: outcome["note"] for name, outcome in found.items() if outcome["note"]} == {}
    table = Path("table.md").read_text()
    for file in BENCHMARKS:
        outcome = found[file.stem]
        assert outcome["listed"].keys() <= outcome["metrics"].keys(), file.stem
        assert outcome["seconds_per_image"] > 0 and outcome["peak_bytes"] > 0
        assert f"| {file.stem} " in table
        call_tool("score.py", str(file), f"dump/{file.stem}", "--out", "again.json", *OPTIONS)
        assert json.loads(Path("again.json").read_text()) == outcome["metrics"], file.stem


def test_missing_data_are_listed_and_the_others_run(
    checkpoint, call_tool, toy_root, monkeypatch, tmp_path, capsys
):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "coco").symlink_to(toy_root / "data" / "coco")
    monkeypatch.setenv("OMGSEG_DATA", str(tmp_path / "data"))
    files = [
        str(ROOT / "configs" / "benchmarks" / f"{name}.py") for name in ("davis17", "coco_panoptic", "vspw")
    ]
    call_tool("test.py", *files, checkpoint, "--model", "small.py", "--out", "table.json", *OPTIONS)
    found = json.loads(Path("table.json").read_text())["benchmarks"]
    assert found["coco_panoptic"]["metrics"] and not found["coco_panoptic"]["note"]
    for name, folder in (("davis17", "DAVIS"), ("vspw", "VSPW")):
        assert found[name]["note"].startswith("data missing") and f"data/{folder}" in found[name]["note"]
        assert found[name]["metrics"] == {} and not found[name]["failed"]
    assert "Not run:" in capsys.readouterr().out
