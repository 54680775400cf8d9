"""The adapters on real files in the official layouts."""

import json

import numpy as np
import pytest
import torch

from omgseg.datasets import CocoPanopticDataset, CocoPromptDataset, DAVISDataset, YouTubeVISDataset

LOAD = [dict(type="LoadFrames"), dict(type="LoadSegments"), dict(type="PackClip")]


def coco_config(root):
    return dict(
        data_root=str(root / "coco"),
        ann_file="annotations/panoptic_val2017.json",
        data_prefix=dict(img="val2017", seg="annotations/panoptic_val2017"),
    )


def test_coco_masks_have_the_stated_areas_and_boxes(real_samples_dir):
    dataset = CocoPanopticDataset(**coco_config(real_samples_dir), vocabulary="coco_panoptic", pipeline=LOAD)
    assert len(dataset) == 2 and len(dataset.vocabulary) == 133
    for index in range(2):
        sample = dataset[index]["data_samples"]
        stated = {info["id"]: info for info in sample.segments_info if not info["iscrowd"]}
        gt = sample.gt_instances
        assert gt.instances_ids.tolist() == list(stated)
        for identity, label, mask, box in zip(gt.instances_ids.tolist(), gt.labels, gt.masks, gt.bboxes):
            x, y, w, h = stated[identity]["bbox"]
            assert mask.sum() == stated[identity]["area"] and box.tolist() == [x, y, x + w, y + h]
            assert dataset.vocabulary[label].id == stated[identity]["category_id"]


@pytest.mark.parametrize("kind", ["point", "box"])
def test_coco_prompts(real_samples_dir, kind):
    pipeline = [
        *LOAD[:2],
        dict(type="Resize", scale=(1333, 800)),
        dict(type="SamplePrompts", max_prompts=None, kind=kind, deterministic=True),
        LOAD[2],
    ]
    dataset = CocoPromptDataset(**coco_config(real_samples_dir), pipeline=pipeline, test_mode=True)
    data = dataset[0]
    sample = data["data_samples"]
    assert data["inputs"].shape[2:] == sample.img_shape == (800, 1199)
    assert sample.gt_instances.masks.shape[1:] == sample.ori_shape == (427, 640)
    assert len(sample.prompts) == len(sample.gt_instances) > 10
    if kind == "point":
        for mask, (x, y) in zip(sample.gt_instances.masks, sample.prompts.points / (800 / 427)):
            assert mask[int(y), int(x)]


def test_training_clips_of_coco(real_samples_dir):
    np.random.seed(0)
    view = [
        dict(type="LargeScaleJitter", image_size=(256, 256), ratio_range=(0.8, 2.0)),
        dict(type="RandomFlip"),
    ]
    pipeline = [*LOAD[:2], dict(type="PseudoClip", num_frames=2, transforms=view), LOAD[2]]
    data = CocoPanopticDataset(**coco_config(real_samples_dir), pipeline=pipeline)[1]
    frames = data["data_samples"].video_data_samples
    assert data["inputs"].shape[0] == len(frames) == 2
    assert frames[0].gt_instances.labels.tolist() == frames[1].gt_instances.labels.tolist()


def test_youtube_vis_tracks(real_samples_dir):
    root = real_samples_dir / "youtube_vis_2019"
    ann_file = "annotations/youtube_vis_2019_train.json"
    config = dict(data_root=str(root), ann_file=ann_file, data_prefix=dict(img="train/JPEGImages"))
    dataset = YouTubeVISDataset(**config, pipeline=LOAD, vocabulary="youtube_vis_2019")
    data = dataset[0]
    assert data["inputs"].shape == (4, 3, 480, 854)
    tracks = json.loads((root / ann_file).read_text())["annotations"]
    for row, track in enumerate(tracks):
        for frame, area in zip(data["data_samples"].video_data_samples, track["areas"]):
            assert frame.gt_instances.instances_ids[row] == track["id"]
            assert frame.gt_instances.masks[row].sum() == (area or 0)


def test_davis_agrees_with_youtube_vis(real_samples_dir):
    root = real_samples_dir / "DAVIS"
    prefix = dict(img="JPEGImages/480p", seg="Annotations/480p")
    dataset = DAVISDataset(
        data_root=str(root),
        ann_file="ImageSets/2017/val.txt",
        data_prefix=prefix,
        pipeline=LOAD,
        test_mode=True,
    )
    frames = dataset[0]["data_samples"].video_data_samples
    areas = torch.stack([frame.gt_instances.masks.sum((1, 2)) for frame in frames])
    assert areas.tolist() == np.diag([53811, 6034, 7986, 9489]).tolist()
