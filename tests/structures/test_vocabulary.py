import json

import pytest
import torch

from omgseg.structures import NO_CLASS, Category, Vocabulary, normalize_words


def test_normalize_words_splits_synonyms_and_folds_case():
    assert normalize_words("Wall_or_floor/Tile  stone") == ("wall", "floor", "tile stone")


def test_things_come_first_and_ids_map_to_labels():
    vocabulary = Vocabulary(
        [Category("sky", False, id=7), Category("cat", True, id=3), Category("dog", True, id=5)]
    )
    assert vocabulary.names == ["cat", "dog", "sky"]
    assert vocabulary.id_to_label == {3: 0, 5: 1, 7: 2}
    assert vocabulary.thing_mask.tolist() == [True, True, False]


def test_duplicate_ids_and_empty_names_are_refused():
    with pytest.raises(ValueError, match="occurs twice"):
        Vocabulary([Category("cat", id=1), Category("dog", id=1)])
    with pytest.raises(ValueError, match="empty name"):
        Category("_")


def test_merge_by_any_synonym_keeps_things_and_stuff_apart():
    first = Vocabulary([Category("person"), Category("grass", False)])
    second = Vocabulary(
        [Category("grass"), Category("human", synonyms=("Person",)), Category("lawn_or_grass", False)]
    )
    merged, (map_first, map_second) = Vocabulary.merge([first, second])
    assert merged.names == ["person", "grass", "grass"]
    assert [c.is_thing for c in merged] == [True, True, False]
    assert map_first.tolist() == [0, 2, NO_CLASS]
    assert map_second.tolist() == [1, 0, 2, NO_CLASS]
    assert merged[0].words == ("person", "human")
    assert merged[2].words == ("grass", "lawn")
    assert map_second[torch.tensor([2, -1, 0])].tolist() == [2, NO_CLASS, 1]


def test_merge_joins_chains_of_synonyms():
    sources = [
        Vocabulary([Category("sofa")]),
        Vocabulary([Category("couch")]),
        Vocabulary([Category("couch/sofa")]),
    ]
    merged, label_maps = Vocabulary.merge(sources)
    assert len(merged) == 1
    assert [m.tolist() for m in label_maps] == [[0, -1]] * 3


def test_json_round_trip(tmp_path):
    vocabulary = Vocabulary([Category("cat", True, ("kitty",), 3, (1, 2, 3)), Category("sky", False, id=9)])
    vocabulary.save(tmp_path / "words.json")
    assert Vocabulary.load(tmp_path / "words.json") == vocabulary
    (tmp_path / "bad.json").write_text('{"categories": [{"id": 1}]}')
    with pytest.raises(ValueError, match="bad.json.*name"):
        Vocabulary.load(tmp_path / "bad.json")
    with pytest.raises(FileNotFoundError, match="none.json"):
        Vocabulary.load(tmp_path / "none.json")


def test_shares_word_with_tells_seen_classes():
    training = Vocabulary([Category("car"), Category("sky", False)])
    test = Vocabulary([Category("automobile", synonyms=("car",)), Category("kiwi")])
    assert test.shares_word_with(training) == [True, False]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("color", [1, 2]),
        ("color", [1, 2, 256]),
        ("color", "red"),
        ("color", [1, 2, 0.5]),
        ("id", "7"),
        ("id", -1),
        ("id", 2**40),
        ("id", [1]),
        ("name", 5),
        ("synonyms", "car"),
        ("synonyms", [1]),
        ("isthing", "yes"),
    ],
)
def test_a_field_of_a_file_that_holds_something_else(tmp_path, field, value):
    entry = {"id": 1, "name": "car", "isthing": 1, field: value}
    (tmp_path / "words.json").write_text(json.dumps({"categories": [entry]}))
    with pytest.raises(ValueError, match=rf"words.json .*'{field}' is "):
        Vocabulary.load(tmp_path / "words.json")


def test_a_file_that_is_nested_too_deep(tmp_path):
    (tmp_path / "words.json").write_text('{"categories":' * 100_000)
    with pytest.raises(ValueError, match=r"words.json is not a vocabulary .* nested too deep"):
        Vocabulary.load(tmp_path / "words.json")


@pytest.mark.parametrize("categories", [{}, "car", None])
def test_categories_that_are_no_list(tmp_path, categories):
    (tmp_path / "words.json").write_text(json.dumps({"categories": categories}))
    with pytest.raises(ValueError, match=r"words.json .*'categories' is .*, not a list"):
        Vocabulary.load(tmp_path / "words.json")
