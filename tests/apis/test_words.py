"""What users write as vocabulary."""

import pytest

from omgseg.apis import to_vocabulary
from omgseg.structures import Category, Vocabulary


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
    ("words", "message"), [([], "no words"), (["dog", "dog"], "occurs twice"), (["dog", " "], "empty name")]
)
def test_bad_lists(words, message):
    with pytest.raises(ValueError, match=message):
        to_vocabulary(words)
