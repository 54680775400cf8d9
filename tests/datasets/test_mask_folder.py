"""Folders of images and of maps of classes: own ones, PASCAL VOC, PASCAL Context, COCO-Stuff."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from PIL import Image

from omgseg.datasets import (
    COCOStuffDataset,
    MaskFolderDataset,
    PascalContextDataset,
    PascalVOCDataset,
)
from omgseg.evaluation.metrics import SemanticMetric
from omgseg.registry import DATASETS, METRICS
from omgseg.structures import Vocabulary
from omgseg.structures.label_png import write_png
from omgseg.toy.writers import write_image

CONFIGS = Path(__file__).parents[2] / "configs"
LOAD = [dict(type="LoadFrames"), dict(type="LoadSegments"), dict(type="PackClip")]
TEST = [dict(type="LoadFrames"), dict(type="PackClip")]
WORDS = Vocabulary.from_dict(
    {
        "categories": [
            {"id": 0, "name": "road", "isthing": 0},
            {"id": 7, "name": "van"},
            {"id": 300, "name": "sky", "isthing": 0},
        ]
    }
)
"""Labels: van 0, road 1, sky 2."""


def class_map():
    classes = np.zeros((40, 60), np.uint16)
    classes[:10], classes[20:30, 20:30], classes[-1] = 300, 7, 255
    return classes


@pytest.fixture
def root(tmp_path):
    for name in ("a", "town/b"):
        write_image(tmp_path / f"images/{name}.jpg", np.full((40, 60, 3), 99, np.uint8))
        write_png(tmp_path / f"masks/{name}.png", class_map())
    return tmp_path


def build(root, pipeline=LOAD, **arguments):
    prefix = dict(img="images/", seg="masks/")
    arguments.setdefault("vocabulary", WORDS)
    return MaskFolderDataset(data_root=str(root), data_prefix=prefix, pipeline=pipeline, **arguments)


def test_a_class_is_a_segment(root):
    dataset = build(root)
    assert [dataset[i]["data_samples"].img_id for i in range(len(dataset))] == ["a", "town/b"]
    sample = dataset[1]["data_samples"]
    assert sample.tasks == ("semantic",) and sample.source == "mask_folder"
    gt, classes = sample.gt_instances, class_map()
    assert gt.labels.tolist() == [1, 0, 2]
    for label, value in ((1, 0), (0, 7), (2, 300)):
        mask = gt.masks[gt.labels.tolist().index(label)]
        assert torch.equal(mask, torch.from_numpy(classes == value))


def test_ignored_values(root):
    gt = build(root, ignore_ids=(255, 0))[0]["data_samples"].gt_instances
    assert gt.labels.tolist() == [0, 2]
    with pytest.raises(ValueError, match=r"masks/a.png: category id 255 is not in the vocabulary of 3"):
        build(root, ignore_ids=(0,))[0]


@pytest.mark.parametrize("mode", ["P", "L"])
def test_palette_and_grey_pngs(root, mode):
    classes = class_map().astype(np.uint8)
    classes[:10] = 7
    mask = Image.fromarray(classes, mode=mode)
    if mode == "P":
        mask.putpalette([value for index in range(256) for value in (255 - index, index, 0)])
    mask.save(root / "masks/a.png")
    gt = build(root)[0]["data_samples"].gt_instances
    assert gt.labels.tolist() == [1, 0] and gt.masks[1].sum() == 10 * 60 + 100


def test_scores_of_predictions(root):
    dataset = build(root, TEST, test_mode=True)
    metric = SemanticMetric()
    metric.dataset_meta = dataset.metainfo
    labels = np.full((40, 60), 1)
    labels[:10], labels[20:30, 20:30] = 2, 0
    for index in range(2):
        sample = dataset[index]["data_samples"]
        assert "gt_instances" not in sample
        sample.pred_sem_seg = PixelData(sem_seg=torch.from_numpy(labels)[None])
        metric.process({}, [sample.to_dict()])
    assert metric.evaluate(2)["semantic/mIoU"] == 100


def test_no_vocabulary(root):
    with pytest.raises(
        ValueError, match=r'vocabulary is missing.* write a JSON file {"categories": \[{"id": 0'
    ):
        build(root, vocabulary=None)


def test_missing_masks(root):
    (root / "masks/town/b.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"masks/town/b.png not found, the mask of .*town/b.jpg"):
        build(root)
    dataset = build(root, TEST, test_mode=True)
    assert "seg_map_path" not in dataset[1]["data_samples"]


def test_no_images(root):
    for path in (root / "images").rglob("*.jpg"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"images has no images"):
        build(root)


def test_a_mask_of_another_size_or_with_colours(root):
    write_png(root / "masks/a.png", class_map()[:20])
    with pytest.raises(
        ValueError, match=r"masks/a.png: the mask is 60x20, its image .*images/a.jpg is 60x40"
    ):
        build(root)[0]
    write_png(root / "masks/a.png", np.zeros((40, 60, 3), np.uint8))
    with pytest.raises(ValueError, match=r"masks/a.png: expected one channel"):
        build(root)[0]


def test_a_list_of_images(root):
    (root / "val.txt").write_text("town/b\n\na\n")
    dataset = build(root, ann_file="val.txt")
    assert [dataset[i]["data_samples"].img_id for i in range(len(dataset))] == ["town/b", "a"]
    (root / "val.txt").write_text("a\ngone\n")
    with pytest.raises(
        FileNotFoundError, match=r"val.txt lists 'gone', but there is no such image in .*images"
    ):
        build(root, ann_file="val.txt")
    (root / "val.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"val.txt lists no images"):
        build(root, ann_file="val.txt")


def test_images_without_a_folder_of_masks(root):
    files = dict(data_root=str(root), data_prefix=dict(img="images/"), vocabulary=WORDS)
    dataset = MaskFolderDataset(**files, pipeline=TEST)
    assert len(dataset) == 2 and "gt_instances" not in dataset[0]["data_samples"]
    with pytest.raises(FileNotFoundError, match=r"images/a.jpg has no mask file; see data/README.md#"):
        MaskFolderDataset(**files, pipeline=LOAD)[0]


def published(root, dataset, classes, **arguments):
    """A dataset of one image with a map, in the folders of PASCAL."""
    write_image(root / "JPEGImages/2007_000032.jpg", np.full((20, 30, 3), 99, np.uint8))
    write_image(root / "JPEGImages/2007_000033.jpg", np.full((20, 30, 3), 99, np.uint8))  # has no mask
    write_png(root / "SegmentationClass/2007_000032.png", classes)
    (root / "train.txt").write_text("2007_000032\n")
    prefix = dict(img="JPEGImages/", seg="SegmentationClass/")
    return dataset(data_root=str(root), ann_file="train.txt", data_prefix=prefix, pipeline=LOAD, **arguments)


@pytest.mark.parametrize(
    ("dataset", "source", "count", "last"),
    [
        (PascalVOCDataset, "pascal_voc", 20, "tv monitor"),
        (PascalContextDataset, "pascal_context", 59, "wood"),
    ],
)
@pytest.mark.parametrize("background", [False, True])
def test_pascal(tmp_path, dataset, source, count, last, background):
    classes = np.zeros((20, 30), np.uint8)
    classes[5:10], classes[10] = count, 255
    data = published(tmp_path, dataset, classes, background=background)
    assert len(data) == 1 and len(data.vocabulary) == count + background
    sample = data[0]["data_samples"]
    assert sample.source == source and sample.tasks == ("semantic",)
    gt = sample.gt_instances
    found = {
        data.vocabulary[label].name: int(mask.sum()) for label, mask in zip(gt.labels, gt.masks, strict=True)
    }
    assert found == {last: 150} | ({"background": 420} if background else {})


def test_coco_stuff(tmp_path):
    classes = np.full((20, 30), 255, np.uint8)
    classes[:2], classes[2:5], classes[5:9] = 0, 181, 89
    data = published(tmp_path, COCOStuffDataset, classes)
    gt = data[0]["data_samples"].gt_instances
    found = {
        data.vocabulary[label].name: int(mask.sum()) for label, mask in zip(gt.labels, gt.masks, strict=True)
    }
    assert found == {"person": 60, "wood": 90, "toothbrush": 120} and data.source == "coco_stuff"


@pytest.mark.parametrize("name", ["pascal_voc", "pascal_context", "coco_stuff"])
def test_the_configs_name_the_published_folders(tmp_path, monkeypatch, name):
    monkeypatch.setenv("OMGSEG_DATA", str(tmp_path))
    config = Config.fromfile(CONFIGS / "_base_" / "datasets" / f"{name}.py")
    for split in (config[f"{name}_train"], config[f"{name}_test_dataloader"].dataset):
        folders = [Path(split.data_root) / split.data_prefix[part] for part in ("img", "seg")]
        write_image(folders[0] / "a.jpg", np.full((20, 30, 3), 99, np.uint8))
        write_png(folders[1] / "a.png", np.full((20, 30), 1, np.uint8))
        if "ann_file" in split:
            (path := Path(split.data_root) / split.ann_file).parent.mkdir(parents=True, exist_ok=True)
            path.write_text("a\n")
        dataset = DATASETS.build(split)
        assert len(dataset) == 1 and dataset[0]["data_samples"].source == name
    assert METRICS.build(config[f"{name}_evaluator"]).truth.ignore_ids == dataset.IGNORE_IDS
