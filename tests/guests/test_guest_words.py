"""The words of a guest: names of config.json, with kinds, synonyms and ids of the datasets that have them."""

import pytest

from omgseg.datasets.vocabularies import load_vocabulary
from omgseg.guests.guest import KNOWN, ClassWords
from omgseg.guests.mask_queries import ALL_TASKS, tasks_of
from omgseg.structures import NO_CLASS, Task, Vocabulary


def names_of(dataset: str) -> dict[int, str]:
    """By class, in the order of the dataset's ids."""
    ordered = sorted(load_vocabulary(dataset), key=lambda category: category.id)
    return {number: category.name for number, category in enumerate(ordered)}


@pytest.mark.parametrize("dataset", KNOWN)
def test_classes_of_known_datasets_have_their_kinds_and_ids(dataset):
    known = load_vocabulary(dataset)
    names = names_of(dataset) | {1: "a name of its own"}
    words = ClassWords(names)
    assert words.vocabulary.num_things == known.num_things and len(words.vocabulary) == len(known)
    assert words.vocabulary.label_to_id == known.label_to_id
    by_id = {category.id: category.name for category in words.vocabulary}
    assert [by_id[key] for key in sorted(by_id)] == list(names.values())


def test_official_names_of_coco_are_found_by_plain_words():
    words = ClassWords({0: "person", 1: "wall-other-merged", 2: "door-stuff", 3: "sky-other-merged"})
    assert words.vocabulary.names == ["person", "wall", "door", "sky"] and words.vocabulary.num_things == 1
    asked = Vocabulary.from_names(["sky-other-merged", "human"])
    assert words.places(asked).tolist() == [1, NO_CLASS, NO_CLASS, 0]


def test_classes_of_other_label_sets():
    words = ClassWords(
        {0: "weld seam", 1: "road", 2: "sidewalk, pavement", 3: "weld seam", 4: "", 5: "robot;arm"}
    )
    assert words.vocabulary.names == ["weld seam", "weld seam 3", "class 4", "robot", "road", "sidewalk"]
    assert words.is_thing.tolist() == [True, False, False, True, True, True]
    assert words.places(None).tolist() == [0, 4, 5, 1, 2, 3]
    assert "pavement" in words.vocabulary[5].words and "arm" in words.vocabulary[3].words


def test_a_checkpoint_may_say_itself_what_is_a_thing():
    words = ClassWords({0: "road", 1: "car", 2: "person"}, things=[0, 2])
    assert words.is_thing.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("name", "dataset", "tasks"),
    [
        ("models--facebook--mask2former-swin-large-coco-panoptic", "coco_panoptic", ALL_TASKS),
        ("models--facebook--mask2former-swin-large-ade-semantic", "ade20k", {Task.SEMANTIC}),
        ("mask2former-swin-tiny-cityscapes-instance", "cityscapes", {Task.INSTANCE}),
        ("ade20k_panoptic_eomt_large_640", "ade20k", ALL_TASKS),
        ("mine", "coco_panoptic", ALL_TASKS),
    ],
)
def test_tasks_by_the_published_names(name, dataset, tasks):
    assert tasks_of(name, ClassWords(names_of(dataset))) == tasks


def test_things_alone_were_trained_for_instances():
    assert tasks_of("mine", ClassWords({0: "person", 1: "car"})) == {Task.INSTANCE}
