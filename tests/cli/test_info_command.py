"""omgseg info and omgseg check."""

import json
import re
import sys
from importlib import metadata

import pytest
import torch
from mmengine.config import Config

from omgseg.models.checkpoints.loading import VOCABULARY_KEY
from omgseg.structures import Vocabulary

MAIN = "configs/omg_coco_vipseg_ytvis.py"


def test_the_published_model(run, request):
    status, out, error = run("info", request.config.rootpath / MAIN, "--size", "1200x800", "--classes", "133")
    assert status == 0, error
    rows = {line.split()[0]: line for line in out.splitlines() if " M" in line}
    assert float(re.search(r"([\d.]+) M", rows["all"])[1]) == pytest.approx(221, abs=0.5)  # the paper's 221 M
    pairs = float(re.search(r"([\d.]+) G multiply-additions", out)[1])
    assert 800 < pairs < 900  # the paper says 868 GFLOPs at this size
    assert "0.00 M" in rows["image_encoder"]  # frozen
    assert "1333x800" in out and "clips of 5 frames" in out


def test_a_run_tells_its_words(run, request, tmp_path):
    words = Vocabulary.from_names(["dog", "red kite"])
    meta = {VOCABULARY_KEY: json.dumps(words.to_dict())}
    torch.save({"state_dict": {"x": torch.zeros(1)}, "meta": meta}, tmp_path / "iter_7.pth")
    toy = request.config.rootpath / "configs" / "toy" / "joint.py"
    (tmp_path / "tiny.py").write_text(f'_base_ = ["{toy}"]\n')
    status, out, error = run("info", tmp_path)
    assert status == 0, error
    assert str(tmp_path / "iter_7.pth") in out
    assert "things: dog, red kite" in out and "128x128" in out and ", 2 classes" in out


def test_any_model_tells_what_it_can_do(run, fake):
    status, out, error = run("info", fake("FakeSegmenter")[1])
    assert status == 0, error
    assert "semantic, instance, panoptic, interactive, everything, vos" in out
    assert "points, labels, boxes, masks" in out and "in clips of 2 frames" in out and "to fit 80x60" in out
    assert "things: red, blue, yellow" in out and "any words can be given" in out
    assert "cost: cannot be measured (the config has no key 'model'" in out
    status, out, _ = run("info", fake("ImageOnlyFake")[1])
    rows = {line.split()[0]: line.split(maxsplit=1)[1] for line in out.splitlines() if line.startswith("  ")}
    assert (rows["prompts"], rows["tracking"], rows["everything"], rows["names"]) == (
        "none",
        "no",
        "no",
        "no",
    )
    assert rows["words"] == "fixed" and "frame by frame" in rows["videos"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.py"], "nothing.py not found"),
        ([MAIN, "--size", "800"], "WIDTHxHEIGHT"),
        ([MAIN, "--size", "100000x100000"], "more than 50 million pixels"),
        ([MAIN, "--classes", "0"], "must be at least 1"),
        ([MAIN, "--weights", "nothing.pth"], "nothing.pth"),
    ],
)
def test_info_mistakes(run, request, arguments, message):
    arguments = [request.config.rootpath / MAIN if argument == MAIN else argument for argument in arguments]
    status, _, error = run("info", *arguments)
    assert status == 2 and message in error


def test_check_reports_what_is_here(run, monkeypatch, tmp_path):
    monkeypatch.setenv("OMGSEG_CACHE", str(tmp_path / "cache"))
    status, out, _ = run("check")
    assert status == 0
    assert sys.version.split()[0] in out and torch.__version__.split("+")[0] in out
    assert "mmcv operators" in out and "text embeddings" in out
    assert re.search(r"OMGSEG_CACHE +\S+cache +\(not found\)", out)


def test_check_fails_where_something_is_missing(run, monkeypatch):
    versions = metadata.version

    def version(package: str) -> str:
        if package == "timm":
            raise metadata.PackageNotFoundError(package)
        return versions(package)

    monkeypatch.setattr(metadata, "version", version)
    status, out, error = run("check")
    assert status == 1
    assert "timm missing" in error and re.search("timm +MISSING", out)


def test_a_sam_is_costed_with_one_point(run, request):
    config = request.config.rootpath / "configs" / "toy" / "sam.py"
    status, out, error = run("info", config)
    assert status == 0, error
    side = Config.fromfile(config).image_size
    assert f"{side}x{side} pixels (width x height), one point:" in out
    rows = {words[0]: words for words in map(str.split, out.splitlines()) if words}
    assert float(rows["image_encoder"][5]) > 0 and "mask_decoder" in rows
