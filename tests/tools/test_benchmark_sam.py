"""The SAM benchmark runs, and its sides compute the same at small sizes. Times are not tested."""

import json
import runpy
import sys

import pytest
import torch
from mmengine.config import Config

from benchmarks.sam import check, costs, gain
from benchmarks.sam_sides import TINY, Ours, Transformers, build

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def sides():
    model = build(TINY)
    return model, Ours(model), Transformers(model)


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "tiny.py"
    Config(dict(default_scope="omgseg", model=TINY)).dump(file)
    return file


def test_the_tool_measures_and_checks(root, config, tmp_path, monkeypatch, capsys):
    file = tmp_path / "sam.json"
    options = f"--configs {config} --against {config} --parts decoder_64 --repeats 1 --json {file}"
    monkeypatch.setattr(sys, "argv", ["benchmark.py", "sam", *options.split()])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(root / "tools" / "benchmark.py"), run_name="__main__")
    assert stop.value.code == 0
    result = json.loads(file.read_text())
    measured = result["parts"]["decoder_64"]
    assert measured.keys() == {"tiny", "transformers"}
    for side in measured.values():
        assert side.keys() == {"seconds", "cpu_seconds", "extra_bytes"} and min(side.values()) > 0
    found = result["gains"]["decoder_64"]
    assert found["speedup"] == measured["transformers"]["seconds"] / measured["tiny"]["seconds"]
    assert found["target"] == {"speedup": 1.5, "memory_share": None}
    assert all(outcome["passed"] for outcome in result["checks"].values())
    assert result["checks"]["everything"]["masks"] > 0
    assert "| tiny " in capsys.readouterr().out


def test_masks_equal_those_of_transformers(sides):
    """Embeddings, logits, expected IoU, and the masks of everything mode; the same weights and inputs."""
    model, ours, theirs = sides
    found = check(ours, theirs, model)
    assert found.keys() == {"embedding", "logits", "expected_iou", "everything"}
    assert {name: outcome["passed"] for name, outcome in found.items()} == dict.fromkeys(found, True)
    assert found["everything"]["masks"] > 0


def test_other_weights_do_not_pass(sides):
    model, ours, theirs = sides
    weight = theirs.model.mask_decoder.upscale_conv2.weight
    with torch.no_grad():
        weight.mul_(1.5)
        found = check(ours, theirs, model)
        weight.div_(1.5)
    assert found["embedding"]["passed"] and not found["logits"]["passed"]


def test_a_target_is_missed_by_time_or_memory():
    theirs = dict(seconds=1.0, cpu_seconds=1.0, extra_bytes=100)
    for seconds, size, reached in ((0.5, 30, True), (0.9, 30, False), (0.5, 50, False)):
        ours = dict(seconds=seconds, cpu_seconds=seconds, extra_bytes=size)
        assert gain("encoder", ours, theirs)["reached"] is reached


def test_costs_follow_the_config(config):
    found = costs(config)
    assert found["parameters"] == sum(p.numel() for p in build(TINY).parameters())
    assert found["encoder_macs"] > found["decoder_macs"] / 10 > 0
