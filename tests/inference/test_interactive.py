"""Clicks and boxes on an image that is encoded once."""

import tracemalloc
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from PIL import Image

from omgseg.inference import InteractivePredictor, OMGSegInferencer, UnsupportedRequest, read_image
from omgseg.protocols import Abilities, MaskSet, Prompts
from omgseg.structures import NO_CLASS, Task
from omgseg.structures.run_lengths import encode_masks
from tests.fakes import ClickOnlyFake, ExemplarFake, FakeSegmenter, ImageOnlyFake, picture

SCENE = picture(90, 140, ("red", 10, 10, 50, 60), ("blue", 20, 80, 70, 130), ("green", 80, 0, 90, 140))
RED, BLUE, NOTHING = (20, 20), (100, 40), (70, 5)


@pytest.fixture
def photo(tmp_path):
    file = tmp_path / "photo.png"
    Image.fromarray(SCENE).save(file)
    return file


@pytest.fixture
def model() -> FakeSegmenter:
    return FakeSegmenter()


@pytest.fixture
def predictor(model, photo) -> InteractivePredictor:
    predictor = InteractivePredictor(model)
    predictor.set_image(photo)
    return predictor


def region(colour: int) -> np.ndarray:
    """Where a channel of the scene is bright."""
    return SCENE[..., colour] > 100


def test_an_image_is_encoded_once(predictor, model, photo):
    first = predictor.predict(points=[RED])
    predictor.predict(boxes=(5, 5, 80, 70))
    predictor.predict_many(boxes=[(5, 5, 80, 70)])
    predictor.segment_everything(points_per_side=2)
    assert predictor.predict(points=[RED]) == first
    assert [name for name, _ in model.calls].count("encode_image") == 1
    predictor.set_image(photo)
    assert [name for name, _ in model.calls].count("encode_image") == 2


def test_results_follow_the_prompts(predictor, photo):
    result = predictor.predict_many(points=np.array([RED, NOTHING, BLUE]))
    assert result.task is Task.INTERACTIVE and result.size == (90, 140)
    assert np.array_equal(result.masks, [region(0), np.zeros((90, 140)), region(2)])
    assert result.labels.tolist() == [NO_CLASS] * 3 and result.scores[1] == 0
    assert result.path == photo and result.image.shape == (90, 140, 3)
    assert len(predictor.predict_many(points=RED)) == 1
    assert len(predictor.predict(points=[RED, BLUE])) == 1
    boxes = predictor.predict_many(boxes=[(0, 0, 140, 90), (5, 5, 70, 60)])
    assert boxes.areas.tolist() == [2000 + 2500 + 1400, 2000]
    assert predictor.image_size == (140, 90) and np.array_equal(predictor.image, read_image(photo))


def test_another_image_takes_the_place_of_the_first(predictor):
    predictor.predict(points=[RED])
    predictor.set_image(np.ascontiguousarray(SCENE[:, ::-1]))
    assert np.array_equal(predictor.predict(points=[(139 - RED[0], RED[1])]).masks[0], region(0)[:, ::-1])
    assert predictor.predict(points=[RED]).path is None


def test_no_image_stays_after_one_that_cannot_be_set(predictor, model, photo):
    with pytest.raises(FileNotFoundError):
        predictor.set_image(photo.with_name("missing.png"))
    assert predictor.image is None
    with pytest.raises(RuntimeError, match="call set_image first"):
        predictor.predict(points=[RED])
    predictor.set_image(photo)

    class Exhausted(FakeSegmenter):
        def encode_image(self, image):
            raise MemoryError

    predictor.segmenter = Exhausted()
    with pytest.raises(MemoryError):
        predictor.set_image(photo)
    with pytest.raises(RuntimeError, match="call set_image first"):
        predictor.segment_everything()


@dataclass
class Told(ClickOnlyFake):
    """Answers each prompt with the red region, and remembers what it was told."""

    kinds: tuple[str, ...] = ("points", "labels", "boxes", "masks")
    prompts: list[Prompts] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.abilities = Abilities(frozenset({Task.INTERACTIVE}), frozenset(self.kinds))

    def segment_prompts(self, state, prompts):
        self.prompts.append(prompts)
        return MaskSet(encode_masks([region(0)] * len(prompts)), np.ones(len(prompts)), len(self.prompts))

    def last(self) -> Prompts:
        return self.prompts[-1]


