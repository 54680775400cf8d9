"""The shipped vocabularies are the official label spaces."""

import json
import re
from difflib import SequenceMatcher

import pytest

from omgseg.datasets import load_vocabulary, shipped_vocabularies
from omgseg.structures import Vocabulary


def test_sizes():
    sizes = {
        name: (len(load_vocabulary(name)), load_vocabulary(name).num_things)
        for name in shipped_vocabularies()
    }
    assert sizes == {
        "ade20k": (150, 100),
        "cityscapes": (19, 8),
        "coco_panoptic": (133, 80),
        "coco_stuff": (171, 80),
        "lvis_v1": (1203, 1203),
        "objects365_v2": (365, 365),
        "ovis": (25, 25),
        "pascal_context": (60, 34),
        "pascal_voc": (21, 20),
        "vipseg": (124, 58),
        "youtube_vis_2019": (40, 40),
        "youtube_vis_2021": (40, 40),
    }


@pytest.mark.parametrize("name", shipped_vocabularies())
def test_no_two_categories_of_one_dataset_share_a_word(name):
    vocabulary = load_vocabulary(name)
    merged, (label_map,) = Vocabulary.merge([vocabulary])
    assert len(merged) == len(vocabulary)
    assert len(set(label_map.tolist()[:-1])) == len(vocabulary)


def test_coco_agrees_with_the_official_file(real_samples_dir):
    path = real_samples_dir / "coco/annotations/panoptic_coco_categories.json"
    official = {entry["id"]: entry for entry in json.loads(path.read_text())}
    vocabulary = load_vocabulary("coco_panoptic")
    assert set(vocabulary.id_to_label) == set(official)
    for category in vocabulary:
        entry = official[category.id]
        assert (category.is_thing, list(category.color)) == (bool(entry["isthing"]), entry["color"])


def test_youtube_vis_2019_agrees_with_the_official_file(real_samples_dir):
    path = real_samples_dir / "youtube_vis_2019/annotations/youtube_vis_2019_train.json"
    official = {entry["id"]: entry["name"] for entry in json.loads(path.read_text())["categories"]}
    assert {category.id: category.name for category in load_vocabulary("youtube_vis_2019")} == official


def test_ade20k_has_the_official_classes_in_the_official_order():
    from mmdet.datasets.ade20k import ADE_PALETTE, ADE20KInstanceDataset, ADE20KSegDataset

    vocabulary = load_vocabulary("ade20k")
    renamed = {  # official names that are no plain words, or ambiguous -> ours
        "windowpane": "window",
        "base": "pedestal",
        "case": "display case",
        "blind": "window blind",
        "palm": "palm tree",
        "hovel": "hut",
        "television receiver": "television",
        "apparel": "clothes",
        "conveyer belt": "conveyor belt",
        "washer": "washing machine",
        "plaything": "toy",
        "tank": "storage tank",
        "screen": "projection screen",
        "hood": "exhaust hood",
        "ashcan": "trash can",
        "glass": "drinking glass",
    }
    official = [name.strip() for name in ADE20KSegDataset.METAINFO["classes"]]
    by_id = sorted(vocabulary, key=lambda category: category.id)
    assert [category.id for category in by_id] == list(range(150))
    assert [category.name for category in by_id] == [renamed.get(name, name) for name in official]
    for category, name in zip(by_id, official, strict=True):
        assert name in category.words or name in ("case", "television receiver")
    assert [category.color for category in by_id] == [tuple(color) for color in ADE_PALETTE]
    things = [name.strip() for name in ADE20KInstanceDataset.METAINFO["classes"]]
    assert [renamed.get(name, name) for name in things] == vocabulary.things().names


def test_coco_stuff_has_the_official_classes_in_the_official_order():
    from mmdet.datasets.coco_semantic import CocoSegDataset

    renamed = {  # where an official name is ambiguous, or is turned around
        "ceiling-tile": "tile ceiling",
        "solid-other": "solid material",
        "structural-other": "structure",
        "wall-panel": "wall panel",
        "waterdrops": "water drops",
        "window-blind": "window blind",
        "playingfield": "playing field",
    }
    by_id = sorted(load_vocabulary("coco_stuff"), key=lambda category: category.id)
    coco = {category.id - 1: category for category in load_vocabulary("coco_panoptic").things()}
    for category, name in zip(by_id, CocoSegDataset.METAINFO["classes"], strict=True):
        first, _, kind = name.partition("-")
        plain = first if kind in ("", "other", "stuff") else f"{kind} {first}"
        if category.is_thing:
            assert category.words == coco[category.id].words
        else:
            assert renamed.get(name, plain) in (category.name, *category.words), (category, name)
    assert [category.id for category in by_id[80:]] == list(range(91, 182))


