"""The toy ADE20K and Cityscapes: official layouts, whose configs read them, with toy words under official ids."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from pycocotools import mask as coco_mask

from omgseg.registry import DATASETS, METRICS
from omgseg.structures import Vocabulary
from omgseg.structures.label_png import decode_panoptic_png, load_image, read_index_png
from omgseg.toy import TINY
from omgseg.toy.categories import BASE_THINGS, NOVEL_THINGS, NUM_THINGS, STUFF
from omgseg.toy.image_files import (
    ADE20K_IDS,
    CITYSCAPES_THINGS,
    ade20k_vocabulary,
    cityscapes_vocabulary,
    write_ade20k,
    write_cityscapes,
)
from omgseg.toy.world import World

CONFIGS = Path(__file__).parents[2] / "configs/_base_/datasets"
COUNT = 3


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    everything, street = (
        World(np.random.default_rng(part), classes)
        for part, classes in ((0, range(NUM_THINGS)), (1, CITYSCAPES_THINGS))
    )
    novel = [index for index in range(NUM_THINGS) if ade20k_vocabulary()[index].name in NOVEL_THINGS]
    write_ade20k(
        folder / "ADEChallengeData2016", "val", [everything.image_scene([novel[k]]) for k in range(COUNT)]
    )
    for split in ("train", "val"):
        write_cityscapes(folder / "cityscapes", split, [street.image_scene() for _ in range(COUNT)])
    (folder / "vocabularies").mkdir()
    ade20k_vocabulary().save(folder / "vocabularies/ade20k.json")
    cityscapes_vocabulary().save(folder / "vocabularies/cityscapes.json")
    return folder


@pytest.fixture
def config(root, monkeypatch):
    monkeypatch.setenv("OMGSEG_DATA", str(root))
    monkeypatch.setenv("OMGSEG_VOCABULARIES", str(root / "vocabularies"))
    return lambda name: Config.fromfile(CONFIGS / f"{name}.py")


def test_the_demo_has_both():
    assert min(TINY.ade20k_val, TINY.cityscapes_train, TINY.cityscapes_val) > 0


def test_ade20k_ids_alternate_and_all_words_are_there():
    vocabulary = ade20k_vocabulary()
    assert {*vocabulary.names} == {*BASE_THINGS, *NOVEL_THINGS, *STUFF}
    assert len(set(ADE20K_IDS)) == len(ADE20K_IDS) and 0 <= min(ADE20K_IDS) and max(ADE20K_IDS) < 150
    kinds = [category.is_thing for category in sorted(vocabulary, key=lambda category: category.id)]
    assert kinds != sorted(kinds) and kinds != sorted(kinds, reverse=True)


def test_cityscapes_words_are_base_words_under_evaluated_labels():
    from cityscapesscripts.helpers.labels import id2label

    vocabulary = cityscapes_vocabulary()
    assert (vocabulary.num_things, vocabulary.num_stuff) == (8, 5)
    assert {*vocabulary.names} <= {*BASE_THINGS, *STUFF}
    for category in vocabulary:
        label = id2label[category.id]
        assert not label.ignoreInEval and label.hasInstances == category.is_thing


def test_ade20k_instances_are_the_drawn_things(root):
    folder = root / "ADEChallengeData2016"
    vocabulary = Vocabulary.load(root / "vocabularies/ade20k.json")
    content = json.loads((folder / "ade20k_instance_val.json").read_text())
    assert content["annotations"] and len(content["images"]) == COUNT
    for entry in content["annotations"]:
        mask = coco_mask.decode(entry["segmentation"]).astype(bool)
        name = f"validation/{entry['image_id']}.png"
        semantic = read_index_png(folder / "annotations" / name)
        assert np.unique(semantic[mask]).tolist() == [entry["category_id"] + 1]
        instance = np.asarray(load_image(folder / "annotations_instance" / name))
        assert len(np.unique(instance[mask], axis=0)) == 1
        assert vocabulary[vocabulary.id_to_label[entry["category_id"]]].is_thing
    used = {vocabulary[vocabulary.id_to_label[e["category_id"]]].name for e in content["annotations"]}
    assert used & set(NOVEL_THINGS) and used & set(BASE_THINGS)


def test_ade20k_panoptic_and_semantic_masks_agree(root):
    folder = root / "ADEChallengeData2016"
    for entry in json.loads((folder / "ade20k_panoptic_val.json").read_text())["annotations"]:
        ids = decode_panoptic_png(folder / "ade20k_panoptic_val" / entry["file_name"])
        semantic = read_index_png(folder / "annotations/validation" / entry["file_name"])
        assert np.array_equal(ids % 256, semantic)
        assert {s["id"]: s["area"] for s in entry["segments_info"]} == {
            int(i): int((ids == i).sum()) for i in np.unique(ids[ids > 0])
        }


@pytest.mark.parametrize("name", ["ade20k_panoptic", "cityscapes"])
def test_the_shipped_configs_read_the_toy_data(config, name):
    config = config(name)
    dataset = DATASETS.build(config[f"{name}_test_dataloader"].dataset)
    assert len(dataset) == COUNT and set(dataset.vocabulary.names) & set(STUFF)
    sample = dataset[0]["data_samples"]
    assert sample.ori_shape == (128, 128) and sample.tasks == ("panoptic", "instance", "semantic")
    for evaluator in config[f"{name}_evaluator"]:
        assert METRICS.build(evaluator)


def test_the_cityscapes_training_config(config):
    dataset = DATASETS.build(config("cityscapes").cityscapes_train)
    sample = dataset[0]["data_samples"]
    assert len(dataset) == COUNT and max(sample.img_shape) <= 1024
    assert (sample.gt_instances.labels >= 0).all() and len(sample.gt_instances) >= 3
