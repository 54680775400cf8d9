"""omgseg label, from its command line; by one process, by shards, and after it was killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image
from pycocotools.coco import COCO

ANY_SCORE = ["--min-score", "0"]


@pytest.fixture
def label(run, model, photos):
    """Label the photos into a file; returns the exit status, standard output and standard error."""
    return lambda out, *more: run("label", photos, "--out", out, *model, *ANY_SCORE, *more)


def test_a_folder_becomes_a_coco_file(label, tmp_path):
    status, lines, error = label(tmp_path / "coco.json")
    assert status == 0, error
    assert "3/3" in error  # the progress bar
    coco = COCO(tmp_path / "coco.json")
    names = [image["file_name"] for image in coco.loadImgs(coco.getImgIds())]
    assert names == ["1.png", "10.png", "more/2.png"]
    words = [category["name"] for category in coco.loadCats(coco.getCatIds())]
    assert words == ["red", "blue"]
    annotations = coco.loadAnns(coco.getAnnIds())
    assert f"{len(annotations)} objects in 3 images" in lines and annotations
    for annotation in annotations:
        assert coco.annToMask(annotation).sum() == annotation["area"] > 0
        assert 0 <= annotation["score"] <= 1


def test_unreadable_images_are_counted_and_tried_again(label, photos, tmp_path):
    picture = (photos / "10.png").read_bytes()
    (photos / "10.png").write_bytes(picture[:100])
    status, _, error = label(tmp_path / "coco.json")
    assert status == 1
    assert "1 images could not be read and were skipped: 10.png" in error
    content = json.loads((tmp_path / "coco.json").read_text())
    assert len(content["images"]) == 2 and content["info"]["unreadable"] == ["10.png"]
    (photos / "10.png").write_bytes(picture)
    status, _, error = label(tmp_path / "coco.json")
    assert status == 0 and "2 of them already labelled" in error
    assert label(tmp_path / "fresh.json")[0] == 0
    assert (tmp_path / "fresh.json").read_bytes() == (tmp_path / "coco.json").read_bytes()


def test_images_that_are_added_are_labelled_and_those_that_are_gone_left_out(label, photos, tmp_path):
    assert label(tmp_path / "coco.json")[0] == 0
    shutil.copy(photos / "1.png", photos / "4.png")
    (photos / "10.png").unlink()
    Image.new("RGB", (4, 4)).save(photos / "1.png")  # is not read again
    status, _, error = label(tmp_path / "coco.json")
    assert status == 0 and "3 images, 2 of them already labelled" in error
    content = json.loads((tmp_path / "coco.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["1.png", "4.png", "more/2.png"]
    assert [image["width"] for image in content["images"]] == [96, 96, 96]


def test_shards_make_the_same_file(label, run, tmp_path):
    assert label(tmp_path / "one.json")[0] == 0
    out = tmp_path / "coco.json"
    assert label(out, "--shard", "1/2")[0] == 0
    status, _, error = run("label", "--merge", "--out", out)
    assert status == 2 and "shards are missing: 2/2" in error
    status, lines, _ = label(out, "--shard", "2/2")
    assert status == 0 and f"omgseg label --merge --out {out}" in lines
    assert not out.exists()
    assert run("label", "--merge", "--out", out)[0] == 0
    assert out.read_bytes() == (tmp_path / "one.json").read_bytes()
    assert run("label", "--merge", "--out", out)[0] == 2  # exists
    named = [tmp_path / "coco.json.parts" / f"{number}-of-2.jsonl" for number in (1, 2)]
    assert run("label", "--merge", *named, "--out", tmp_path / "named.json")[0] == 0
    assert (tmp_path / "named.json").read_bytes() == out.read_bytes()


def test_a_killed_run_goes_on_and_loses_nothing(label, model, photos, tmp_path):
    for number in range(20, 60):
        shutil.copy(photos / "1.png", photos / f"{number}.png")
    out = tmp_path / "killed.json"
    journal = tmp_path / "killed.json.parts" / "1-of-1.jsonl"
    command = [sys.executable, "-m", "omgseg.cli", "label", photos, "--out", out, *model, *ANY_SCORE]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not journal.exists() or journal.read_bytes().count(b"\n") < 4:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = journal.read_bytes().count(b"\n") - 1
    assert not out.exists() and 3 <= kept < 43

    status, _, error = label(out)
    assert status == 0 and f"{kept} of them already labelled" in error
    assert label(tmp_path / "whole.json")[0] == 0
    assert out.read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_what_is_labelled_before_ctrl_c_is_kept(run, fake, photos, tmp_path):
    """A signal at the second image of each run: every run labels one more."""
    out, model = tmp_path / "coco.json", fake("StoppedFake")
    for kept in range(2):
        status, _, error = run("label", photos, "--out", out, *model, *ANY_SCORE)
        assert status == 130 and f"{kept} of them already labelled" in error
        assert "stopped; the same command continues from here" in error and not out.exists()
    assert run("label", photos, "--out", out, *model, *ANY_SCORE)[0] == 0
    assert len(json.loads(out.read_text())["images"]) == 3


def test_a_second_run_loses_nothing(label, tmp_path):
    out = tmp_path / "coco.json"
    out.write_text("annotations by hand")
    status, _, error = label(out)
    assert status == 2 and "exists without a journal" in error
    assert out.read_text() == "annotations by hand"
    assert label(out, "--overwrite")[0] == 0
    before = out.read_bytes()
    status, _, error = label(out, "--task", "panoptic")
    assert status == 2 and "another task" in error and "--overwrite" in error
    assert out.read_bytes() == before
    assert label(out, "--task", "panoptic", "--overwrite")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shard", "3/2"], "1 <= i <= n"),
        (["--min-score", "2"], "must be between 0 and 1"),
        (["--workers", "2"], "--engine local"),
        (["--batch-size", "0"], "must be at least 1"),
        (["--threads", "0"], "must be at least 1"),
    ],
)
def test_label_mistakes(label, tmp_path, arguments, message):
    status, _, error = label(tmp_path / "coco.json", *arguments)
    assert status == 2 and message in error
    assert not list(tmp_path.glob("coco.json*"))


def test_there_must_be_images_and_words(run, model, fake, photos, tmp_path):
    out = ["--out", tmp_path / "coco.json"]
    assert "no images" in run("label", *out, *model)[2]
    assert "missing not found" in run("label", tmp_path / "missing", *out, *model)[2]
    assert "do not hold the words" in run("label", photos, *out, *fake("WordlessFake"))[2]
    assert "no journals of shards" in run("label", "--merge", *out)[2]


def test_an_edited_config_is_noticed(label, config_file, tmp_path):
    out = tmp_path / "coco.json"
    assert label(out)[0] == 0
    base = config_file.with_name("base.py")
    base.write_text(config_file.read_text())
    config_file.write_text('_base_ = ["base.py"]\n')
    assert label(out)[0] == 0  # the same content
    base.write_text(base.read_text() + 'segmenter["batch_by_size"] = False\n')
    status, _, error = label(out)
    assert status == 2 and "was made with another config: sha256:" in error and "--overwrite" in error


def test_all_masks_without_words(run, fake, photos, tmp_path):
    everything = [photos, "--task", "everything", "--min-score", "0"]
    status, _, error = run("label", *everything, *fake("ProposerFake"), "--out", tmp_path / "a.json")
    assert status == 0, error
    content = json.loads((tmp_path / "a.json").read_text())
    assert [category["name"] for category in content["categories"]] == ["object"]
    assert len(content["annotations"]) == 9 and {a["category_id"] for a in content["annotations"]} == {1}
    named = [*fake("FakeSegmenter"), "--vocabulary", "red, green", "--out", tmp_path / "b.json"]
    assert run("label", *everything, *named)[0] == 0
    content = json.loads((tmp_path / "b.json").read_text())
    assert [category["name"] for category in content["categories"]] == ["red", "green", "object"]
    assert {a["category_id"] for a in content["annotations"]} >= {1, 2}


def test_what_the_model_cannot_do_is_refused_before_it_starts(run, fake, photos, tmp_path):
    for arguments, message in (
        (["--task", "everything", *fake("ImageOnlyFake")], "does not offer the task 'everything'"),
        (fake("ClickOnlyFake"), "does not offer the task 'instance'"),
        ([*fake("ImageOnlyFake"), "--vocabulary", "dog"], "dog"),
    ):
        status, _, error = run("label", photos, "--out", tmp_path / "coco.json", *arguments)
        assert status == 2 and message in error and error.count("\n") == 1
        assert not list(tmp_path.glob("coco.json*"))


def test_a_name_that_is_not_utf_8_stops_nothing(label, photos, tmp_path):
    shutil.copy(photos / "1.png", photos / os.fsdecode(b"caf\xe9.png"))
    status, _, error = label(tmp_path / "coco.json", "--shard", "1/1")
    assert status == 0, error
    names = [image["file_name"] for image in json.loads((tmp_path / "coco.json").read_text())["images"]]
    assert sorted(names) == ["1.png", "10.png", "caf\\xe9.png", "more/2.png"]
