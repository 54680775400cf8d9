"""Folders of images and of maps of classes."""

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from PIL import Image

from omgseg.datasets import MaskFolderDataset
from omgseg.evaluation.metrics import SemanticMetric
from omgseg.structures import Vocabulary
from omgseg.structures.label_png import write_png
from omgseg.toy.writers import write_image

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
