"""The SAM benchmark runs, and its sides compute the same at small sizes. Times are not tested."""

import json
import runpy
import sys

import pytest
import torch
from mmengine.config import Config

from benchmarks import sam
from benchmarks.sam import CONFIGS, check, costs, gain
from benchmarks.sam_sides import (
    FAST_SAM_ANCHORS,
    TINY,
    Ours,
    Transformers,
    build,
    network_outputs,
    picture_for,
    side_of,
)
from omgseg.model_table import find_model

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


@pytest.fixture
def fast_sam(root, tmp_path):
    """A small FastSAM."""
    given = Config.fromfile(root / "projects" / "fast_sam" / "configs" / "toy.py")
    given.model.backbone.base_channels, given.model.channels = 8, 16
    file = tmp_path / "fast.py"
    imports = dict(imports=["omgseg.projects.fast_sam"])
    Config(dict(default_scope="omgseg", custom_imports=imports, model=given.model)).dump(file)
    return file


@pytest.fixture
def run_tool(root, tmp_path, monkeypatch):
    """``run_tool(options)``: the numbers of ``tools/benchmark.py sam``."""

    def run(options):
        file = tmp_path / "sam.json"
        monkeypatch.setattr(sys, "argv", ["benchmark.py", "sam", *options.split(), "--json", str(file)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(root / "tools" / "benchmark.py"), run_name="__main__")
        assert stop.value.code == 0
        return json.loads(file.read_text())

    return run


def test_the_tool_measures_and_checks(config, run_tool, capsys):
    result = run_tool(f"--configs {config} --against {config} --parts decoder_64 --repeats 1")
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


def test_a_model_without_a_decoder_has_a_row_of_what_applies(config, fast_sam, run_tool, monkeypatch, capsys):
    monkeypatch.setattr(sam, "peak_growth", lambda *_: 2**20)  # a process of its own each
    parts = "--parts encoder decoder_1 everything"
    result = run_tool(f"--configs {config} {fast_sam} {parts} --repeats 1 --points-per-side 2")
    found = {part: list(by_model) for part, by_model in result["parts"].items()}
    assert found == {"encoder": ["tiny", "fast"], "decoder_1": ["tiny"], "everything": ["tiny", "fast"]}
    assert result["costs"]["fast"]["encoder_macs"] > 0 and result["costs"]["fast"]["decoder_macs"] is None
    (row,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("| fast "))
    assert ", none " in row


def test_as_many_boxes_of_a_fast_sam_are_likely_as_of_a_trained_one(fast_sam):
    model = sam.read_model(str(fast_sam))
    picture = picture_for(model)
    scores = network_outputs(model, picture).classes[0].softmax(-1)[:, 1]
    assert abs(int((scores > model.test_config.score_thr).sum()) - FAST_SAM_ANCHORS) <= 2
    assert 10 < len(side_of(model).everything(picture, side=1)) <= model.test_config.max_per_image


def test_all_models_are_measured():
    names = [config.stem for config in CONFIGS]
    assert len(set(names)) == len(names) and all(config.is_file() for config in CONFIGS)
    (fast_sam,) = (config for config in CONFIGS if config.stem == "fast_sam")
    assert costs(fast_sam)["parameters"] == find_model("fast-sam").parameters


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
