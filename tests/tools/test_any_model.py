"""Any model behind the seam in every benchmark, on toy data: tools/test.py --segmenter."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from pycocotools import mask as coco_mask

import omgseg
from omgseg.evaluation.dump import Manifest, read_sample
from omgseg.evaluation.metrics.base import frames_of
from omgseg.models.checkpoints.loading import VOCABULARY_KEY
from omgseg.protocols import Request
from omgseg.registry import MODELS
from omgseg.structures import Task
from omgseg.structures.images import read_image
from omgseg.structures.run_lengths import encode_masks
from omgseg.toy.categories import vocabulary
from tests.fakes import write_config as write_fake

ROOT = Path(__file__).parents[2]
OPTIONS = ("--cfg-options", "test_dataloader.dataset.image_size=64,64", "test_dataloader.num_workers=0")


@pytest.fixture
def toy_data(toy_root, monkeypatch, tmp_path) -> None:
    """Benchmarks find the toy data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMGSEG_DATA", str(toy_root / "data"))
    monkeypatch.setenv("OMGSEG_VOCABULARIES", str(toy_root / "data" / "vocabularies"))


@pytest.fixture
def run_folder(toy_data, write_config) -> Path:
    """The work folder of a training of the small model: random weights, which know what they were trained on."""
    config = Config.fromfile(write_config())
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    words = json.dumps(vocabulary(include_novel=False).to_dict())
    Path("run").mkdir()
    config.dump("run/small.py")
    torch.save({"state_dict": model.state_dict(), "meta": {VOCABULARY_KEY: words}}, "run/iter_1.pth")
    return Path("run")


def files_of(*names: str) -> list[str]:
    return [str(ROOT / "configs" / "benchmarks" / f"{name}.py") for name in names]


@pytest.fixture
def run_benchmarks(call_tool) -> Callable[..., dict]:
    """``run_benchmarks(*names, options=[...], dump="folder")``: the outcomes by name; predictions are in the folder."""

    def run(*names: str, options: list[str], dump: str) -> dict:
        call_tool("test.py", *files_of(*names), *options, "--dump", dump, "--out", f"{dump}.json", *OPTIONS)
        return json.loads(Path(f"{dump}.json").read_text())["benchmarks"]

    return run


def predictions(folder: str) -> list[dict]:
    """The predicted fields of all frames of a dump."""
    samples = [read_sample(folder, key) for key in Manifest.read(folder).samples]
    return [
        {name: value for name, value in frame.items() if name.startswith("pred_")}
        for sample in samples
        for frame in frames_of(sample)
    ]


