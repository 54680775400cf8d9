"""The benchmark runs, and both sides compute the same at small sizes. Times are not tested."""

import json
import runpy
import sys

import pytest
import torch

from benchmarks.head import (
    CASES,
    CHECKS,
    SIDES,
    SharedPoints,
    mmdet_targets,
    our_targets,
    peak_growth,
    take_turns,
)
from benchmarks.head_sides import TINY, build_mmdet, build_ours, pixel_features
from omgseg.models.mask_queries.output import DecoderOutput

SMALL = """
    --image-size 64 96 --train-size 64 64 --map-size 160 288 --num-queries 40 --num-layers 2 --encoder-layers 1
    --channels 32 --num-objects 3 --num-points 64 --repeats 1 --cases panoptic
"""


def test_the_tool_measures_and_checks(root, tmp_path, monkeypatch, capsys):
    file = tmp_path / "head.json"
    monkeypatch.setattr(sys, "argv", ["benchmark.py", "head", *SMALL.split(), "--json", str(file)])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(root / "tools" / "benchmark.py"), run_name="__main__")
    assert stop.value.code == 0
    result = json.loads(file.read_text())
    assert result["environment"].keys() == {"device", "cores", "threads", "torch", "load_average"}
    assert result["sizes"]["map_size"] == [160, 288] and result["repeats"] == 1
    case = result["cases"]["panoptic"]
    assert case["target"] == {"speedup": 6.0, "memory_share": 0.25}
    assert isinstance(case["reached"], bool)
    for side in SIDES:
        assert case[side].keys() == {"seconds", "cpu_seconds", "extra_bytes"}
        assert min(case[side].values()) > 0
    assert case["speedup"] == case["mmdet"]["seconds"] / case["ours"]["seconds"]
    assert {name: check["passed"] for name, check in result["checks"].items()} == dict.fromkeys(CHECKS, True)
    assert "| panoptic |" in capsys.readouterr().out


@pytest.mark.parametrize("name", CASES)
def test_every_case_runs(name):
    timings = take_turns(CASES[name], TINY, repeats=1)
    assert all(timings[side].seconds > 0 for side in SIDES)


def test_losses_and_their_gradients_equal_those_of_mmdet():
    """Class, mask and dice losses of every layer; the same predictions and sampled points."""
    head, mmdet = build_ours(TINY), build_mmdet(TINY)
    targets, criterion = our_targets(TINY)
    with torch.no_grad():
        outputs = head.decode(*pixel_features(TINY, TINY.train_size))
    features = outputs[0].mask_features.clone().requires_grad_()
    embeddings = [output.mask_embeddings.clone().requires_grad_() for output in outputs]
    classes = [output.class_logits.clone().requires_grad_() for output in outputs]
    leaves = [features, *embeddings, *classes]
    predictions = [
        DecoderOutput(o.queries, o.normed_queries, embedding, features, o.objectness_logits, logits)
        for o, embedding, logits in zip(outputs, embeddings, classes, strict=True)
    ]
    masks = [prediction.mask_logits[:, :, 0] for prediction in predictions]
    with SharedPoints():
        ours = criterion.entity_losses(predictions, targets)
        theirs = mmdet.loss_by_feat(classes, masks, mmdet_targets(TINY), [{}])
    assert set(theirs) == {name for name in ours if not name.endswith("objectness")}
    for name, loss in theirs.items():
        torch.testing.assert_close(ours[name], loss.squeeze())
    ours = torch.autograd.grad(sum(ours[name] for name in theirs), leaves)
    theirs = torch.autograd.grad(sum(theirs.values()), leaves)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_a_failed_process_is_reported(monkeypatch):
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(RuntimeError, match="memory of decoder, ours, failed"):
        peak_growth("decoder", "ours", TINY, threads=1)
