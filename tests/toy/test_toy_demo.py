"""The demo's stages, far too short to learn anything."""

import json

import pytest

from omgseg.inference import OMGSegInferencer
from omgseg.toy.demo import run_demo
from omgseg.toy.demo.report import EVALUATIONS, shortfalls

KEYS = {
    "coco_panoptic/PQ",
    "coco_instance/AP",
    "semantic/mIoU",
    "vipseg/VPQ",
    "youtube_vis/AP",
    "davis/J&F",
    "interactive/mIoU",
    "open_vocabulary/PQ_novel",
    "open_vocabulary/PQ_novel_permuted",
    "train/seconds",
    "checkpoint",
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        metrics = run_demo("demo", quick=True)
    return root / "demo", metrics


def test_one_checkpoint_is_evaluated_on_every_task(demo):
    folder, metrics = demo
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    assert KEYS <= set(metrics)
    assert metrics["checkpoint"].endswith("iter_3.pth") and (folder / "train" / "iter_3.pth").is_file()


def test_the_trained_model_is_found_from_any_folder(demo, tmp_path, monkeypatch):
    folder, _ = demo
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OMGSEG_TOY")
    assert len(OMGSegInferencer(folder / "train").vocabulary) > 10


def test_pictures_of_every_task_are_there(demo):
    folder, _ = demo
    for evaluation in EVALUATIONS:
        assert list((folder / "pictures" / evaluation.config).rglob("*.png")), evaluation.config
    assert (folder / "overview.png").is_file()
    for video in ("vipseg", "youtube_vis", "davis"):
        assert list((folder / "pictures" / video).rglob("*.gif")), video


def test_the_report_names_every_number_and_what_is_missing(demo):
    folder, metrics = demo
    report = " ".join((folder / "report.md").read_text().split())
    for evaluation in EVALUATIONS:
        for metric in evaluation.metrics:
            assert f"| {metric.key} | {metrics[metric.key]:.1f} |" in report
    assert "Not met: " in report and "pictures/joint/" in report


def test_requirements_are_compared_with_what_was_reached():
    reached = {metric.key: 100.0 for evaluation in EVALUATIONS for metric in evaluation.metrics}
    reached["open_vocabulary/PQ_novel_permuted"] = 25.0
    assert shortfalls(reached) == []
    reached["open_vocabulary/PQ_novel_permuted"] = 25.1
    reached["davis/J&F"] = float("nan")
    assert shortfalls(reached) == [
        "davis/J&F is nan, required 60",
        "novel categories: 100.0 is less than 4 times 25.1",
    ]
