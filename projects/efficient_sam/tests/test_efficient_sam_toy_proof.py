"""The toy proof from end to end, far too short to learn anything."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from omgseg.engine import read_checkpoint
from omgseg.projects.edge_sam.toy_proof import COLUMNS, TEACHER
from omgseg.projects.efficient_sam.toy_proof import VARIANTS, main
from omgseg.registry import MODELS
from omgseg.toy.proof import QUICK_ITERATIONS


def test_students_are_pre_trained_fine_tuned_and_evaluated(tmp_path, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[3])
    monkeypatch.setenv("OMGSEG_TOY", str(tmp_path))
    monkeypatch.delitem(VARIANTS, "MAE")  # goes the same way
    torch.save(MODELS.build(Config.fromfile(TEACHER).model).state_dict(), tmp_path / "teacher.pth")
    given = ["--quick", "--seeds", "0", "--teacher", str(tmp_path / "teacher.pth")]
    scores = main([*given, "--work-dir", str(tmp_path)])
    assert list(scores) == ["from nothing", "SAMI", "teacher"]
    assert all(list(run) == list(COLUMNS) for runs in scores.values() for run in runs)
    assert json.loads((tmp_path / "metrics.json").read_text())["scores"] == scores
    rows = (tmp_path / "table.md").read_text().splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == list(scores)
    name = "image_encoder.blocks.0.attn.qkv.weight"
    before, nothing, after = (
        read_checkpoint(tmp_path / folder / f"iter_{QUICK_ITERATIONS}.pth")["state_dict"][name]
        for folder in ("SAMI_0_pretraining", "from_nothing_0", "SAMI_0")
    )
    assert (after - before).norm() < (after - nothing).norm()


def test_a_missing_teacher_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.pth"):
        main(["--teacher", "gone.pth", "--work-dir", str(tmp_path / "proof")])
    assert not (tmp_path / "proof").exists()
