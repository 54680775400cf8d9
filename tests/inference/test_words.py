"""What users write as vocabulary, and what models choose from."""

import numpy as np
import pytest

from omgseg.inference import OMGSegInferencer, SegmentationResult, UnsupportedRequest, to_vocabulary
from omgseg.inference.words import (
    GENERIC_WORDS,
    MOST_PANOPTIC_WORDS,
    WordChoice,
    background_words,
    choose_words,
    without_words_of,
)
from omgseg.protocols import Abilities
from omgseg.structures import Category, Task, Vocabulary
from omgseg.structures.run_lengths import encode_masks
from tests.fakes import WORDS, ClickOnlyFake, ExemplarFake, FakeSegmenter, ImageOnlyFake, picture

TRAINED = Vocabulary(
    [Category("car", id=None), Category("dog"), Category("yellow taxi"), Category("sky", is_thing=False)]
)


def test_words_are_things_and_stuff_is_apart():
    vocabulary = to_vocabulary(["dog", "fire_engine"], stuff=["sky"])
    assert vocabulary.names == ["dog", "fire_engine", "sky"]
    assert vocabulary.thing_mask.tolist() == [True, True, False]


def test_stuff_alone_and_nothing():
    assert to_vocabulary(stuff=["sky"]).num_stuff == 1
    assert to_vocabulary() is None


def test_vocabulary_file_and_shipped_name(tmp_path):
    vocabulary = Vocabulary([Category("dog", id=7), Category("grass", False, ("lawn",))])
    vocabulary.save(tmp_path / "words.json")
    assert to_vocabulary(vocabulary) == vocabulary
    assert to_vocabulary(tmp_path / "words.json") == vocabulary
    assert to_vocabulary(str(tmp_path / "words.json"), ["sky"]).names == ["dog", "grass", "sky"]
    assert len(to_vocabulary("coco_panoptic")) == 133


def test_things_and_stuff():
    vocabulary = to_vocabulary({"stuff": ["sky"], "things": ["dog"]})
    assert vocabulary.names == ["dog", "sky"] and vocabulary.num_things == 1
    assert to_vocabulary({"things": ["dog"]}).names == ["dog"]
    with pytest.raises(ValueError, match="has the key 'thing'"):
        to_vocabulary({"thing": ["dog"]})
    with pytest.raises(TypeError, match=r"stuff are a list of words, e\.g\. \['sky'\]"):
        to_vocabulary({"stuff": "sky"})


@pytest.mark.parametrize(
    ("name", "size"),
    [("coco", 133), ("COCO", 133), ("lvis", 1203), ("ade20k", 150), ("youtube_vis_2019", 40)],
)
def test_known_label_spaces(name, size):
    assert len(to_vocabulary(name)) == size


def test_near_name_is_suggested():
    with pytest.raises(FileNotFoundError, match=r"did you mean 'cityscapes'\?"):
        to_vocabulary("cityscape")


def test_single_word_is_not_a_name():
    with pytest.raises(
        FileNotFoundError, match=r"'dog' is neither.*coco_panoptic.*words are given as a list"
    ):
        to_vocabulary("dog")


def test_single_string_of_stuff():
    with pytest.raises(TypeError, match=r"stuff=\['sky'\]"):
        to_vocabulary(["dog"], stuff="sky")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no words"),
        (["dog", "dog"], r"category 'dog' occurs twice in the vocabulary"),
        (["dog", "Dog"], r"category 'Dog' occurs twice in the vocabulary"),
        ({"stuff": ["sea_water", "Sea water"]}, "occurs twice"),
        (["dog", " "], "empty name"),
    ],
)
def test_bad_lists(words, message):
    with pytest.raises(ValueError, match=message):
        to_vocabulary(words)


@pytest.mark.parametrize("words", [[None], ["dog", 3], {"things": [None]}, {"things": None}, 5])
def test_words_that_are_no_texts(words):
    with pytest.raises(TypeError, match=r"a word must be a text|are a list of words|is a list of words"):
        to_vocabulary(words)


def open_model(trained: Vocabulary | None) -> FakeSegmenter:
    model = FakeSegmenter()
    model.abilities = Abilities(frozenset(Task), open_vocabulary=True, vocabulary=trained)
    return model


def choose(words, background=None, trained=TRAINED, task=Task.INSTANCE) -> WordChoice:
    return choose_words(open_model(trained), words, background, None, task)


def names(categories) -> list[str]:
    return [category.name for category in categories]


