"""The benchmark of the metrics runs, scores sensibly, and notices different values. Times are not tested."""

import json
import runpy
import sys

import pytest

from benchmarks import metrics
from benchmarks.metrics import METRIC_CASES, run_metric_case
from benchmarks.metrics_data import MetricSizes

SMALL = """
    --images 6 --instance-images 4 --size 48 64 --vos-size 48 85 --segments 6 --objects 4 --clip 3 --track-videos 2
    --track-frames 3 --tracks 5 --bank 2 --repeats 1
"""


def test_the_tool_measures_and_compares(root, tmp_path, monkeypatch, capsys):
    file = tmp_path / "metrics.json"
    monkeypatch.setattr(sys, "argv", ["benchmark.py", "metrics", *SMALL.split(), "--json", str(file)])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(root / "tools" / "benchmark.py"), run_name="__main__")
    assert stop.value.code == 0
    result = json.loads(file.read_text())
    assert result["sizes"]["size"] == [48, 64] and result["environment"]["cores"]
    assert list(result["cases"]) == list(METRIC_CASES)
    ways = {"workers 0", "workers 2"}
    images = dict(pq=6, vpq=6, ap=4, jf=6, track_ap=6)
    for name, case in result["cases"].items():
        expected = ways | {"pycocotools"} if name == "ap" else ways
        assert case["seconds_per_100"].keys() == expected
        assert min(case["seconds_per_100"].values()) > 0
        assert case["images"] == images[name] and case["passed"]
    table = " ".join(capsys.readouterr().out.split())
    assert "| pq | 6 |" in table and "DIFFERENT" not in table


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("pq", "coco_panoptic/PQ"),
        ("vpq", "vipseg/VPQ"),
        ("vpq", "vipseg/STQ"),
        ("ap", "coco_instance/AP"),
        ("jf", "davis/J&F"),
        ("track_ap", "youtube_vis/AP"),
    ],
)
def test_predictions_are_neither_perfect_nor_lost(name, key, tmp_path):
    small = dict(size=(120, 160), vos_size=(120, 160), segments=6, objects=4, clip=4, bank=2, tracks=5)
    sizes = MetricSizes(images=4, instance_images=4, track_videos=2, track_frames=3, **small)
    result = run_metric_case(METRIC_CASES[name], sizes, [0], repeats=1, folder=tmp_path)
    assert 0 < result["values"][key] < 100


def test_different_values_are_reported(root, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(metrics, "summarize_ap", lambda *_: {"AP": 0.123})
    monkeypatch.setattr(sys, "argv", ["benchmark.py", "metrics", *SMALL.split(), "--cases", "ap"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(root / "tools" / "benchmark.py"), run_name="__main__")
    assert stop.value.code == 1
    assert "DIFFERENT" in capsys.readouterr().out
