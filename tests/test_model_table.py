"""The table of models: what stands in it is true, and mistakes in it are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from omgseg.engine import is_model_location
from omgseg.model_table import find_model, is_local, list_models, read_table, recognise
from omgseg.registry import MODELS
from omgseg.structures import Task

ROW = {
    "name": "a-model",
    "title": "of the test",
    "config": "a.py",
    "weights": None,
    "licence": "unknown",
    "tasks": ["panoptic"],
    "prompts": ["points"],
    "parameters": 7,
}


@pytest.fixture
def write(tmp_path):
    (tmp_path / "a.py").write_text("model = dict(type='OMGSeg')\n")

    def write_table(*rows: dict, text: str | None = None) -> Path:
        file = tmp_path / "models.json"
        file.write_text(json.dumps(rows) if text is None else text)
        return file

    return write_table


GUESTS = [entry for entry in list_models() if str(entry.config).startswith("hf:")]


@pytest.mark.parametrize(
    "entry", [entry for entry in list_models() if entry not in GUESTS], ids=lambda entry: entry.name
)
def test_a_row_agrees_with_its_config(entry):
    config = Config.fromfile(entry.config)
    assert entry.name == entry.name.lower() and " " not in entry.name
    assert entry.tasks and entry.licence
    assert entry.weights is None or entry.weights.startswith(("hf://", "https://"))
    if "model" not in config or config.model.type not in ("OMGSeg", "SAM"):
        return  # a project's own tests know how its model is built
    assert entry.prompts == {"points", "labels", "boxes", "masks"}
    if config.model.type == "SAM":
        assert entry.tasks == {Task.INTERACTIVE, Task.EVERYTHING} and not entry.open_vocabulary
    else:
        assert entry.tasks == set(Task) and entry.open_vocabulary
        for encoder in (config.model.image_encoder, config.model.text_encoder):
            encoder.pretrained = None
    with torch.device("meta"):
        model = MODELS.build(config.model)
    assert sum(parameter.numel() for parameter in model.parameters()) == entry.parameters


def without_files(config: dict) -> dict:
    """The config of a model of which no part reads weights."""
    return {
        key: None if key == "pretrained" else without_files(value) if isinstance(value, dict) else value
        for key, value in config.items()
    }


@pytest.mark.parametrize("entry", [e for e in list_models() if e.known_by], ids=lambda entry: entry.name)
def test_a_model_is_recognised_by_its_tensors(entry):
    with torch.device("meta"):
        tensors = MODELS.build(without_files(Config.fromfile(entry.config).model)).state_dict()
    known = recognise({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    assert known.config == entry.config


def test_tensors_of_no_model_are_not_recognised():
    assert recognise({}) is None and recognise({"image_encoder.pos_embed": (1, 64, 64, 7)}) is None


def test_a_name_finds_its_config_and_weights():
    entry = find_model("omg-seg-convnext-l")
    assert entry.config.name == "omg_coco_vipseg_ytvis.py" and entry.config.is_file()
    assert entry.weights == "hf://LXT/OMG_Seg/omg_seg_convl.pth" and entry.figures["COCO PQ"] == 53.8


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("omg-seg-convnext", "did you mean 'omg-seg-convnext-l' or 'omg-seg-convnext-xxl'"),
        ("OMG-Seg-ConvNeXt-L", "did you mean 'omg-seg-convnext-l'"),
        ("qqqqqq", "the names are .*omg-seg-convnext-l, omg-seg-convnext-xxl"),
    ],
)
def test_an_unknown_name_is_answered_with_near_ones(name, hint):
    with pytest.raises(FileNotFoundError, match=hint):
        find_model(name)


def test_a_row_is_read_relative_to_its_table(write, tmp_path):
    (entry,) = read_table(write(ROW))
    assert entry.config == tmp_path / "a.py" and entry.tasks == {Task.PANOPTIC} and entry.parameters == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": "b.py"}, "row 1, config: .*b.py not found"),
        ({"tasks": ["panoptik"]}, "row 1, tasks: 'panoptik'"),
        ({"prompts": ["clicks"]}, "row 1, prompts: unknown clicks; give points"),
        ({"license": "MIT"}, "row 1: unknown field license"),
        ({"config": "hf:owner/name"}, "row 1, weights: those of hf:owner/name lie beside its config"),
    ],
)
def test_a_wrong_row_is_named(write, change, message):
    with pytest.raises(ValueError, match=message):
        read_table(write({**ROW, **change}))


@pytest.mark.parametrize("entry", GUESTS, ids=lambda entry: entry.name)
def test_a_guest_is_named_by_its_place_on_the_hub(entry):
    assert is_model_location(entry.config) and entry.weights == entry.config
    assert entry.name == entry.name.lower() and " " not in entry.name
    assert entry.tasks and entry.licence and not entry.known_by
    assert bool(entry.prompts) == (Task.INTERACTIVE in entry.tasks)


def test_only_the_name_of_a_guest_is_needed(write):
    row = {key: value for key, value in ROW.items() if key not in ("weights", "parameters")}
    (entry,) = read_table(write({**row, "config": "hf:owner/name@main", "gated": True}))
    assert (entry.config, entry.weights, entry.parameters) == ("hf:owner/name@main",) * 2 + (None,)
    assert entry.gated and not find_model("omg-seg-convnext-l").gated and find_model("sam3").gated


def test_a_table_that_is_none_is_named(write):
    with pytest.raises(ValueError, match=r"models.json is not valid JSON"):
        read_table(write(text="[{]"))
    with pytest.raises(ValueError, match="row 1: name, title, config"):
        read_table(write({}))


def test_weights_are_local_when_the_cache_has_them(tmp_path, monkeypatch):
    location = "hf://owner/name/folder/file.pth"
    assert not is_local(location) and not is_local("hf://owner") and not is_local(tmp_path / "file.pth")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--owner--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    (repository / "snapshots" / "abc" / "folder").mkdir(parents=True)
    (repository / "snapshots" / "abc" / "folder" / "file.pth").touch()
    assert not is_local("hf:owner/name")
    (repository / "snapshots" / "abc" / "config.json").touch()
    assert is_local("hf:owner/name") and is_local("hf:owner/name@main") and not is_local("hf:owner/other")
    assert is_local(location) and is_local(f"{location}@main") and not is_local(f"{location}@other")
    (tmp_path / "file.pth").touch()
    assert is_local(tmp_path / "file.pth")