def test_words_that_mean_what_is_asked_for_do_not_compete():
    others = [
        Category("car"),
        Category("sports car"),
        Category("cart"),
        Category("vehicle", synonyms=("Yellow_car",)),
        Category("yellow"),
        Category("yellow bus", id=5, color=(1, 2, 3)),
        Category("Yellow Bus"),
    ]
    chosen = without_words_of(Vocabulary.from_names(["yellow car"]), others)
    assert chosen == [Category("sports car"), Category("cart"), Category("yellow bus")]


def test_nothing_competes_where_each_word_stands_for_itself():
    assert choose_words(ExemplarFake(), ["red"], None, None, Task.INSTANCE).all.names == ["red"]
    assert choose_words(ExemplarFake(), ["red"], ["blue"], None, Task.INSTANCE).all.names == ["red", "blue"]


def test_words_of_the_training_and_generic_ones_compete():
    words = background_words(Vocabulary.from_names(["red car", "plants"]), TRAINED)
    assert names(words)[:3] == ["dog", "yellow taxi", "sky"]
    assert set(GENERIC_WORDS) - set(names(words)) == {"plants"}
    assert len(background_words(Vocabulary.from_names(["zebu"]), None)) > 133  # COCO's


def test_a_list_of_words_is_a_selection_and_a_label_space_is_complete():
    assert len(choose(["cat"]).all) == 1 + len(TRAINED) + len(GENERIC_WORDS) - 1
    assert len(choose(None).all) == len(TRAINED)
    assert len(choose("coco").all) == 133
    assert choose(["cat"], []).all.names == ["cat"]
    assert choose(["cat"], ["dog", "cat"]).all.names == ["cat", "dog"]
    assert choose("coco", {"stuff": ["lava"]}, None).all.names[-1] == "lava"
    with pytest.raises(ValueError, match="no words"):
        choose(None, trained=None)


def test_the_answer_has_the_asked_words_alone():
    words = choose({"things": ["cat"], "stuff": ["sea"]}, ["dog"])
    assert words.all.names == ["cat", "dog", "sea"]
    rles = encode_masks([np.eye(4)] * 4)
    result = SegmentationResult(
        "instance", (4, 4), rles, [2, 1, 0, -1], [0.9, 0.8, 0.7, 0.6], vocabulary=words.all
    )
    answer = words.restrict(result)
    assert answer.vocabulary.names == ["cat", "sea"] and answer.names == ["sea", "cat"]
    assert answer.scores.tolist() == pytest.approx([0.9, 0.7]) and answer.ids.tolist() == [1, 3]


def test_panoptic_takes_as_many_words_as_its_encoding_holds():
    many = [f"word {number}" for number in range(MOST_PANOPTIC_WORDS)]
    kept = choose(many, task=Task.PANOPTIC)
    assert len(kept.asked) == len(kept.all) == MOST_PANOPTIC_WORDS, "words that nobody asked for give way"
    assert len(choose(many[:-2], task=Task.PANOPTIC).all) == MOST_PANOPTIC_WORDS
    assert len(choose(many, task=Task.INSTANCE).all) > MOST_PANOPTIC_WORDS
    with pytest.raises(
        ValueError, match="takes up to 999 words, the vocabulary has 1203; choose task='instance'"
    ):
        choose("lvis", task=Task.PANOPTIC)
    assert len(choose("lvis", task=Task.SEMANTIC).all) == 1203


def test_fixed_words_are_selected_and_all_compete():
    model = ImageOnlyFake()
    choice = choose_words(model, ["Blue", "white"], ["dog"], None, Task.SEMANTIC)
    assert choice.asked == Vocabulary([Category("blue"), Category("white", is_thing=False)])
    assert choice.all == WORDS
    assert choose_words(model, None, None, None, Task.SEMANTIC).all == WORDS
    image = picture(40, 40, ("red", 0, 0, 10, 10), ("blue", 20, 20, 40, 40))
    found = OMGSegInferencer(model)(image, "instance", ["blue"])
    assert found.names == ["blue"] and found.vocabulary.names == ["blue"]
    assert OMGSegInferencer(model, vocabulary=["blue"])(image, "instance").names == ["blue"]


def test_other_words_than_the_fixed_ones_are_refused_with_the_nearest():
    message = (
        r"does not offer the word 'bleu' \(its nearest words: blue\); it offers the tasks .* its own 5 words"
    )
    for call in (
        lambda: OMGSegInferencer(ImageOnlyFake(), vocabulary=["bleu"]),
        lambda: OMGSegInferencer(ImageOnlyFake())(np.zeros((9, 9, 3), np.uint8), vocabulary=["red", "bleu"]),
    ):
        with pytest.raises(UnsupportedRequest, match=message):
            call()
    with pytest.raises(UnsupportedRequest, match="the word 'dog'; it offers .* and no words$"):
        OMGSegInferencer(ClickOnlyFake(), vocabulary=["dog"])
