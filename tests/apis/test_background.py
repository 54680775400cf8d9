"""Words that compete for the scores, and are not found."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from omgseg.apis import SegmentationResult
from omgseg.apis.background import GENERIC_WORDS, ask, background_words, without_words_of
from omgseg.structures import Category, Vocabulary

TRAINED = Vocabulary(
    [Category("car", id=None), Category("dog"), Category("yellow taxi"), Category("sky", is_thing=False)]
)


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


def test_words_of_the_training_and_generic_ones_compete():
    words = background_words(Vocabulary.from_names(["red car", "plants"]), TRAINED)
    assert names(words)[:3] == ["dog", "yellow taxi", "sky"]
    assert set(GENERIC_WORDS) - set(names(words)) == {"plants"}
    assert len(background_words(Vocabulary.from_names(["zebu"]), None)) > 133  # COCO's


def test_a_list_of_words_is_a_selection_and_a_label_space_is_complete():
    assert len(ask(["cat"], None, None, TRAINED).all) == 1 + len(TRAINED) + len(GENERIC_WORDS) - 1
    assert len(ask(Vocabulary.from_names(["cat"]), None, None, TRAINED).all) > 10
    assert len(ask(None, None, TRAINED, TRAINED).all) == len(TRAINED)
    assert len(ask("coco", None, None, TRAINED).all) == 133
    assert ask(["cat"], [], None, TRAINED).all.names == ["cat"]
    assert ask(["cat"], ["dog", "cat"], None, TRAINED).all.names == ["cat", "dog"]
    assert ask("coco", {"stuff": ["lava"]}, None, None).all.names[-1] == "lava"
    with pytest.raises(ValueError, match="no words"):
        ask(None, None, None, None)


def test_answer_has_the_asked_words_alone():
    words = ask({"things": ["cat"], "stuff": ["sea"]}, ["dog"], None, None)
    assert words.all.names == ["cat", "dog", "sea"]
    rles = [coco_mask.encode(np.asfortranarray(np.eye(4, dtype=np.uint8) * (i + 1 > 0))) for i in range(4)]
    result = SegmentationResult(
        "instance", (4, 4), rles, [2, 1, 0, -1], [0.9, 0.8, 0.7, 0.6], vocabulary=words.all
    )
    answer = words.answer(result)
    assert answer.vocabulary.names == ["cat", "sea"] and answer.names == ["sea", "cat"]
    assert answer.scores.tolist() == pytest.approx([0.9, 0.7]) and answer.ids.tolist() == [1, 3]


@pytest.mark.parametrize("task", ["instance", "panoptic", "semantic"])
def test_background_rejects_what_is_not_asked_for(seg, photo, task):
    """The model's four words: alone, one takes what is the others'; beside them, what it has among them."""
    everything = dict(min_score=0, max_overlap=1)
    among, taken = seg(photo, task, **everything), 0
    for word in ("dog", "truck", "sky"):
        kind = "stuff" if word == "sky" else "things"
        alone = seg(photo, task, {kind: [word]}, background=[], **everything)
        beside = seg(photo, task, {kind: [word]}, background=seg.vocabulary, **everything)
        own = among.select([name == word for name in among.names])
        assert beside.vocabulary.names == [word] and set(beside.names) <= {word}
        assert np.array_equal(beside.masks, own.masks)
        # scores are comparable between calls
        assert beside.scores.tolist() == pytest.approx(own.scores.tolist(), abs=1e-5)
        taken += alone.areas.sum() - beside.areas.sum()
    assert taken > 0