def told(*kinds: str) -> tuple[Told, InteractivePredictor]:
    model = Told(kinds) if kinds else Told()
    predictor = InteractivePredictor(model)
    predictor.set_image(SCENE)
    return model, predictor


def test_a_model_gets_all_clicks_on_an_object():
    model, predictor = told()
    first = predictor.predict(points=[(1, 2)])
    assert model.last().points.tolist() == [[[1, 2]]] and model.last().points.dtype == np.float32
    assert model.last().labels is None and model.last().masks is None and model.last().carry is None
    second = predictor.predict(points=[(3, 4), (5, 6)], labels=[0, 1], mask=first.masks[0])
    assert model.last().points.tolist() == [[[1, 2], [3, 4], [5, 6]]]
    assert model.last().labels.tolist() == [[1, 0, 1]] and model.last().labels.dtype == np.int8
    assert np.array_equal(model.last().masks, first.masks) and model.last().carry == 1
    predictor.predict_many(points=[(9, 9)])  # another question in between
    predictor.predict(points=(7, 8), mask=second.masks[0])
    assert model.last().points.tolist() == [[[1, 2], [3, 4], [5, 6], [7, 8]]] and model.last().carry == 2
    predictor.predict(points=[(1, 2)])
    assert model.last().points.tolist() == [[[1, 2]]] and model.last().carry is None


def test_another_mask_begins_anew():
    model, predictor = told()
    predictor.predict(points=[(1, 2)])
    drawn = np.zeros((90, 140), bool)
    drawn[3:9, 4:20] = True
    predictor.predict(points=[(5, 5)], labels=[0], mask=drawn)
    assert model.last().points.tolist() == [[[5, 5]]] and model.last().labels.tolist() == [[0]]
    assert np.array_equal(model.last().masks[0], drawn) and model.last().carry is None
    shown = predictor.predict(points=[(1, 2)])
    predictor.set_image(SCENE)
    predictor.predict(points=[(5, 5)], mask=shown.masks[0])
    assert model.last().points.tolist() == [[[5, 5]]] and model.last().carry is None, "of the image before"


def test_a_box_and_clicks():
    model, predictor = told()
    found = predictor.predict(boxes=(1, 2, 30, 40), points=[(5, 6)], labels=[0])
    assert model.last().boxes.tolist() == [[1, 2, 30, 40]] and model.last().points.tolist() == [[[5, 6]]]
    predictor.predict(points=[(7, 8)], mask=found.masks[0])
    assert model.last().boxes is None and model.last().points.tolist() == [[[5, 6], [7, 8]]]
    predictor.predict(boxes=[(1, 2, 30, 40)])
    assert model.last().points is None and model.last().labels is None


def test_a_model_that_takes_no_masks_gets_what_was_said_before():
    model, predictor = told("points", "labels", "boxes")
    found = predictor.predict(boxes=(1, 2, 30, 40))
    predictor.predict(points=[(7, 8)], labels=[0], mask=found.masks[0])
    assert model.last().masks is None and model.last().boxes.tolist() == [[1, 2, 30, 40]]
    assert model.last().carry is None
    with pytest.raises(
        UnsupportedRequest, match="does not offer prompts by masks; it offers .* labels, boxes"
    ):
        predictor.predict(points=[(7, 8)], mask=np.ones((90, 140)))


def test_prompts_that_a_model_does_not_take():
    _, predictor = told("points")
    assert len(predictor.predict(points=[(1, 1), (2, 2)], labels=[1, 1])) == 1
    with pytest.raises(
        UnsupportedRequest, match=r"does not offer negative clicks \(labels\); it offers .* by points"
    ):
        predictor.predict(points=[(1, 1), (2, 2)], labels=[1, 0])
    with pytest.raises(UnsupportedRequest, match="does not offer prompts by boxes"):
        predictor.predict(boxes=(1, 1, 9, 9))
    with pytest.raises(UnsupportedRequest, match="does not offer prompts by boxes"):
        predictor.predict_many(boxes=[(1, 1, 9, 9)])
    with pytest.raises(UnsupportedRequest, match="does not offer the task 'everything'"):
        predictor.segment_everything()
    with pytest.raises(UnsupportedRequest, match="does not offer names for masks"):
        predictor.vocabulary = ["red"]
    with pytest.raises(UnsupportedRequest, match="does not offer clicks and boxes"):
        InteractivePredictor(ImageOnlyFake())


