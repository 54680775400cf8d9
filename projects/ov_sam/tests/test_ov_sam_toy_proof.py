"""The toy proof from end to end, far too short to learn anything."""

import json
from pathlib import Path

import pytest
from PIL import Image

from omgseg.projects.ov_sam.toy_proof import BASELINES, COST, METRICS, VARIANTS, main


def test_every_variant_is_trained_evaluated_and_drawn(tmp_path, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[3])
    monkeypatch.setenv("OMGSEG_TOY", str(tmp_path))
    scores = main(["--quick", "--seeds", "0", "--work-dir", str(tmp_path)])
    assert list(scores) == [*BASELINES, *(variant.title for variant in VARIANTS.values())]
    assert all(list(run) == [*METRICS.values(), COST] for runs in scores.values() for run in runs)
    assert json.loads((tmp_path / "metrics.json").read_text())["scores"] == scores
    rows = (tmp_path / "table.md").read_text().splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == list(scores)
    assert Image.open(tmp_path / "picture.jpg").width > 1000
    assert any((tmp_path / "class_images").rglob("*.png"))


def test_a_missing_teacher_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.pth"):
        main(["--teacher", "gone.pth", "--work-dir", str(tmp_path / "proof")])