def test_cityscapes_agrees_with_the_authors_table():
    from cityscapesscripts.helpers.labels import labels

    official = {label.id: label for label in labels if not label.ignoreInEval}
    vocabulary = load_vocabulary("cityscapes")
    assert set(vocabulary.id_to_label) == set(official)
    for category in vocabulary:
        label = official[category.id]
        assert (category.name, category.is_thing) == (label.name, label.hasInstances)
        assert category.color == label.color


def test_cityscapes_joins_no_two_classes_of_the_other_training_sets():
    names = ("coco_panoptic", "vipseg", "youtube_vis_2019")
    others = [load_vocabulary(name) for name in names]
    _, before = Vocabulary.merge(others)
    _, after = Vocabulary.merge([*others, load_vocabulary("cityscapes")])
    for name, old, new in zip(names, before, after, strict=False):
        assert len(set(old.tolist())) == len(set(new.tolist())), name


@pytest.mark.parametrize(
    ("name", "dataset"), [("lvis_v1", "LVISV1Dataset"), ("objects365_v2", "Objects365V2Dataset")]
)
def test_large_vocabularies_keep_the_official_order(name, dataset):
    """Ids count from 1; one of the words is about the official name, misspelt as some of these are."""
    import mmdet.datasets

    renamed = {"Lifesaver": "life buoy", "crisp_(potato_chip)": "potato chip"}
    official = getattr(mmdet.datasets, dataset).METAINFO["classes"]
    vocabulary = load_vocabulary(name)
    assert [category.id for category in vocabulary] == list(range(1, len(official) + 1))
    for theirs, category in zip(official, vocabulary, strict=True):
        plain = re.sub(r"_?\(.*\)|[_ /]", "", theirs).casefold()
        if theirs in renamed:
            assert category.name == renamed[theirs]
            continue
        own = [re.sub("[ /]", "", word) for word in category.words]
        alike = [plain in word or SequenceMatcher(None, plain, word).ratio() > 0.54 for word in own]
        assert any(alike), (theirs, category.words)


def test_lvis_words_are_plain_and_take_the_official_synonyms(real_samples_dir):
    vocabulary = load_vocabulary("lvis_v1")
    for category in vocabulary:
        assert not set("()_/") & set("".join((category.name, *category.synonyms))), category
    path = real_samples_dir / "lvis/annotations/lvis_v1_val_100.json"
    official = {
        entry["name"].replace("_", " "): entry for entry in json.loads(path.read_text())["categories"]
    }
    checked = 0
    for category in vocabulary:
        synonyms = [s for s in official.get(category.name, {"synonyms": []})["synonyms"] if "(" not in s]
        assert {s.replace("_", " ").casefold() for s in synonyms} - {"tonic"} <= set(category.words), category
        checked += len(synonyms)
    assert checked > 1000


def test_animals_and_computers_do_not_merge():
    coco, youtube = load_vocabulary("coco_panoptic"), load_vocabulary("youtube_vis_2019")
    _, maps = Vocabulary.merge([coco, youtube])
    assert maps[0][coco.names.index("computer mouse")] != maps[1][youtube.names.index("mouse")]
    assert maps[0][coco.names.index("motorcycle")] == maps[1][youtube.names.index("motorbike")]


def test_a_vocabulary_file(tmp_path):
    Vocabulary.from_names(["red ball", "blue box"]).save(tmp_path / "toys.json")
    assert load_vocabulary(tmp_path / "toys.json").names == ["red ball", "blue box"]


def test_an_unknown_name_lists_the_shipped_ones():
    with pytest.raises(FileNotFoundError, match="'coco'.*coco_panoptic.*vipseg"):
        load_vocabulary("coco")


def test_own_words_for_a_shipped_name(tmp_path, monkeypatch):
    Vocabulary.from_names(["red ball", "blue box"]).save(tmp_path / "vipseg.json")
    monkeypatch.setenv("OMGSEG_VOCABULARIES", str(tmp_path))
    assert load_vocabulary("vipseg").names == ["red ball", "blue box"]
    assert len(load_vocabulary("coco_panoptic")) == 133
