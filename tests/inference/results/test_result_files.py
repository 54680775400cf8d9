"""Saving and loading: everything but the pixels comes back exactly, and broken files are named."""

import json

import numpy as np
import pytest

from omgseg.inference.results import SegmentationResult, VideoResult

AWKWARD = [0.1, 1 / 3, 1e-30, 0.9999999]


def test_an_image_comes_back_exactly(panoptic, tmp_path):
    result = panoptic(scores=AWKWARD, path="photos/street.jpg", time=0.1 + 0.2, frame_index=12)
    file = result.save(tmp_path / "new" / "street.json")
    loaded = SegmentationResult.load(file)
    assert loaded == result
    assert loaded.scores.tobytes() == np.array(AWKWARD, np.float32).tobytes()
    assert loaded.time == 0.1 + 0.2 and loaded.path == result.path
    for own, other in zip(loaded.vocabulary, result.vocabulary, strict=True):
        assert own == other  # ids, colours and synonyms too
    assert np.array_equal(loaded.masks, result.masks)
    assert [path.name for path in file.parent.iterdir()] == ["street.json"]


@pytest.mark.parametrize("task", ["semantic", "instance", "interactive", "vos"])
def test_every_task_comes_back(instances, task, tmp_path):
    result = instances(task=task, labels=[-1, 1, 0])
    assert SegmentationResult.load(result.save(tmp_path / "a.json")) == result


def test_an_empty_result_comes_back(tmp_path):
    result = SegmentationResult("vos", (3, 4), [], [], [])
    assert SegmentationResult.load(result.save(tmp_path / "a.json")) == result


def test_a_video_comes_back_exactly(film, tmp_path):
    loaded = VideoResult.load(film.save(tmp_path / "film.json"))
    assert loaded == film and loaded.fps == 30000 / 1001
    assert [len(frame) for frame in loaded] == [4, 4, 3, 4, 4]
    assert loaded[4].time == 4 / 7 and loaded[4].name == "00004"
    longer = film.save(tmp_path / "film.json").stat().st_size
    assert longer < 6 * 1024  # run lengths and numbers: the words are written once


def test_a_video_without_frames_comes_back(tmp_path):
    empty = VideoResult([], path="film.mp4")
    assert VideoResult.load(empty.save(tmp_path / "film.json")) == empty


def test_a_folder_keeps_the_old_file_on_an_error(film, tmp_path):
    file = film.save(tmp_path / "film.json")
    before = file.read_text()
    no_number = VideoResult([*film[:-1], film[-1].replace(time=float("nan"))])
    with pytest.raises(ValueError, match="not JSON compliant"):
        no_number.save(file)
    assert file.read_text() == before and [path.name for path in tmp_path.iterdir()] == ["film.json"]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("format", "coco", "field 'format'"),
        ("version", 2, "field 'version' is 2, this omgseg reads 1"),
        ("kind", "video", r"field 'kind' is 'video', not 'image'; use VideoResult.load"),
        ("task", "counting", "field 'task' is 'counting'"),
        ("size", [48, 0], r"field 'size' is \[48, 0\]"),
        ("size", [48, 65], r"field 'masks'\[0\]: the run lengths are not those of a mask of 48 x 65"),
        ("labels", [0, 1, 2], r"labels: shape \(3,\)"),
        ("labels", [0, 1, 2, 0.5], "field 'labels' holds a value that is not int"),
        ("labels", [0, 1, 2, 9], "labels: .* vocabulary of 4 classes"),
        ("scores", None, "field 'scores' is NoneType, not list"),
        ("scores", [0.1, 0.2, True, 0.4], "field 'scores'"),
        ("ids", [1, 2, 3, 3], "ids: "),
        ("masks", ["x", "y", "z", "0"], r"field 'masks'\[0\]"),
        ("vocabulary", {"words": []}, "field 'vocabulary'"),
        ("vocabulary", {"categories": [3]}, "field 'vocabulary'"),
        ("name", 7, "field 'name' is int, not str"),
        ("time", "now", "field 'time' is str, not int or float or null"),
        ("frame_index", 1.5, "field 'frame_index'"),
        ("frame_index", True, "field 'frame_index' is bool, not int"),
        ("ids", [1, 2, 3, 2**70], "field 'ids' holds a number of 71 bits"),
        ("labels", [0, 1, 2, -(2**70)], "field 'labels' holds a number of 71 bits"),
        ("scores", [0.1, 0.2, 2**70, 0.4], "field 'scores' holds a number of 71 bits"),
        ("time", 10**400, "field 'time' holds a number"),
    ],
)
def test_a_wrong_field_is_named(panoptic, tmp_path, field, value, message):
    file = panoptic().save(tmp_path / "street.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), field: value}))
    with pytest.raises(ValueError, match=rf"street\.json.*{message}"):
        SegmentationResult.load(file)


@pytest.mark.parametrize("field", ["task", "labels", "masks", "vocabulary", "path", "ids"])
def test_a_missing_field_is_named(panoptic, tmp_path, field):
    file = panoptic().save(tmp_path / "street.json")
    content = json.loads(file.read_text())
    del content[field]
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"street\.json: field '{field}' is missing"):
        SegmentationResult.load(file)


def test_a_wrong_frame_is_named(film, tmp_path):
    file = film.save(tmp_path / "film.json")
    content = json.loads(file.read_text())
    content["frames"][3]["masks"][1] = "0"
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"film\.json: frames\[3\]: field 'masks'\[1\]: the run lengths"):
        VideoResult.load(file)
    content["frames"][3] = "frame"
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"film\.json: frames\[3\]: the frame is not an object"):
        VideoResult.load(file)


def test_a_broken_or_missing_file_is_named(panoptic, tmp_path):
    file = panoptic().save(tmp_path / "street.json")
    file.write_text(file.read_text()[:-9])
    with pytest.raises(ValueError, match=r"street\.json is not complete JSON"):
        SegmentationResult.load(file)
    file.write_text("[]")
    with pytest.raises(ValueError, match=r"street\.json is not a result"):
        SegmentationResult.load(file)
    with pytest.raises(FileNotFoundError, match=r"gone\.json not found"):
        VideoResult.load(tmp_path / "gone.json")


def test_other_endings_are_refused(panoptic, film, tmp_path):
    with pytest.raises(ValueError, match=r"saved with the suffix \.png, \.jpg, \.jpeg, \.json, not '\.bmp'"):
        panoptic().save(tmp_path / "a.bmp")
    with pytest.raises(
        ValueError, match=r"saved with the suffix \.mp4, \.gif, \.json or as a folder, not '\.avi'"
    ):
        film.save(tmp_path / "a.avi")
    with pytest.raises(ValueError, match="has no frames to write"):
        VideoResult([]).save(tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())


def test_deep_nesting_is_refused(panoptic, tmp_path):
    file = tmp_path / "deep.json"
    file.write_text('{"format": ' + "[" * 200_000 + "]" * 200_000 + "}")
    with pytest.raises(ValueError, match=r"deep\.json is not complete JSON .*nested too deep"):
        SegmentationResult.load(file)
