"""Guests on the command line."""

import json

import numpy as np
import pytest
from PIL import Image

import omgseg
from omgseg.cli.main import main
from tests.guests.tiny import copied


@pytest.fixture
def picture(tmp_path, photo):
    Image.fromarray(photo).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def test_predict_writes_a_picture(guest_folder, picture, tmp_path, capsys):
    model = ["--model", str(guest_folder("mask2former")), "--device", "cpu"]
    out = tmp_path / "found"
    assert (
        main(["predict", picture, *model, "--out", str(out), "--task", "semantic", "--format", "png", "json"])
        == 0
    )
    assert np.asarray(Image.open(out / "photo.png")).shape == (90, 120, 3)
    result = omgseg.SegmentationResult.load(out / "photo.json")
    assert result.task == "semantic" and len(result.rles) and result.vocabulary.num_stuff == 2
    words = [*model, "--task", "instance", "--vocabulary", "car, unicorn"]
    assert main(["predict", picture, *words, "--out", str(tmp_path / "none")]) == 2
    assert "the word 'unicorn'" in capsys.readouterr().err


def test_any_words_where_a_guest_takes_them(guest_folder, picture, tmp_path, capsys):
    model = ["--model", str(guest_folder("clipseg")), "--device", "cpu", "--background", "none"]
    out = ["--out", str(tmp_path / "found")]
    assert main(["predict", picture, *model, *out, "--vocabulary", "dog, red kite"]) == 0
    shown = capsys.readouterr().out
    assert "dog" in shown or "red kite" in shown


def test_words_and_exemplars_of_sam3(guest_folder, picture, tmp_path, capsys):
    model = ["--model", str(guest_folder("sam3")), "--device", "cpu", "--format", "json"]
    words = ["--vocabulary", "dog, street", "--min-score", "0"]
    assert main(["predict", picture, *model, *words, "--out", str(tmp_path / "words")]) == 0
    result = omgseg.SegmentationResult.load(tmp_path / "words" / "photo.json")
    assert result.task == "instance" and set(result.names) == {"dog", "street"}
    boxes = ["--exemplars", "10,5,60,50", "70,40,120,90", "--labels", "1", "0", "--min-score", "0"]
    assert main(["predict", picture, *model, *boxes, "--out", str(tmp_path / "alike")]) == 0
    result = omgseg.SegmentationResult.load(tmp_path / "alike" / "photo.json")
    assert len(result.rles) and set(result.names) == {""}
    capsys.readouterr()
    assert main(["predict", picture, *model, "--points", "9,9", "--out", str(tmp_path / "none")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "does not offer prompts by points; it offers the tasks semantic, instance, interactive" in line


def test_label_tells_guests_by_their_files_apart(guest_folder, picture, tmp_path, capsys):
    moved = copied(guest_folder("segformer"), tmp_path / "moved")
    out = ["--out", str(tmp_path / "coco.json"), "--task", "semantic", "--device", "cpu"]
    assert main(["label", picture, "--model", str(guest_folder("segformer")), *out]) == 0
    assert json.loads((tmp_path / "coco.json").read_text())["annotations"]
    assert main(["label", picture, "--model", str(moved), *out]) == 0, "the same model in another place"
    weights = bytearray((moved / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (moved / "model.safetensors").write_bytes(weights)
    assert main(["label", picture, "--model", str(moved), *out]) == 2
    assert "weights" in capsys.readouterr().err


def test_info_shows_what_a_guest_can_do(guest_folder, capsys):
    assert main(["info", str(guest_folder("segformer"))]) == 0
    shown = capsys.readouterr().out
    assert "semantic" in shown and "words of the training (20 things" in shown


@pytest.mark.parametrize("command", [["predict", "PHOTO"], ["info"], ["label", "PHOTO", "--out", "OUT"]])
def test_a_guest_that_is_not_here_is_one_line(command, picture, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    paths = {"PHOTO": picture, "OUT": str(tmp_path / "labels.json")}
    arguments = [paths.get(part, part) for part in command]
    arguments += ["hf:facebook/sam9"] if command == ["info"] else ["--model", "hf:facebook/sam9"]
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "error: hf:facebook/sam9 is not on this machine; --weights 'hf:facebook/sam9' downloads it"


def test_a_short_name_is_its_place_on_the_hub(guest_folder, picture, tmp_path, capsys, monkeypatch):
    cache = tmp_path / "cache"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    short = ["predict", picture, "--model", "segformer-b0-ade", "--out", str(tmp_path / "found")]
    assert main(short) == 2
    place = "hf:nvidia/segformer-b0-finetuned-ade-512-512"
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"error: {place} is not on this machine; --weights '{place}' downloads it"
    repository = cache / "models--nvidia--segformer-b0-finetuned-ade-512-512"
    (repository / "snapshots").mkdir(parents=True)
    copied(guest_folder("segformer"), repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    assert main([*short, "--device", "cpu", "--task", "semantic"]) == 0
    assert (tmp_path / "found" / "photo.png").is_file()
