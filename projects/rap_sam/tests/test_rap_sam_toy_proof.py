"""RAP-SAM on the toy world: its trunk, and the toy proof from end to end."""

import json
import runpy
from pathlib import Path

import torch
from mmengine.config import Config

from omgseg.projects.rap_sam import toy_proof
from omgseg.registry import MODELS
from omgseg.toy import MODEL_NAME

ROOT = Path(__file__).parents[3]


def test_the_toy_clip_as_trunk():
    encoder = MODELS.build(dict(type="PyramidClipEncoder", model_name=MODEL_NAME, pretrained=None))
    features = encoder(torch.randn(2, 3, 64, 96))
    assert [tuple(feature.shape[1:]) for feature in features] == [
        (channels, 64 // stride, 96 // stride)
        for channels, stride in zip(encoder.channels, encoder.strides, strict=True)
    ]
    assert encoder.strides == [4, 8, 16, 32]
    for feature in features:
        places = feature[:, -encoder.POSITION_CHANNELS :]
        assert torch.equal(places[0], places[1])
        assert places[0].flatten(1).unique(dim=1).shape[1] == feature[0, 0].numel()  # no two cells are alike


def test_the_toy_proof(tmp_path, monkeypatch):
    """From end to end, far too short to learn anything."""

    def run_tool(name, *arguments):
        if name == "benchmark":
            speeds = dict(ours=30.0)
            Path(arguments[arguments.index("--json") + 1]).write_text(json.dumps(dict(streams=speeds)))
        else:
            runpy.run_path(str(ROOT / "tools" / f"{name}.py"))["main"]([str(one) for one in arguments])

    monkeypatch.setattr(toy_proof, "run_tool", run_tool)
    monkeypatch.delitem(toy_proof.MODELS, "OMG-Seg")
    monkeypatch.setenv("OMGSEG_TOY", str(tmp_path))
    scores = toy_proof.main(["--quick", "--seeds", "3", "--work-dir", str(tmp_path)])
    assert scores["RAP-SAM"][0][toy_proof.SPEED] == 30 and scores["RAP-SAM"][0][toy_proof.MINUTES] > 0
    shown = [title for titles in toy_proof.EVALUATIONS.values() for title in titles.values()]
    assert list(scores["RAP-SAM"][0]) == [*shown, toy_proof.MINUTES, toy_proof.SPEED]
    assert json.loads((tmp_path / "metrics.json").read_text())["scores"] == scores
    assert "| clicks mIoU" in (tmp_path / "table.md").read_text()
    log = Config.fromfile(tmp_path / "rap-sam_3" / "toy.py")
    assert log.randomness.seed == 3 and log.model.type == "RapSAM"


def test_the_table_has_means_and_half_ranges():
    text = toy_proof.table({"RAP-SAM": [{"PQ": 60.0}, {"PQ": 63.0}], "OMG-Seg": [{"PQ": 70.0}]})
    assert [cell.strip() for cell in text.splitlines()[2].strip("|").split("|")] == [
        "PQ",
        "55",
        "61.5 ± 1.5",
        "70.0",
    ]
