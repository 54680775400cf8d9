"""omgseg compare: several models on the same images."""

import json

import numpy as np
import pytest
from PIL import Image

from omgseg.inference import comparing
from omgseg.inference.comparing import Competitor, Question, answer, answer_apart, common_task
from tests.fakes import ImageOnlyFake, write_config


@pytest.fixture
def fakes(tmp_path):
    """``fakes(kind)``: the config file of a fake model."""

    def file(kind: str) -> str:
        folder = tmp_path / "models"
        folder.mkdir(exist_ok=True)
        return str(write_config(folder / f"{kind}.py", kind))

    return file


@pytest.fixture
def in_this_process(monkeypatch):
    """Starting a process takes seconds; the last test starts them."""
    monkeypatch.setattr(comparing, "answer_apart", answer)


@pytest.fixture
def compare(run, photos, tmp_path, fakes, in_this_process):
    """``compare("FakeSegmenter", ..., "--option")``: exit status, standard output and standard error."""

    def compare(*arguments: str) -> tuple[int, str, str]:
        models = [f"{fakes(one)},none" if one.endswith(("Fake", "Segmenter")) else one for one in arguments]
        return run("compare", *models, "--images", photos, "--out", tmp_path / "out", "--device", "cpu")

    return compare


def test_models_side_by_side(compare, photos, tmp_path):
    status, shown, errors = compare("FakeSegmenter", "ImageOnlyFake", "--background", "none")
    assert status == 0, errors
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        *("1.png", "10.png", "2.png"),
        *("compare.json", "compare.md"),
    ]
    picture = np.asarray(Image.open(out / "1.png"))
    assert picture.shape[1] > 3 * 96 and picture.shape[0] > 64, "three columns under a row of titles"
    columns = [picture[-64:, start : start + 96] for start in (0, 104, 208)]
    assert np.array_equal(columns[0], np.asarray(Image.open(photos / "1.png")))
    content = json.loads((out / "compare.json").read_text())
    assert (content["task"], content["images"]) == ("panoptic", 3)
    for model in content["models"]:
        assert model["seconds_per_image"] > 0 and model["peak_bytes"] > 1e7
        assert model["segments_per_image"] == 3 and model["note"] == ""
    assert "| model" in shown and "ImageOnlyFake.py,none" in shown
    assert (out / "compare.md").read_text().startswith("Task: panoptic, 3 images\n")


def test_files_stay_unless_they_may_be_replaced(compare, tmp_path):
    assert compare("ImageOnlyFake")[0] == 0
    status, _, errors = compare("ImageOnlyFake")
    assert status == 2 and "compare.md exists; give another --out, or --overwrite" in errors
    assert compare("ImageOnlyFake", "--overwrite")[0] == 0


def test_a_model_that_cannot_do_it_is_a_row_with_a_sentence(compare, tmp_path):
    status, _, errors = compare("FakeSegmenter", "ClickOnlyFake", "--task", "everything")
    assert status == 1
    assert "ClickOnlyFake.py,none: the model does not offer the task 'everything'; it offers" in errors
    first, second = json.loads((tmp_path / "out" / "compare.json").read_text())["models"]
    assert first["segments_per_image"] > 0 and second["segments_per_image"] is None and second["note"]
    assert "ClickOnlyFake.py,none: the model does not" in (tmp_path / "out" / "compare.md").read_text()


def test_images_that_cannot_be_read_are_left_out(compare, photos, tmp_path):
    (photos / "broken.png").write_bytes(b"no picture")
    status, _, errors = compare("ImageOnlyFake")
    assert status == 1 and "broken.png" in errors
    assert json.loads((tmp_path / "out" / "compare.json").read_text())["images"] == 3


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (["FakeSegmenter", "ClickOnlyFake"], "the models share no task: "),
        (["ImageOnlyFake", "ImageOnlyFake"], "a model is named twice"),
        (["omg-seg"], "'omg-seg' is neither a model nor a file or folder here"),
        (["FakeSegmenter", "--min-score", "2"], "--min-score 2 must be between 0 and 1"),
        (["CONFIG"], "FakeSegmenter.py,FILE, or "),
    ],
)
def test_mistakes_end_before_anything_starts(compare, fakes, tmp_path, models, message):
    status, _, errors = compare(*(fakes("FakeSegmenter") if one == "CONFIG" else one for one in models))
    assert status == 2 and message in errors and len(errors.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_no_image(run, fakes, tmp_path):
    (tmp_path / "empty").mkdir()
    for source in ("empty", "none"):
        arguments = ["--images", tmp_path / source, "--out", tmp_path / "out"]
        status, _, errors = run("compare", f"{fakes('FakeSegmenter')},none", *arguments)
        assert status == 2 and str(tmp_path / source) in errors


def test_seconds_are_those_of_the_images_alone(photos, fakes, monkeypatch):
    """The first image is predicted once before, and its time does not count."""
    calls = []
    clock = iter([0.0, 2.0, 10.0, 14.0, 20.0, 21.0])
    monkeypatch.setattr(comparing.time, "perf_counter", lambda: next(clock))
    predict = ImageOnlyFake.predict
    monkeypatch.setattr(
        ImageOnlyFake, "predict", lambda self, *asked: calls.append(1) or predict(self, *asked)
    )
    images = tuple(sorted(photos.rglob("*.png")))
    found = answer(Competitor("a", fakes("ImageOnlyFake"), None), Question(images, "semantic", device="cpu"))
    assert found.seconds_per_image == pytest.approx(7 / 3) and len(calls) == 4
    assert [result.path for result in found.results] == list(images)


def test_a_process_of_its_own(photos, fakes):
    question = Question((photos / "1.png",), "panoptic", device="cpu")
    competitor = Competitor("a", fakes("ImageOnlyFake"), None)
    apart, here = answer_apart(competitor, question), answer(competitor, question)
    assert apart.results == here.results and len(here.results[0]) == 3
    assert apart.peak_bytes > 1e7 and not apart.note
    assert common_task([competitor]) == "panoptic"


def test_a_process_that_is_killed_is_a_sentence(photos, monkeypatch):
    class Killed:
        def __init__(self, *settings):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def submit(self, *call):
            raise comparing.BrokenProcessPool

    monkeypatch.setattr(comparing, "ProcessPoolExecutor", Killed)
    found = answer_apart(Competitor("a", "none.py", None), Question((photos / "1.png",), "panoptic"))
    assert found.note == "its process was killed; is there enough memory?" and not found.results
