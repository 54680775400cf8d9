"""The toy LVIS, Objects365 and SA-1B, read by the shipped configs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData

from omgseg.datasets import load_vocabulary
from omgseg.registry import DATASETS, METRICS
from omgseg.toy import TINY, generate
from omgseg.toy.categories import COLORS, NOVEL_THINGS, THINGS

CONFIGS = Path(__file__).parents[2] / "configs/_base_/datasets"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("toy") / "data", sizes=TINY)


@pytest.fixture
def config(root, monkeypatch):
    monkeypatch.setenv("OMGSEG_DATA", str(root))
    monkeypatch.setenv("OMGSEG_VOCABULARIES", str(root / "vocabularies"))
    return lambda name: Config.fromfile(CONFIGS / f"{name}.py")


def test_lvis_has_the_fields_of_v1(root):
    data = json.loads((root / "coco/annotations/lvis_v1_val.json").read_text())
    assert len(data["images"]) == TINY.lvis_val
    known = {category["id"] for category in data["categories"]}
    for image in data["images"]:
        assert "file_name" not in image
        assert (root / "coco" / image["coco_url"].split(".org/")[1]).is_file()
        present = {a["category_id"] for a in data["annotations"] if a["image_id"] == image["id"]}
        negative, partly = set(image["neg_category_ids"]), set(image["not_exhaustive_category_ids"])
        assert negative and negative <= known - present and partly <= present
    assert any(image["not_exhaustive_category_ids"] for image in data["images"])
    assert {image["coco_url"].split("/")[-2] for image in data["images"]} == {"train2017", "val2017"}
    rare = {c["name"].replace("_", " ") for c in data["categories"] if c["frequency"] == "r"}
    assert rare == set(NOVEL_THINGS)
    assert {c["frequency"] for c in data["categories"]} == set("rcf")
    assert all(set(c) >= {"synonyms", "synset", "def", "image_count"} for c in data["categories"])
    used = {a["category_id"] for a in data["annotations"]}
    assert used == {c["id"] for c in data["categories"] if c["instance_count"]}


def test_lvis_ground_truth_scores_itself(config):
    base = config("lvis_v1")
    dataset_config = base.lvis_v1_test_dataloader.dataset
    dataset_config.pipeline = [dict(type="LoadFrames"), dict(type="LoadSegments"), dict(type="PackClip")]
    dataset = DATASETS.build(dataset_config)
    metric = METRICS.build(base.lvis_v1_evaluator)
    metric.dataset_meta = dataset.metainfo
    for index in range(len(dataset)):
        sample = dataset[index]["data_samples"]
        gt = sample.gt_instances
        words = [dataset.vocabulary[label].name for label in gt.labels]
        assert set(words) <= set(THINGS)
        sample.pred_instances = InstanceData(labels=gt.labels, scores=torch.ones(len(gt)), masks=gt.masks)
        metric.process({}, [sample.to_dict()])
    values = metric.evaluate(len(dataset))
    assert values["lvis/AP"] == values["lvis/APr"] == 100


def test_objects365_and_sa1b_train(config):
    objects365 = DATASETS.build(config("objects365_v2").objects365_v2_train)
    assert len(objects365) == TINY.objects365_train
    assert objects365.vocabulary == load_vocabulary("objects365_v2") and len(objects365.vocabulary) == 24
    np.random.seed(0)
    assert len(objects365[0]["data_samples"].gt_instances.labels)
    sa1b = DATASETS.build(config("sa1b").sa1b_train)
    assert len(sa1b) == TINY.sa1b_train
    sample = sa1b[1]["data_samples"]
    assert len(sample.prompts) == len(sample.gt_instances) > 0


@pytest.mark.parametrize("name", ["lvis_v1_test_dataloader", "objects365_v2_train"])
def test_an_object_is_what_the_picture_shows(config, name):
    """The colour under a mask is that of its class."""
    part = config(name.removesuffix("_test_dataloader").removesuffix("_train"))[name]
    part = part.get("dataset", part)
    part.pipeline = [dict(type="LoadFrames"), dict(type="LoadSegments"), dict(type="PackClip")]
    dataset = DATASETS.build(part)
    colors = np.array(list(COLORS.values()))
    data = dataset[0]
    image, gt = data["inputs"][0].permute(1, 2, 0).numpy(), data["data_samples"].gt_instances
    assert len(gt)
    for label, mask in zip(gt.labels.tolist(), gt.masks.numpy(), strict=True):
        distance = np.abs(image[mask][:, None] - colors[None].astype(int)).sum(-1)
        nearest = list(COLORS)[np.bincount(distance.argmin(1)).argmax()]
        assert dataset.vocabulary[label].name.split()[0] == nearest
