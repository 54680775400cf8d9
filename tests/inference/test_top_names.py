"""The five best names of masks: in results, files and the command line."""

import numpy as np
import pytest

from omgseg.inference import InteractivePredictor, OMGSegInferencer, SegmentationResult, UnsupportedRequest
from omgseg.inference.interactive import best_of, prepare_names
from omgseg.structures import NO_CLASS
from tests.fakes import ClickOnlyFake, FakeSegmenter, picture

SCENE = picture(90, 140, ("red", 10, 10, 50, 60), ("blue", 20, 80, 70, 130))
RED, BLUE, NOTHING = (20, 20), (100, 40), (70, 5)
WORDS = ["green", "blue", "red", "white", "black", "yellow"]


@pytest.fixture
def named():
    predictor = InteractivePredictor(FakeSegmenter(), WORDS)
    predictor.set_image(SCENE)
    return predictor.predict_many(points=[RED, NOTHING, BLUE])


def test_a_mask_has_its_best_five_names(named):
    red, nothing, blue = named.top_names
    assert len(red) == len(blue) == 5 and nothing == []
    assert red[0][0] == "red" and blue[0][0] == "blue"
    assert red[0][1] == pytest.approx(0.9 + 0.1 / 6) and red[1][1] == pytest.approx(0.1 / 6)
    assert named.names == ["red", "", "blue"] and named.labels[1] == NO_CLASS


def test_a_few_words_are_all_names():
    predictor = InteractivePredictor(FakeSegmenter(), ["blue", "red"])
    predictor.set_image(SCENE)
    result = predictor.predict(points=[RED])
    assert [name for name, _ in result.top_names[0]] == ["red", "blue"]
    predictor.vocabulary = None
    assert predictor.predict(points=[RED]).top_names == [[]]


def test_they_stay_with_their_masks(named, tmp_path):
    assert named.select([2]).top_names == [named.top_names[2]]
    assert SegmentationResult.load(named.save(tmp_path / "named.json")) == named
    assert OMGSegInferencer(FakeSegmenter())(SCENE, "instance", ["red"]).top_names == [[]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(top_labels=[[0], [0]]), "top_labels: shape"),
        (dict(top_labels=np.full((3, 5), 6)), "top_labels: not all are in a vocabulary of 6"),
        (dict(top_scores=np.full((3, 5), np.nan)), "scores: not all are finite"),
    ],
)
def test_names_that_do_not_fit_are_refused(named, changes, message):
    with pytest.raises(ValueError, match=message):
        named.replace(**changes)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"top_labels":[[', '"top_labels":[[0,', "'top_labels' holds lists of different lengths"),
        ('"top_scores"', '"top_numbers"', "'top_scores' is missing"),
        ('"top_labels":[[', '"top_labels":[["red",', "'top_labels' holds a value that is not int"),
    ],
)
def test_a_damaged_file_is_named(named, tmp_path, old, new, message):
    file = named.save(tmp_path / "named.json")
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(ValueError, match=message):
        SegmentationResult.load(file)


def test_the_best_come_first_and_of_equals_the_first():
    rng = np.random.default_rng(0)
    probabilities = rng.random((7, 1000), np.float32)
    labels, scores = best_of(probabilities, 5)
    assert np.array_equal(labels, np.argsort(-probabilities, axis=1, kind="stable")[:, :5])
    assert np.array_equal(scores, np.take_along_axis(probabilities, labels, 1))
    assert best_of(np.array([[0.2, 0.5, 0.5]]), 5)[0].tolist() == [[1, 2, 0]]


def test_names_are_prepared_by_a_blank_picture():
    model = FakeSegmenter()
    prepare_names(model, ["red"])
    assert "name_masks" in [name for name, _ in model.calls]
    with pytest.raises(UnsupportedRequest, match="names for masks"):
        prepare_names(ClickOnlyFake(), ["red"])
