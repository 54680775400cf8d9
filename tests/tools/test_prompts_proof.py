"""The toy proof of prompts in the loop from end to end, far too short to learn anything."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "toy" / "prompts_proof.py"


@pytest.fixture
def proof_module(monkeypatch, tmp_path) -> dict:
    monkeypatch.setenv("OMGSEG_TOY", str(tmp_path / "world"))
    monkeypatch.chdir(tmp_path)
    return runpy.run_path(str(TOOL))


def test_variants_are_trained_and_evaluated(proof_module, tmp_path, monkeypatch):
    few = {name: proof_module["VARIANTS"][name] for name in ("single prompts", "without masks")}
    monkeypatch.setitem(proof_module["main"].__globals__, "VARIANTS", few)
    arguments = ["--quick", "--seeds", "0", "--work-dir", str(tmp_path / "proof")]
    scores = proof_module["main"](arguments)
    columns = [name for shown in proof_module["EVALUATIONS"].values() for name in shown.values()]
    assert list(scores) == list(few)
    assert all(list(run)[: len(columns)] == columns for (run,) in scores.values())
    assert json.loads((tmp_path / "proof/metrics.json").read_text())["scores"] == scores
    table = (tmp_path / "proof/table.md").read_text()
    assert "without masks" in table and ">= 86" in table
    (tmp_path / "proof/single_prompts_0/iter_4.pth").unlink()
    assert proof_module["main"](arguments) == scores, "what is there is not computed again"


def test_variants_lack_one_part_each(proof_module):
    trained = proof_module["VARIANTS"]
    assert set(proof_module["WITH_EVERY_SEED"]) <= set(trained)
    proof = object.__new__(proof_module["Proof"])
    models = {name: proof.config(name).model for name in trained}
    assert not models["single prompts"].prompt_encoder.corrections
    assert all(model.prompt_encoder.corrections for name, model in models.items() if name != "single prompts")
    assert models["boxes alone"].prompt_training.max_corrections == 0
    assert models["without masks"].prompt_training.mask_share == 0
    assert models["without boxes"].prompt_training.box_share == 0
