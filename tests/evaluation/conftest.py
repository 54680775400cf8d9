"""A tiny world for the metric adapters: two things, one stuff class, ids that are neither labels nor sorted."""

import json
import math

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData

from omgseg.structures import Vocabulary
from omgseg.structures.label_png import write_panoptic_png

CATEGORIES = [
    {"id": 7, "name": "sky", "isthing": 0},
    {"id": 3, "name": "cat", "isthing": 1},
    {"id": 9, "name": "dog", "isthing": 1},
]


@pytest.fixture
def categories():
    return [dict(c) for c in CATEGORIES]


@pytest.fixture
def vocabulary(categories):
    """Labels: cat 0, dog 1, sky 2; 3 is void in panoptic maps."""
    return Vocabulary.from_dict({"categories": categories})


@pytest.fixture
def run_metric(vocabulary):
    """Evaluate samples with one metric, given as a config, through mmengine's evaluator."""

    def run(config, samples, batch_size=2):
        evaluator = Evaluator([config])
        evaluator.dataset_meta = {"vocabulary": vocabulary}
        for start in range(0, len(samples), batch_size):
            evaluator.process(samples[start : start + batch_size])
        return evaluator.evaluate(len(samples))

    return run


@pytest.fixture
def make_sample():
    """An image's data sample: metainfo, and maps (H, W) as PixelData."""

    def make(maps=None, **metainfo):
        sample = DetDataSample(metainfo=metainfo)
        for name, values in (maps or {}).items():
            sample.set_field(PixelData(sem_seg=torch.as_tensor(values)[None]), name)
        return sample

    return make


@pytest.fixture
def make_video():
    """A video's data sample from those of its frames."""

    def make(frames, **metainfo):
        video = TrackDataSample(metainfo=metainfo)
        video.video_data_samples = frames
        return video

    return make


@pytest.fixture
def panoptic_set(tmp_path):
    """Three images of 12x16 pixels in COCO panoptic files; returns a dict with paths, and label maps by image id.

    The maps hold `label + 1000 * instance`, 3 is void.
    """
    rng = np.random.default_rng(0)
    category_of = {0: 3, 1: 9, 2: 7}
    maps, annotations, images = {}, [], []
    for image_id in (30, 10, 20):
        values = np.full((12, 16), 2)  # sky
        values[:2] = 3
        for instance in (1, 2, 3):
            y, x = rng.integers(2, 8, 2)
            values[y : y + 5, x : x + 6] = rng.integers(0, 2) + 1000 * instance
        maps[image_id] = values
        write_panoptic_png(tmp_path / "gt" / f"{image_id}.png", np.where(values == 3, 0, values + 1))
        present, areas = np.unique(values[values != 3], return_counts=True)
        segments = [
            {"id": int(v) + 1, "category_id": category_of[v % 1000], "area": int(a), "iscrowd": 0}
            for v, a in zip(present, areas, strict=True)
        ]
        annotations.append({"image_id": image_id, "file_name": f"{image_id}.png", "segments_info": segments})
        images.append({"id": image_id, "height": 12, "width": 16, "file_name": f"{image_id}.jpg"})
    ann_file = tmp_path / "gt.json"
    ann_file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": CATEGORIES}))
    return {
        "ann_file": str(ann_file),
        "seg_prefix": str(tmp_path / "gt"),
        "maps": maps,
        "annotations": annotations,
    }


@pytest.fixture
def damage():
    """Shift a map by a few pixels, so that scores lie between 0 and 100."""

    def shift(values, seed=0):
        dy, dx = np.random.default_rng(seed).integers(1, 4, 2)
        return np.roll(values, (dy, dx), axis=(-2, -1))

    return shift


@pytest.fixture
def golden(golden_dir):
    """Folder and expected values of a set of reference inputs."""

    def load(name):
        folder = golden_dir / "metrics" / name
        return folder, json.loads((folder / "expected.json").read_text())

    return load


@pytest.fixture
def close(record_property):
    """Compare numbers and lists (NaN is `None` in the files); records the largest deviation."""
    largest = 0.0

    def check(actual, expected, tolerance):
        nonlocal largest
        actual = np.asarray(actual, dtype=float)
        expected = np.asarray(expected, dtype=float)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)
        largest = max(largest, float(np.nanmax(np.abs(actual - expected), initial=0.0)))

    yield check
    assert not math.isnan(largest)
    record_property("largest_deviation", largest)
    print(f"largest deviation {largest:.3g}")
