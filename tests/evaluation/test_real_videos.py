"""Real clips in the official layouts, from the adapters to the metrics: the annotation scores 100 against itself."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData

from omgseg.datasets import DAVISDataset, YouTubeVISDataset, YouTubeVOSDataset
from omgseg.models.geometry import MaskGeometry
from omgseg.models.mask_queries.video import FrameMasks, given_objects, read_vos
from omgseg.structures.run_lengths import encode_masks

LOAD = [dict(type="LoadFrames"), dict(type="LoadSegments"), dict(type="PackClip")]
FIRST_MASKS = [LOAD[0], dict(type="LoadSegments", first_masks_only=True), LOAD[2]]
SIZE = (480, 854)
AREAS = [53811, 6034, 7986, 9489]
"""Of objects 1 to 4 of judo-annotated, each annotated in one frame: 0 to 3."""


def evaluate(metric, dataset, samples):
    init_default_scope("omgseg")
    evaluator = Evaluator([metric])
    evaluator.dataset_meta = dataset.metainfo
    evaluator.process(samples)
    return evaluator.evaluate(len(samples))


def davis(root, list_file, **kwargs):
    prefix = dict(img=str(root / "JPEGImages/480p"), seg=str(root / "Annotations/480p"))
    return DAVISDataset(ann_file=str(list_file), data_prefix=prefix, test_mode=True, **kwargs)


def test_davis(real_samples_dir):
    root = real_samples_dir / "DAVIS"
    dataset = davis(root, root / "ImageSets/2017/val.txt", pipeline=LOAD)
    data = dataset[0]
    assert data["inputs"].shape == (4, 3, *SIZE)
    frames = data["data_samples"].video_data_samples
    objects = frames[0].gt_instances
    evaluated = objects.instances_ids[objects.masks.flatten(1).any(1)]  # those of the first frame
    assert evaluated.tolist() == [1]
    for frame in frames:
        given = frame.gt_instances
        ids = torch.where(torch.isin(given.instances_ids, evaluated), given.instances_ids, 0)
        frame.pred_vos_seg = PixelData(sem_seg=(given.masks * ids[:, None, None]).amax(0, keepdim=True))
    scores = evaluate(dict(type="DavisMetric"), dataset, [data["data_samples"]])
    assert scores["davis/J&F"] == scores["davis/J"] == scores["davis/F"] == 100


def test_davis_clips_with_a_mask_of_the_first_frame_alone(real_samples_dir, tmp_path):
    (tmp_path / "val.txt").write_text("bike\njudo\n")
    pipeline = [LOAD[0], dict(type="LoadSegments", first_frame_only=True), LOAD[2]]
    dataset = davis(real_samples_dir / "DAVIS", tmp_path / "val.txt", pipeline=pipeline)
    for index, (length, ids) in enumerate([(4, [1, 2]), (16, [1])]):
        frames = dataset[index]["data_samples"].video_data_samples
        assert len(frames) == length
        assert frames[0].gt_instances.instances_ids.tolist() == ids
        assert not any("gt_instances" in frame or "seg_map_path" in frame for frame in frames[1:])


def test_youtube_vis(real_samples_dir):
    root = real_samples_dir / "youtube_vis_2019"
    ann_file = str(root / "annotations/youtube_vis_2019_valid.json")
    config = dict(ann_file=ann_file, data_prefix=dict(img=str(root / "valid/JPEGImages")), test_mode=True)
    dataset = YouTubeVISDataset(**config, vocabulary="youtube_vis_2019", pipeline=LOAD)
    data = dataset[0]
    assert data["inputs"].shape == (4, 3, *SIZE) and data["inputs"].float().std() > 20
    for frame in data["data_samples"].video_data_samples:
        given = frame.gt_instances
        frame.pred_track_instances = InstanceData(
            instances_id=given.instances_ids,
            labels=given.labels,
            scores=torch.ones(len(given)),
            masks=encode_masks(given.masks.numpy()),
        )
    metric = dict(type="YouTubeVISMetric", ann_file=ann_file)
    scores = evaluate(metric, dataset, [data["data_samples"]])
    assert scores["youtube_vis/AP"] == pytest.approx(100)
    frames = data["data_samples"].video_data_samples
    for frame in frames:  # another class finds nothing
        frame.pred_track_instances.labels += 1
    assert evaluate(metric, dataset, [data["data_samples"]])["youtube_vis/AP"] == 0


def test_objects_that_appear_late(real_samples_dir, tmp_path):
    """The clip as YouTube-VOS would give it, followed by tubes that are its masks and last for the whole video."""
    (tmp_path / "meta.json").write_text(json.dumps({"videos": {"judo-annotated": {"objects": {}}}}))
    root = real_samples_dir / "DAVIS"
    prefix = dict(img=str(root / "JPEGImages/480p"), seg=str(root / "Annotations/480p"))
    config = dict(ann_file=str(tmp_path / "meta.json"), data_prefix=prefix, test_mode=True)
    dataset = YouTubeVOSDataset(**config, pipeline=FIRST_MASKS)
    frames = dataset[0]["data_samples"].video_data_samples
    masks = torch.stack([frame.gt_instances.masks for frame in frames])
    assert masks.sum((2, 3)).tolist() == np.diag(AREAS).tolist()

    tubes = torch.where(masks.amax(0)[torch.tensor([2, 0, 3, 1])], 8.0, -8.0).half()
    memory = SimpleNamespace(
        frames=[FrameMasks(torch.arange(4), tubes)] * len(frames), mean=lambda name: torch.zeros(4)
    )
    maps = read_vos(memory, given_objects(frames), MaskGeometry(SIZE, SIZE, SIZE), num_proposals=4)
    for t, objects in enumerate(maps):
        areas = [int((objects == index + 1).sum()) for index in range(4)]
        assert areas[t] == AREAS[t] and not any(areas[t + 1 :])
        assert all(areas[:t])
