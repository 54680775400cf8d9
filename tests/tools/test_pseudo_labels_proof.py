"""The toy proof of pseudo labels from end to end, far too short to learn anything."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "toy" / "pseudo_labels_proof.py"


@pytest.fixture
def proof_module(monkeypatch, tmp_path) -> dict:
    monkeypatch.setenv("OMGSEG_TOY", str(tmp_path))  # the proof sets it, for itself
    monkeypatch.chdir(tmp_path)
    return runpy.run_path(str(TOOL))


def test_every_student_is_trained_and_evaluated(proof_module, tmp_path):
    scores = proof_module["main"](["--quick", "--seeds", "0", "--work-dir", str(tmp_path / "proof")])
    assert list(scores) == ["the teacher", *proof_module["STUDENTS"]]
    assert all(list(run) == list(proof_module["COLUMNS"]) for (run,) in scores.values())
    assert json.loads((tmp_path / "proof/metrics.json").read_text())["scores"] == scores
    labels = json.loads((tmp_path / "proof/world/pseudo_labels.json").read_text())
    images = tmp_path / "proof/world/data/coco/train2017"
    assert {image["file_name"] for image in labels["images"]} == {path.name for path in images.glob("*")}


def test_students_differ_in_their_labels_alone(proof_module, tmp_path):
    proof = proof_module["Proof"](tmp_path / "proof", None, quick=True)
    few, taught, whole = (
        proof.student_config(title).train_dataloader.dataset for title in proof_module["STUDENTS"]
    )
    labelled = {"coco_panoptic", "coco_pseudo_clips", "coco_prompts"}
    assert set(few.datasets) == set(whole.datasets) == labelled
    assert set(taught.datasets) == labelled | {"taught_panoptic", "taught_clips", "taught_prompts"}
    assert all(mix.datasets[name].indices == 1 for mix in (few, taught) for name in labelled)
    assert not any("indices" in whole.datasets[name] for name in labelled)


def test_a_teacher_changes_no_share_of_the_mix(proof_module, tmp_path):
    proof = proof_module["Proof"](tmp_path / "proof", None, quick=True)
    shares = []
    for title in proof_module["STUDENTS"][1:]:
        mix = proof.student_config(title).train_dataloader.dataset
        samples: dict[str, int] = {}
        for name, dataset in mix.datasets.items():
            kind = name.split("_")[-1]
            images = 100 if "indices" in dataset else 1000  # of the whole toy world
            samples[kind] = samples.get(kind, 0) + images * mix.repeat.get(name, 1)
        shares.append({kind: count / sum(samples.values()) for kind, count in samples.items()})
    assert shares[0] == pytest.approx(shares[1])