def test_clicks_one_by_one_equal_clicks_at_once(predictor):
    first = predictor.predict(points=[RED])
    added = predictor.predict(points=BLUE, mask=first.masks[0])
    taken = predictor.predict(points=[RED], labels=[0], mask=added.masks[0])
    assert np.array_equal(added.masks[0], region(0) | region(2)) and np.array_equal(taken.masks[0], region(2))
    assert predictor.predict(points=[RED, BLUE, RED], labels=[1, 1, 0]) == taken


def test_a_drawn_mask_is_corrected(predictor):
    drawn = region(0) | region(1)
    kept = predictor.predict(points=[RED], labels=[0], mask=drawn)
    assert np.array_equal(kept.masks[0], drawn & ~region(0))


def test_masks_get_names_when_there_are_words(predictor):
    predictor.vocabulary = ["blue", "red"]
    found = predictor.predict_many(points=[RED, BLUE, NOTHING])
    assert found.names == ["red", "blue", ""] and found.vocabulary.names == ["blue", "red"]
    assert set(predictor.segment_everything().names) == {"red", "blue"}
    predictor.vocabulary = None
    assert predictor.predict(points=[RED]).labels.tolist() == [NO_CLASS]


TWINS = picture(
    90,
    140,
    ("red", 10, 10, 50, 60),
    ("red", 60, 80, 80, 130),
    ("blue", 20, 80, 50, 130),
    ("green", 80, 0, 90, 50),
)
AROUND_RED, AROUND_BLUE, AROUND_ALL = (8, 8, 62, 52), (75, 15, 135, 55), (0, 0, 140, 90)


@pytest.mark.parametrize("kind", [FakeSegmenter, ExemplarFake])
def test_all_that_is_like_exemplars(kind):
    model = kind()
    predictor = InteractivePredictor(model)
    predictor.set_image(TWINS)
    found = predictor.find_alike(AROUND_RED)
    assert found.task is Task.INTERACTIVE and found.areas.tolist() == [40 * 50, 20 * 50]
    assert found.names == ["", ""] and found.image is not None
    some = predictor.find_alike([AROUND_ALL, AROUND_RED], labels=[1, 0])
    assert some.areas.tolist() == [10 * 50, 30 * 50] and (np.diff(some.scores) <= 0).all()
    named = predictor.find_alike([AROUND_BLUE], word="red")
    assert named.names == ["red"] * 3 and named.vocabulary.names == ["red"]
    assert predictor.find_alike([AROUND_RED], labels=[0], word="blue").areas.tolist() == [30 * 50]
    assert len(predictor.find_alike([AROUND_BLUE], min_score=0.7)) == 0
    assert [name for name, _ in model.calls].count("encode_image") == 1


def test_what_is_alike_gets_names_where_a_model_names_masks():
    predictor = InteractivePredictor(FakeSegmenter(), ["blue", "red"])
    predictor.set_image(TWINS)
    assert predictor.find_alike([AROUND_RED, AROUND_BLUE]).names == ["red", "red", "blue"]
    assert predictor.find_alike([AROUND_RED], word="box").names == ["box"] * 2


def test_a_model_of_exemplars_takes_no_clicks():
    predictor = InteractivePredictor(ExemplarFake())
    predictor.set_image(TWINS)
    for call in (
        lambda: predictor.predict(points=[RED]),
        lambda: predictor.predict_many(points=[RED]),
        lambda: predictor.predict(points=[RED], labels=[0], mask=region(0)),
    ):
        with pytest.raises(
            UnsupportedRequest, match="prompts by points; it offers .* prompts by exemplars and"
        ):
            call()
    with pytest.raises(UnsupportedRequest, match="does not offer prompts by boxes"):
        predictor.predict(boxes=AROUND_RED)
    clicks = InteractivePredictor(ClickOnlyFake())
    with pytest.raises(
        UnsupportedRequest, match="prompts by exemplars; it offers .* by points, labels, boxes"
    ):
        clicks.find_alike(AROUND_RED)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (dict(exemplars=[]), "no exemplars are given"),
        (dict(exemplars=[(1, 2)]), "exemplars must be N rows of 4 numbers"),
        (dict(exemplars=[(0, 0, 141, 20)]), r"box \(0, 0, 141, 20\) lies outside of the image of 140x90"),
        (dict(exemplars=[(30, 10, 30, 40)]), "x1 < x2"),
        (dict(exemplars=AROUND_RED, labels=[0]), "need a positive one .label 1., or a word"),
        (dict(exemplars=AROUND_RED, labels=[1, 0]), "one number per exemplar"),
        (dict(exemplars=AROUND_RED, min_score=2), "from 0 to 1"),
        (dict(exemplars=AROUND_RED, word=" "), "empty name"),
    ],
)
def test_wrong_exemplars(predictor, call, message):
    with pytest.raises(ValueError, match=message):
        predictor.find_alike(**call)


