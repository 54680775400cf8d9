"""The benchmark of a device runs on a CPU in tiny sizes. Times are not tested."""

import json

import pytest
import torch

from benchmarks.gpu import PRECISIONS, READOUTS
from benchmarks.head import CASES


def test_everything_runs_without_a_gpu(call_tool, tmp_path, capsys):
    file = tmp_path / "gpu.json"
    with pytest.raises(SystemExit) as stop:
        call_tool("benchmark.py", "gpu", "--device", "cpu", "--quick", "--json", str(file))
    assert stop.value.code == 0
    result = json.loads(file.read_text())
    assert result["environment"]["device"] and result["sizes"]["config"] == "joint"
    assert list(result["model"]) == list(PRECISIONS) == list(result["training"]) == list(result["calls"])
    assert list(result["head"]) == list(CASES)
    assert list(result["readouts"]) == [task.value for task in READOUTS]
    for part in ("model", "head", "training", "readouts"):
        for found in result[part].values():
            assert min(found.values()) > 0
    for found in result["model"].values():
        assert found["whole_of_trunk"] == pytest.approx(found["whole_seconds"] / found["trunk_seconds"])
    for calls in result["calls"].values():
        assert calls["click"]["milliseconds"] > 0 and calls["stream"]["frames_per_second"] > 0
    out = capsys.readouterr().out
    assert "whole / trunk" in out and "training step, bfloat16" in out


def test_a_machine_without_a_gpu_is_told_what_to_do(call_tool, capsys, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: None)
    with pytest.raises(SystemExit) as stop:
        call_tool("benchmark.py", "gpu")
    assert stop.value.code == 2 and "--device cpu --quick" in capsys.readouterr().err
