"""Toy YouTube-VOS from its files to the submission, with the true masks as tubes in place of a model."""

import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from PIL import Image

from omgseg.datasets import YouTubeVOSDataset
from omgseg.models.geometry import MaskGeometry
from omgseg.models.mask_queries.video import FrameMasks, given_objects, read_vos
from omgseg.toy.annotation import annotate
from omgseg.toy.video_files import an_object_enters_later, sample_videos, write_youtube_vos
from omgseg.toy.world import SIZE, World, render

PIPELINE = [
    dict(type="LoadFrames"),
    dict(type="LoadSegments", first_masks_only=True),
    dict(type="Resize"),
    dict(type="PackClip"),
]


@pytest.fixture(scope="module")
def videos():
    return sample_videos(World(np.random.default_rng(4)), 3, (4, 6), seed=0, accept=an_object_enters_later)


def truth(scene, length):
    """Masks of the things (T, N, S, S)."""
    maps = [annotate(scene, render(scene, index)).instances for index in range(length)]
    return torch.from_numpy(np.stack([[m == n + 1 for n in range(len(scene.things))] for m in maps]))


def test_the_true_tubes_are_submitted_as_the_true_objects(videos, tmp_path):
    write_youtube_vos(tmp_path, "valid", videos)
    prefix = dict(img="valid/JPEGImages/", seg="valid/Annotations/")
    config = dict(data_root=str(tmp_path), ann_file="valid/meta.json", data_prefix=prefix, test_mode=True)
    dataset = YouTubeVOSDataset(**config, pipeline=PIPELINE, image_size=(64, 64))
    geometry, samples, expected = MaskGeometry((SIZE, SIZE), (SIZE, SIZE), (SIZE, SIZE)), [], {}
    for index, (scene, length) in enumerate(videos):
        sample = dataset[index]["data_samples"]
        frames = sample.video_data_samples
        masks = truth(scene, length)
        tubes = torch.arange(masks.shape[1])
        logits = torch.where(masks, 8.0, -8.0).half()
        memory = SimpleNamespace(
            frames=[FrameMasks(tubes, one) for one in logits],
            mean=dict(objectness_logits=torch.zeros(len(tubes))).get,
        )
        given = given_objects(frames)
        assert len(given) > 1, "an object enters later"
        for frame, objects in zip(frames, read_vos(memory, given, geometry, 25), strict=True):
            frame.pred_vos_seg = PixelData(sem_seg=objects.unsqueeze(0))
        samples.append(sample)
        # objects count from 1 as they appear, things of one frame in the order of the scene
        start = masks.any(-1).any(-1).int().argmax(0)
        order = np.argsort(start.numpy(), kind="stable")
        order = [n for n in order if masks[:, n].any()]
        numbers = torch.zeros(len(tubes), dtype=torch.int32)
        numbers[order] = torch.arange(1, len(order) + 1, dtype=torch.int32)
        for t in range(length):
            path = f"Annotations/toy{index:04d}/{5 * t:05d}.png"
            expected[path] = (masks[t] * numbers[:, None, None]).amax(0).numpy()

    init_default_scope("omgseg")
    evaluator = Evaluator([dict(type="YouTubeVOSMetric", submission=str(tmp_path / "results.zip"))])
    evaluator.dataset_meta = dataset.metainfo
    evaluator.process(samples)
    assert evaluator.evaluate(len(samples)) == {"youtube_vos/videos": 3}
    with zipfile.ZipFile(tmp_path / "results.zip") as archive:
        assert sorted(archive.namelist()) == sorted(expected)
        for path, objects in expected.items():
            assert np.array_equal(np.asarray(Image.open(archive.open(path))), objects), path