def test_exemplars_take_a_word_that_the_model_has():
    class Fixed(FakeSegmenter):
        abilities = replace(FakeSegmenter.abilities, open_vocabulary=False)

    predictor = InteractivePredictor(Fixed())
    predictor.set_image(TWINS)
    assert predictor.find_alike(AROUND_RED, word="red").names == ["red"] * 2
    with pytest.raises(UnsupportedRequest, match="does not offer the word 'taxi'"):
        predictor.find_alike(AROUND_RED, word="taxi")


def test_everything(predictor):
    found = predictor.segment_everything(points_per_side=4, min_score=0.1)
    assert len(found) == 3 and found.task is Task.EVERYTHING and (np.diff(found.scores) <= 0).all()
    assert len(predictor.segment_everything(min_score=0.85)) == 1
    with pytest.raises(ValueError, match="points_per_side must be at least 1, not 0"):
        predictor.segment_everything(points_per_side=0)
    for limits in (dict(min_score=float("nan")), dict(min_score=2), dict(max_overlap=-1)):
        with pytest.raises(ValueError, match="must be a number from 0 to 1"):
            predictor.segment_everything(**limits)


def test_many_masks_of_a_large_image_stay_small():
    """All of them as pixels were 400 MB."""

    class Many(ClickOnlyFake):
        def propose(self, state, points_per_side, min_score, max_overlap):
            return MaskSet(encode_masks([np.eye(2000)]) * 100, np.ones(100))

        def name_masks(self, state, rles, words):
            return np.tile(np.float32([0.2, 0.8]), (len(rles), 1))

    model = Many()
    model.abilities = Abilities(frozenset({Task.EVERYTHING}), open_vocabulary=True)
    predictor = InteractivePredictor(model, ["cat", "dog"])
    predictor.set_image(np.zeros((2000, 2000, 3), np.uint8))
    tracemalloc.start()
    try:
        found = predictor.segment_everything()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.names == ["dog"] * 100 and peak < 100e6


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (dict(), "give points="),
        (dict(mask=np.zeros((90, 140))), "give points="),
        (dict(boxes=(0, 0, 2, 2), labels=[1]), "labels belong to points"),
        (dict(boxes=(0, 0, 2, 2), mask=np.zeros((90, 140))), "a box or a mask"),
        (dict(boxes=[(0, 0, 2, 2), (1, 1, 3, 3)]), "call predict_many"),
        (dict(points=[]), "no points"),
        (dict(points=[(1, 1)], labels=[0]), "give a positive point"),
        (dict(points=[(1, 1)], labels=[2]), "one number per point"),
        (dict(points=[(1, 1)], labels=[1, 0]), "one number per point"),
        (
            dict(points=[(1, 1)], mask=np.zeros((9, 14))),
            r"the mask must have the shape \(H, W\) = \(90, 140\)",
        ),
        (dict(points=[(1, 2, 3)]), "rows of 2 numbers"),
        (dict(points=["a"]), "rows of 2 numbers"),
        (dict(points=5), "rows of 2 numbers"),
        (dict(points=[(10, 10), (-1, 5)]), r"point \(-1, 5\) lies outside of the image of 140x90"),
        (dict(points=[(10, 90)]), "outside"),
        (dict(points=[(float("nan"), 1)]), "outside"),
        (dict(boxes=[(0, 0, 141, 20)]), r"box \(0, 0, 141, 20\) lies outside"),
        (dict(boxes=[(30, 10, 20, 40)]), "x1 < x2"),
    ],
)
def test_wrong_prompts(predictor, prompts, message):
    with pytest.raises(ValueError, match=message):
        predictor.predict(**prompts)


@pytest.mark.parametrize("prompts", [dict(), dict(points=[(1, 1)], boxes=[(0, 0, 2, 2)])])
def test_many_prompts_are_of_one_kind(predictor, prompts):
    with pytest.raises(ValueError, match="either points"):
        predictor.predict_many(**prompts)


def test_prompts_before_an_image(model):
    fresh = OMGSegInferencer(model).interactive
    for call in (lambda: fresh.predict(points=[(1, 1)]), fresh.segment_everything, lambda: fresh.image_size):
        with pytest.raises(RuntimeError, match="call set_image first"):
            call()
