"""The toy proof from end to end, far too short to learn anything."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from omgseg.projects.edge_sam.toy_proof import METRICS, VARIANTS, main


def test_every_variant_is_trained_evaluated_and_drawn(tmp_path, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[3])
    monkeypatch.setenv("OMGSEG_TOY", str(tmp_path))
    scores = main(["--quick", "--seeds", "0", "--work-dir", str(tmp_path)])
    assert list(scores) == [*(variant.title for variant in VARIANTS.values()), "teacher"]
    assert all(list(run) == list(METRICS.values()) for runs in scores.values() for run in runs)
    assert json.loads((tmp_path / "metrics.json").read_text())["scores"] == scores
    rows = (tmp_path / "table.md").read_text().splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == list(scores)
    assert Image.open(tmp_path / "picture.jpg").width > 1000
    both = tmp_path / "prompts_0_stage1", tmp_path / "prompts_0"
    assert sum(int(path.stem.split("_")[1]) for folder in both for path in folder.glob("*.pth")) == 4
    assert (tmp_path / "encoder_0" / "iter_4.pth").is_file()


def test_a_missing_teacher_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.pth"):
        main(["--teacher", "gone.pth", "--work-dir", str(tmp_path / "proof")])
    assert not os.listdir(tmp_path)