def content(fields: dict) -> list[tuple]:
    """What a predicted field shows: its map, or its masks that are not empty."""
    if "sem_seg" in fields:
        return [tuple(fields["sem_seg"].ravel())]
    masks = fields["masks"]
    if isinstance(masks, np.ndarray):
        masks = encode_masks(masks.reshape(-1, *masks.shape[-2:]))
    rows = len(masks)
    columns = [fields.get(name, np.zeros(rows)).tolist() for name in ("labels", "scores")]
    found = zip(*(column * (rows // max(1, len(column))) for column in columns), masks, strict=True)
    return sorted(
        (label, score, mask["counts"])
        for label, score, mask in found
        if mask is not None and coco_mask.area(mask)
    )


SAME = (
    "cityscapes",
    "coco_interactive",
    "coco_named_prompts",
    "coco_proposals",
    "davis17",
    "vipseg",
    "vspw",
    "youtube_vis_2019",
)


def test_a_model_predicts_the_same_behind_the_seam(run_folder, run_benchmarks, call_tool):
    """Panoptic, instance and semantic segmentation of images and videos, clicks, all masks, given objects."""
    expected = run_benchmarks(*SAME, options=["run/iter_1.pth", "--model", "small.py"], dump="direct")
    found = run_benchmarks(*SAME, options=["--segmenter", "run"], dump="behind")
    for name in SAME:
        assert found[name]["metrics"] == expected[name]["metrics"]
        pairs = zip(predictions(f"direct/{name}"), predictions(f"behind/{name}"), strict=True)
        for direct, behind in pairs:
            assert direct.keys() == behind.keys()
            for field in direct:
                assert content(direct[field]) == content(behind[field]), (name, field)
    call_tool("score.py", *files_of("vipseg"), "behind/vipseg", "--out", "again.json", *OPTIONS)
    assert json.loads(Path("again.json").read_text()) == found["vipseg"]["metrics"]


NAMES = {0: "red plain", 1: "grass", 2: "blue plain", 3: "sand", 4: "unicorn"}
"""The classes of the guest: all but the last one are toy categories."""


@pytest.fixture
def guest(tmp_path) -> Path:
    """The folder of a tiny random Mask2Former."""
    pytest.importorskip("transformers")
    from tests.guests.tiny import copied, decide, mask2former

    torch.manual_seed(4)
    network, processor = mask2former()
    decide(network)
    for part in (network, processor):
        part.save_pretrained(tmp_path / "plain")
    return copied(tmp_path / "plain", tmp_path / "guest", id2label=NAMES)


def test_a_guest_is_scored_by_the_words_of_the_benchmark(toy_data, guest, run_benchmarks, toy_root, capsys):
    names = ("coco_panoptic", "coco_instance", "coco_semantic", "vipseg", "coco_interactive", "davis17")
    found = run_benchmarks(*names, options=["--segmenter", str(guest)], dump="dump")
    for name in names[:4]:
        assert found[name]["metrics"] and not found[name]["failed"]
    assert found["coco_panoptic"]["note"].startswith(
        "25 of the benchmark's 29 words are not among the model's: "
    )
    assert found["coco_panoptic"]["note"].endswith("1 of the model's 5 words are not among the benchmark's")
    for name, words in (
        ("coco_interactive", "does not take clicks"),
        ("davis17", "does not follow given objects"),
    ):
        assert words in found[name]["note"] and not found[name]["metrics"] and not found[name]["failed"]
    model, words = omgseg.load(guest, device="cpu", dtype="float32"), vocabulary(include_novel=False)
    shown = set()
    for key in Manifest.read("dump/coco_panoptic").samples:
        image = read_image(next((toy_root / "data/coco/val2017").glob(f"*{key}.jpg")))
        for task, field in ((Task.PANOPTIC, "pred_panoptic_seg"), (Task.SEMANTIC, "pred_sem_seg")):
            predicted = read_sample(f"dump/coco_{task.value}", key)[field]["sem_seg"][0] % 1000
            (segments,) = model.predict([image], Request(task))
            expected = np.full(segments.size, len(words))
            for mask, name in zip(segments.masks, segments.names, strict=True):
                expected[mask] = words.names.index(name) if name in words.names else len(words)
            assert np.array_equal(predicted, expected)
            shown |= {(task, label) for label in set(expected.flat) - {len(words)}}
    assert len(shown) > 2 and len({task for task, _ in shown}) == 2, shown


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--segmenter", "omg-seg"], "is neither a model nor a file or folder here"),
        (["--segmenter", "hf:facebook/sam9"], "hf:facebook/sam9 is not on this machine; --weights 'hf:"),
        (["--segmenter", "CONFIG"], "CONFIG is a config: give --weights FILE, or --weights random"),
        (
            ["--segmenter", "FOLDER"],
            "ConfigError: --segmenter FOLDER: .* names BertModel, which is not a guest",
        ),
        (["--segmenter", "CONFIG", "--model", "other.py"], "--segmenter has its own"),
        (["--weights", "random"], "give the checkpoint after the configs, or a model with --segmenter"),
        ([], "give the checkpoint after the configs, or a model with --segmenter"),
        (["--segmenter", "CONFIG", "--weights", "random"], "knows none of the benchmark's words"),
    ],
)
def test_mistakes_are_one_line(toy_data, call_tool, tmp_path, options, message, capsys, monkeypatch):
    pytest.importorskip("transformers")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    config = str(write_fake(tmp_path / "fake.py", "ImageOnlyFake"))
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text(json.dumps({"architectures": ["BertModel"]}))
    places = {"CONFIG": config, "FOLDER": str(tmp_path / "bert")}
    with pytest.raises(SystemExit) as stop:
        call_tool(
            "test.py", *files_of("coco_panoptic"), *(places.get(part, part) for part in options), *OPTIONS
        )
    shown = str(stop.value) if stop.value.code != 2 else capsys.readouterr().err
    for name, place in places.items():
        shown = shown.replace(place, name)
    assert re.search(message, shown), shown


def test_two_processes_give_the_numbers_of_one(toy_data, toy_root, tmp_path, run_benchmarks):
    config = str(write_fake(tmp_path / "fake.py"))
    options = ["--segmenter", config, "--weights", "random"]
    expected = run_benchmarks("coco_proposals", "coco_panoptic", options=options, dump="one")
    assert expected["coco_proposals"]["metrics"]["proposals/AR@100"] > 0
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    script = str(ROOT / "tools" / "dist_test.sh")
    command = [script, *files_of("coco_proposals"), "2", *options, "--out", "two.json", *OPTIONS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    assert json.loads(Path("two.json").read_text()) == expected["coco_proposals"]["metrics"]
