"""omgseg predict, from its command line."""

import json
import runpy
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from omgseg.inference import SegmentationResult, VideoResult
from omgseg.protocols import MissingWords
from omgseg.structures.label_png import decode_panoptic_png
from tests.fakes import FakeSegmenter, picture

TOOL = Path(__file__).parents[2] / "tools" / "infer.py"


def names(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_an_image_becomes_a_picture(run, model, photos, tmp_path):
    out = tmp_path / "out"
    status, lines, error = run("predict", photos / "1.png", "--out", out, *model)
    assert status == 0, error
    assert names(out) == {"1.png"}
    assert lines.startswith(f"{out / '1.png'}  ") and "1 red, 1 blue" in lines
    drawn, bare = (np.asarray(Image.open(file)).astype(int) for file in (out / "1.png", photos / "1.png"))
    assert drawn.shape == bare.shape
    assert np.abs(drawn - bare).mean() > 5


def test_a_click_prints_its_best_names(run, model, photos, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("red\nblue\ngreen, grass\nwhite\nblack\nyellow\n")
    out = tmp_path / "out"
    clicks = ["--points", "25,20", "--vocabulary", words]
    status, lines, error = run(
        "predict", photos / "1.png", "--out", out, *model[:6], *clicks, "--format", "json"
    )
    assert status == 0, error
    (names,) = SegmentationResult.load(out / "1.json").top_names
    listed = ", ".join(f"{name} {score:.2f}" for name, score in names)
    assert len(names) == 5 and f"  mask 1: {listed}\n" in lines


def test_words_that_the_model_cannot_read_are_named(run, model, photos, tmp_path, monkeypatch):
    def refuse(self, state, rles, words):
        raise MissingWords(words.names, "weights.pt does not exist")

    monkeypatch.setattr(FakeSegmenter, "name_masks", refuse)
    given = ["--points", "25,20", "--vocabulary", "okapi", "quokka"]
    status, _, error = run("predict", photos / "1.png", "--out", tmp_path, *model[:6], *given)
    assert status == 1 and error.count("error: ") == 1
    assert "error: the model cannot read 'okapi', 'quokka': weights.pt does not exist" in error


def test_many_inputs_and_formats(run, model, photos, tmp_path):
    out = tmp_path / "out"
    status, _, error = run(
        "predict", photos, photos / "more" / "*.png", photos / "1.png", "--out", out, *model,
        "--stuff", "green", "white", "--format", "json", "coco", "panoptic", "masks", "--batch-size", "2",
    )  # fmt: skip
    assert status == 0, error
    assert "3 of 3 inputs done" in error  # the file that is named twice counts once
    assert names(out) == {
        "coco.json",
        "panoptic.json",
        "masks/vocabulary.json",
        *(f"{name}.json" for name in ("1", "2", "10")),
        *(f"{folder}/{name}.png" for folder in ("panoptic", "masks") for name in ("1", "2", "10")),
    }
    result = SegmentationResult.load(out / "10.json")
    assert result.size == (64, 96) and len(result)
    assert result.vocabulary.names == ["red", "blue", "green", "white"] and result.vocabulary.num_stuff == 2
    assert len(json.loads((out / "coco.json").read_text())["images"]) == 3
    content = json.loads((out / "panoptic.json").read_text())
    for entry in content["annotations"]:
        ids = decode_panoptic_png(out / "panoptic" / entry["file_name"])
        assert set(np.unique(ids)) - {0} == {segment["id"] for segment in entry["segments_info"]}


def test_images_of_one_name_do_not_replace_each_other(run, model, photos, tmp_path):
    twin = tmp_path / "other" / "1.png"
    twin.parent.mkdir()
    Image.open(photos / "1.png").rotate(180).save(twin)
    out = tmp_path / "out"
    assert run("predict", photos / "1.png", twin, "--out", out, *model)[0] == 0
    assert names(out) == {"1.png", "1_2.png"}


def test_a_video_becomes_a_film(run, model, frames, tmp_path):
    out = tmp_path / "out"
    assert run("predict", frames, "--video", "--out", out, *model)[0] == 0
    with av.open(str(out / "clip.mp4")) as film:
        assert [frame.to_ndarray(format="rgb24").shape for frame in film.decode(video=0)] == [(64, 96, 3)] * 3
    status, _, error = run(
        "predict", out / "clip.mp4", frames, "--video", "--task", "instance", "--min-score", "0", "--out", out / "x",
        "--format", "png", "gif", "json", "youtube-vis", "coco", *model,
    )  # fmt: skip
    assert status == 0, error
    assert len(names(out / "x" / "clip")) == len(names(out / "x" / "clip_2")) == 3
    assert Image.open(out / "x" / "clip_2.gif").n_frames == 3
    video = VideoResult.load(out / "x" / "clip_2.json")
    assert len(video) == 3
    tracks = json.loads((out / "x" / "youtube-vis.json").read_text())
    assert len(tracks["videos"]) == 2
    assert len(tracks["annotations"]) >= len(video.ids)


def test_what_a_killed_run_left_is_removed(run, model, photos, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / ".long.mp4.0.tmp").write_bytes(b"half a film")
    assert run("predict", photos / "1.png", "--out", out, *model)[0] == 0
    assert names(out) == {"1.png"}


@pytest.mark.parametrize("pattern", ["*.png", "0?0.png"])
def test_a_glob_as_a_video_is_written_below_out(run, model, frames, tmp_path, pattern):
    out = tmp_path / "out"
    assert run("predict", f"{frames}/{pattern}", "--video", "--out", out, *model)[0] == 0
    assert names(out) == {"clip.mp4"}
    assert {path.suffix for path in frames.iterdir()} == {".png"}


def test_odd_file_names(run, model, photos, tmp_path):
    odd = ["-rf.png", "a\nb.png", "x" * 250 + ".png", "a:b.png", "a?b.png"]
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in odd:
        (folder / name).write_bytes((photos / "1.png").read_bytes())
    out = tmp_path / "out"
    status, _, error = run("predict", folder, "--out", out, "--format", "png", "json", "masks", *model)
    assert status == 0, error
    assert len(names(out)) == 5 * 3 + 1
    assert not [name for name in names(out) if set(name) & set("\n:?") or name.startswith("-")]


def test_a_second_run_loses_nothing(run, model, photos, tmp_path):
    out = tmp_path / "out"
    arguments = ["predict", photos / "1.png", "--out", out, "--format", "png", "coco", *model]
    assert run(*arguments)[0] == 0
    before = {name: (out / name).read_bytes() for name in names(out)}
    status, _, error = run(*arguments)
    assert status == 2 and "coco.json exists" in error
    status, _, error = run("predict", photos / "1.png", photos / "10.png", "--out", out, *model)
    assert status == 2 and "1.png exists" in error
    assert {name: (out / name).read_bytes() for name in names(out)} == before
    assert run("predict", photos / "10.png", "--out", out, *model)[0] == 0
    assert {name: (out / name).read_bytes() for name in before} == before
    assert run(*arguments, "--overwrite")[0] == 0


def test_unreadable_inputs_are_counted_and_the_others_done(run, model, photos, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    out = tmp_path / "out"
    status, _, error = run(
        "predict", tmp_path / "broken.jpg", photos / "1.png", tmp_path / "broken.mp4", "--out", out, *model
    )
    assert status == 1
    assert "1 of 3 inputs done" in error
    assert error.count("error: ") == 2 and "broken.jpg" in error and "broken.mp4" in error
    assert names(out) == {"1.png"}


def test_clicks_and_boxes(run, model, photos, tmp_path):
    image = ["predict", photos / "1.png", "--format", "json", *model]
    assert run(*image, "--points", "30,20", "80,50", "--out", tmp_path / "each")[0] == 0
    assert len(SegmentationResult.load(tmp_path / "each" / "1.json")) == 2
    assert run(*image, "--points", "30,20", "80,50", "--labels", "1", "0", "--out", tmp_path / "one")[0] == 0
    assert len(SegmentationResult.load(tmp_path / "one" / "1.json")) == 1
    assert run(*image, "--task", "interactive", "--boxes", "1,2,50,60", "--out", tmp_path / "box")[0] == 0
    assert len(SegmentationResult.load(tmp_path / "box" / "1.json")) == 1


def test_exemplars(run, fake, photos, tmp_path):
    red, blue = ("red", 10, 10, 30, 30), ("blue", 10, 40, 30, 60)
    Image.fromarray(picture(64, 96, red, blue, ("red", 40, 10, 60, 40))).save(tmp_path / "twins.png")
    image = ["predict", tmp_path / "twins.png", "--format", "json", *fake("ExemplarFake")]

    def found(*arguments, out) -> SegmentationResult:
        status, _, error = run(*image, *arguments, "--out", tmp_path / out)
        assert status == 0, error
        return SegmentationResult.load(tmp_path / out / "twins.json")

    alike = found("--exemplars", "8,8,32,32", out="alike")
    assert alike.areas.tolist() == [400, 600] and alike.names == ["", ""]
    both = ["--exemplars", "0,0,96,64", "8,8,32,32"]
    assert found(*both, "--labels", "1", "0", out="unlike").areas.tolist() == [400]
    assert found(*both, "--vocabulary", "red box", out="word").names == ["red box"] * 3
    assert len(found(*both, "--min-score", "0.7", out="sure")) == 2
    for arguments, message in (
        (["1,1,99,20"], "lies outside of the image of 96x64"),
        (["5,5,5,20"], "x1 < x2"),
        (["8,8,32,32", "--labels", "0"], "negative exemplars need a positive one"),
    ):
        status, _, error = run(*image, "--exemplars", *arguments, "--out", tmp_path / "wrong")
        assert status != 0 and message in error and error.count("error: ") == 1, error


def test_objects_of_the_first_frame(run, model, frames, tmp_path):
    first = np.zeros((64, 96), np.uint8)
    first[10:40, 20:50] = 7
    Image.fromarray(first).save(tmp_path / "first.png")
    out = tmp_path / "out"
    arguments = ["--task", "vos", "--first-mask", tmp_path / "first.png", "--format", "json", "mp4"]
    status, _, error = run("predict", frames, *arguments, "--out", out, *model)
    assert status == 0, error
    assert VideoResult.load(out / "clip.json").ids.tolist() == [7]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.jpg"], "missing.jpg not found"),
        (["EMPTY"], "has no images"),
        (["PHOTO", "--format", "mp4"], "is an image, which cannot be written as mp4"),
        (["PHOTO", "--task", "interactive"], "needs --points, --boxes or --exemplars"),
        (["PHOTO", "--points", "1,1", "--task", "panoptic"], "the other tasks take none"),
        (["PHOTO", "--labels", "1"], "one label, 1 or 0, per point"),
        (["PHOTO", "--points", "1,1", "--labels", "1", "0"], "one label, 1 or 0, per point"),
        (["PHOTO", "--exemplars", "1,1,9,9", "--labels", "1", "0"], "or box of --exemplars"),
        (["PHOTO", "--exemplars", "1,1,9,9;1,1,9,9"], "4 numbers with commas"),
        (["PHOTO", "--exemplars", "1,1,9,9", "--task", "instance"], "the other tasks take none"),
        (["PHOTO", "--exemplars", "1,1,9,9", "--points", "1,1"], "either exemplars, or points and boxes"),
        (["PHOTO", "--exemplars", "1,1,9,9", "--vocabulary", "dog, cat"], "exemplars take one word"),
        (["PHOTO", "--task", "vos"], "needs --first-mask"),
        (["PHOTO", "--task", "vos", "--first-mask", "nothing.png"], "nothing.png not found"),
        (["PHOTO", "--min-score", "7"], "must be between 0 and 1"),
        (["PHOTO", "--batch-size", "0"], "must be at least 1"),
        (["PHOTO", "--vocabulary", "dog, dog"], "twice"),
        (["PHOTO", "--vocabulary", "nothing.json"], "nothing.json"),
        (["PHOTO", "--background", ","], "no words"),
        (["PHOTO", "--weights", "nothing.pth"], "nothing.pth not found"),
        (["PHOTO", "--points", "1,2,3"], "2 numbers with commas"),
        (["PHOTO", "--task", "paint"], "invalid choice"),
    ],
)
def test_mistakes_are_named_before_anything_is_written(run, model, photos, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    places = {"PHOTO": photos / "1.png", "EMPTY": tmp_path / "empty"}
    arguments = [places.get(argument, argument) for argument in arguments]
    status, _, error = run("predict", *model, "--out", tmp_path / "out", *arguments)
    assert status == 2
    assert message in error
    assert not (tmp_path / "out").exists()


def test_words_are_needed_where_the_weights_hold_none(run, fake, photos, tmp_path):
    arguments = [*fake("WordlessFake"), "--out", tmp_path / "out"]
    status, _, error = run("predict", photos / "1.png", *arguments)
    assert status == 2 and "do not hold the words" in error
    assert run("predict", photos / "1.png", *arguments, "--vocabulary", "coco", "--format", "json")[0] == 0
    assert len(SegmentationResult.load(tmp_path / "out" / "1.json").vocabulary) == 133


def test_the_tool_is_the_same_command(monkeypatch, model, photos, tmp_path):
    out = tmp_path / "out"
    argv = [str(TOOL), str(photos / "1.png"), "--out", str(out), *model]
    monkeypatch.setattr("sys.argv", argv)
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(TOOL), run_name="__main__")
    assert end.value.code == 0
    assert names(out) == {"1.png"}


def test_what_the_model_cannot_do_is_refused_before_it_starts(run, fake, photos, frames, tmp_path):
    first = tmp_path / "first.png"
    Image.new("L", (96, 64), 1).save(first)
    points = ["--task", "interactive", "--points", "1,1"]
    for source, arguments, message in (
        (photos, ["--task", "everything", *fake("ImageOnlyFake")], "does not offer the task 'everything'"),
        (photos, [*points, *fake("ImageOnlyFake")], "does not offer the task 'interactive'"),
        (frames, ["--task", "vos", "--first-mask", first, *fake("ImageOnlyFake")], "the task 'vos'"),
        (photos, ["--points", "1,1", *fake("ExemplarFake")], "prompts by points; it offers the tasks"),
        (photos, ["--boxes", "1,1,9,9", *fake("ExemplarFake")], "does not offer prompts by boxes"),
        (photos, ["--exemplars", "1,1,9,9", *fake("ClickOnlyFake")], "does not offer prompts by exemplars"),
        (photos, ["--exemplars", "1,1,9,9", *fake("ImageOnlyFake")], "does not offer the task 'interactive'"),
        (photos, fake("ClickOnlyFake"), "does not offer the task 'panoptic'; it offers the task"),
        (photos, [*fake("ImageOnlyFake"), "--vocabulary", "dog"], "dog"),
    ):
        status, _, error = run("predict", source, "--out", tmp_path / "out", *arguments)
        assert status == 2 and message in error and error.count("\n") == 1
        assert not (tmp_path / "out").exists()


def test_the_task_of_the_model_is_the_default(run, fake, photos, tmp_path):
    arguments = [*fake("ProposerFake"), "--out", tmp_path / "out", "--format", "json"]
    status, _, error = run("predict", photos / "1.png", *arguments)
    assert status == 0, error
    result = SegmentationResult.load(tmp_path / "out" / "1.json")
    assert result.task.value == "everything" and len(result) == 2  # of a score of 0.8 or more


def test_one_image_that_fails_does_not_lose_the_others(run, fake, photos, tmp_path):
    Image.new("RGB", (10, 10)).save(photos / "5.png")
    points = ["--task", "interactive", "--points", "50,40", "--out", tmp_path / "out"]
    status, _, error = run("predict", photos, *points, *fake("FakeSegmenter"))
    assert status == 1 and "5.png" in error and "lies outside of the image" in error
    assert names(tmp_path / "out") == {"1.png", "2.png", "10.png"}


def test_what_is_done_before_ctrl_c_is_kept(run, fake, photos, frames, tmp_path):
    for number in range(3, 8):
        (frames / f"00{number}.png").write_bytes((frames / "000.png").read_bytes())
    out = tmp_path / "film"
    formats = ["--format", "mp4", "json", "coco", "youtube-vis"]
    status, _, error = run("predict", frames, "--video", "--out", out, *formats, *fake("StoppedFake"))
    assert status == 130 and "0 of 1 inputs done" in error
    assert len(VideoResult.load(out / "clip.json")) == 2
    with av.open(str(out / "clip.mp4")) as film:
        assert len(list(film.decode(video=0))) == 2
    assert len(json.loads((out / "coco.json").read_text())["images"]) == 2
    assert names(out) == {"clip.mp4", "clip.json", "coco.json", "youtube-vis.json"}

    out = tmp_path / "images"
    status, _, error = run("predict", photos, "--out", out, "--format", "png", "coco", *fake("StoppedFake"))
    assert status == 130 and "1 of 3 inputs done" in error
    assert names(out) == {"1.png", "coco.json"}


def test_results_in_the_folder_of_the_images_are_no_inputs(run, model, photos, monkeypatch):
    monkeypatch.chdir(photos)
    for _ in range(2):
        status, _, error = run("predict", ".", "--overwrite", *model)
        assert status == 0 and "3 of 3 inputs done" in error
    assert names(photos / "results") == {"1.png", "10.png", "2.png"}
