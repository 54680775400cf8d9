"""tools/predict.py, from its command line."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omgseg.structures.panoptic_png import decode_panoptic_png

TOOL = Path(__file__).parents[2] / "tools" / "predict.py"
WORDS = ["--words", "dog", "truck", "--stuff", "sky", "road", "--device", "cpu"]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("predict_tool", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tool, config_file, weights, tmp_path):
    """Run with the tiny config; returns the exit status and the folder of the results."""

    def run(*arguments: str | Path, checkpoint: str | Path = weights) -> tuple[int, Path]:
        out = tmp_path / "out"
        argv = [config_file, checkpoint, *arguments, "--out-dir", out]
        return tool.main([str(each) for each in argv]), out

    return run


def relative(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_photos(run, photo, tmp_path):
    twin = tmp_path / "other" / "photo.jpg"
    twin.parent.mkdir()
    Image.open(photo).save(twin)
    status, out = run(photo, twin, "--task", "panoptic", "instance", "semantic", "--min-score", "0", *WORDS)
    assert status == 0
    assert relative(out) == {
        "panoptic.json",
        "instances.json",
        "vocabulary.json",
        *(
            f"{folder}/{name}.png"
            for name in ("photo", "photo_2")
            for folder in (
                "panoptic",
                "semantic",
                "pictures/panoptic",
                "pictures/instance",
                "pictures/semantic",
            )
        ),
    }
    drawn = np.asarray(Image.open(out / "pictures" / "instance" / "photo.png"))
    bare = np.asarray(Image.open(photo).resize(drawn.shape[1::-1], Image.Resampling.BILINEAR))
    assert np.abs(drawn.astype(int) - bare).mean() > 5


def test_video(run, video):
    status, out = run(video, "--task", "video-panoptic", "video-instance", "--min-score", "0", *WORDS)
    assert status == 0
    for task in ("panoptic", "instance"):
        pictures = sorted((out / "pictures" / task / "clip").iterdir())
        assert {picture.stem for picture in pictures} == {"7", "8", "9", "10", "11"}
        with Image.open(out / "pictures" / task / "clip.gif") as animation:
            assert animation.n_frames == 5
            assert animation.size == Image.open(pictures[0]).size
    content = json.loads((out / "panoptic.json").read_text())
    category_of = {}
    for entry in content["annotations"]:
        assert decode_panoptic_png(out / "panoptic" / entry["file_name"]).shape == (90, 140)
        for segment in entry["segments_info"]:
            assert category_of.setdefault(segment["id"], segment["category_id"]) == segment["category_id"]
    assert len(category_of) > 1


def test_clicks_and_boxes(run, photo):
    status, out = run(photo, "--task", "interactive", "--points", "50,40", "100,80", "--device", "cpu")
    assert status == 0
    assert relative(out) == {"prompts.json", "pictures/interactive/photo.png"}
    assert len(json.loads((out / "prompts.json").read_text())["annotations"]) == 2
    assert run(photo, "--task", "interactive", "--boxes", "1,2,50,60", "--device", "cpu")[0] == 0


def test_objects_of_the_first_frame(run, video, tmp_path):
    Image.fromarray(np.pad(np.ones((20, 20), np.uint8), ((20, 50), (30, 90)))).save(tmp_path / "first.png")
    status, out = run(video, "--task", "vos", "--first-mask", tmp_path / "first.png", *WORDS)
    assert status == 0
    assert len(list((out / "vos" / "clip").iterdir())) == 5


def test_without_weights(run, photo, monkeypatch):
    messages = []
    monkeypatch.setattr("omgseg.apis.building.print_log", lambda message, **_: messages.append(message))
    status, out = run(photo, *WORDS, checkpoint="none")
    assert status == 0
    assert (out / "panoptic" / "photo.png").is_file()
    assert any("all weights are random" in message for message in messages)


def test_config_options(run, photo, capsys):
    assert run(photo, *WORDS, "--cfg-options", "model.query_decoder.num_layers=6")[0] == 1
    assert "does not fit the model" in capsys.readouterr().err
    assert run(photo, *WORDS, "--cfg-options", "model.querry=6")[0] == 1
    assert "querry" in capsys.readouterr().err


def test_what_was_predicted_before_an_error_is_written(run, photo, tmp_path, capsys):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff")
    status, out = run(photo, broken, *WORDS)
    assert status == 1
    assert "broken.jpg is truncated or not an image" in capsys.readouterr().err
    assert len(json.loads((out / "panoptic.json").read_text())["images"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.jpg", *WORDS], "missing.jpg not found"),
        (["EMPTY", *WORDS], "has no images"),
        (["PHOTO"], "no words"),
        (["PHOTO", *WORDS, "--task", "video-panoptic"], "is no folder of frames"),
        (["PHOTO", "--vocabulary", "cocoo"], "vocabulary 'cocoo' is neither"),
        (
            ["PHOTO", "--task", "interactive", "--points", "200,5"],
            "point (200, 5) lies outside of the image of 140x90",
        ),
        (["PHOTO", "--task", "interactive"], "need each other"),
        (["PHOTO", *WORDS, "--points", "1,1"], "need each other"),
    ],
)
def test_errors_name_what_is_wrong(run, photo, tmp_path, capsys, arguments, message):
    (tmp_path / "empty").mkdir()
    places = {"PHOTO": str(photo), "EMPTY": str(tmp_path / "empty")}
    status, _ = run(*(places.get(argument, argument) for argument in arguments))
    error = capsys.readouterr().err
    assert status == 1
    assert error.startswith("error: ") and message in error


def test_wrong_checkpoint(run, photo, config_file, capsys):
    assert run(photo, *WORDS, checkpoint="nothing.pth")[0] == 1
    assert "nothing.pth not found" in capsys.readouterr().err
    assert run(photo, *WORDS, checkpoint=config_file)[0] == 1
    assert "tiny.py" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--points", "1,2,3"],
        ["--points", "a,b"],
        ["--words", "dog", "--vocabulary", "vipseg"],
        ["--task", "paint"],
    ],
)
def test_command_line_is_checked(run, photo, arguments):
    with pytest.raises(SystemExit):
        run(photo, *arguments)


def test_real_photos_and_video(run, real_samples_dir):
    photos = sorted((real_samples_dir / "images").glob("*.jpg"))
    (clip,) = (real_samples_dir / "video").iterdir()
    status, out = run(*photos, clip, *WORDS)
    assert status == 0
    for path in photos:
        size = Image.open(path).size
        assert Image.open(out / "panoptic" / f"{path.stem}.png").size == size
        assert Image.open(out / "pictures" / "panoptic" / f"{path.stem}.png").size == size
    frames = sorted(clip.iterdir())
    with Image.open(out / "pictures" / "panoptic" / f"{clip.name}.gif") as animation:
        assert animation.n_frames == len(frames) == 15
    for frame in frames:
        assert Image.open(out / "panoptic" / clip.name / f"{frame.stem}.png").size == Image.open(frame).size
    content = json.loads((out / "panoptic.json").read_text())
    category_of = {}
    for entry in content["annotations"][len(photos) :]:
        for segment in entry["segments_info"]:
            assert category_of.setdefault(segment["id"], segment["category_id"]) == segment["category_id"]
    assert category_of
