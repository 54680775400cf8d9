"""Two real COCO images through the benchmark configs, with their own annotations as the prediction.

Dataset, sample and metrics are those of ``tools/test.py``; the annotations are read here by other means.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData, PixelData
from PIL import Image

from omgseg.registry import DATASETS
from omgseg.structures import Vocabulary

BENCHMARKS = Path(__file__).parents[2] / "configs/benchmarks"

FOUND_AND_MISSED = {  # by category id, when segments 2, 5, 8, ... of each image are dropped; crowd regions do not count
    1: (18, 8),  # person: 13 in each image, segments 0 to 12, of which 2, 5, 8 and 11 are dropped
    37: (1, 0),  # sports ball: segment 13 of the first image
    8: (1, 1),  # truck: segments 13 and 14 of the second one
    19: (8, 3),  # horse: 15 to 25 of the second one, without 17, 20 and 23
    125: (0, 1),  # gravel: 26 of the second one
    184: (1, 1),  # tree: 14 of the first one, 27 of the second one
    187: (2, 0),  # sky: 15 and 28
    193: (1, 1),  # grass: 16 and 29
}
THINGS = (1, 37, 8, 19)


def every_third(index: int) -> bool:
    return index % 3 == 2


def none(index: int) -> bool:
    return False


class Truth:
    """The annotations of an image: ids of the PNG, and segments with ``id``, ``category_id``, ``iscrowd``."""

    def __init__(self, folder: Path, image_id: int) -> None:
        content = json.loads((folder / "panoptic_val2017.json").read_text())
        (entry,) = [each for each in content["annotations"] if each["image_id"] == image_id]
        red, green, blue = np.moveaxis(
            np.array(Image.open(folder / "panoptic_val2017" / entry["file_name"]), int), 2, 0
        )
        self.ids = red + 256 * green + 65536 * blue
        self.all_segments = entry["segments_info"]
        self.segments = [segment for segment in self.all_segments if not segment["iscrowd"]]

    def masks(self, segments: list[dict]) -> torch.Tensor:
        return torch.from_numpy(np.stack([self.ids == segment["id"] for segment in segments]))


Predict = Callable[[DetDataSample, Truth, Vocabulary, Callable[[int], bool]], None]


@pytest.fixture
def run(real_samples_dir, monkeypatch):
    """Run a benchmark config's dataset and metrics on predictions made of the annotations."""
    monkeypatch.setenv("OMGSEG_DATA", str(real_samples_dir))
    monkeypatch.delenv("OMGSEG_VOCABULARIES", raising=False)

    def run(name: str, predict: Predict, dropped: Callable[[int], bool] = none) -> dict[str, float]:
        config = Config.fromfile(BENCHMARKS / f"{name}.py")
        dataset = DATASETS.build(config.test_dataloader.dataset)
        evaluator = Evaluator([dict(metric, _scope_="omgseg") for metric in config.test_evaluator])
        evaluator.dataset_meta = dataset.metainfo
        for index in range(len(dataset)):
            sample = dataset[index]["data_samples"]
            truth = Truth(real_samples_dir / "coco/annotations", sample.img_id)
            assert truth.ids.shape == sample.ori_shape
            predict(sample, truth, dataset.vocabulary, dropped)
            evaluator.process([sample])
        return evaluator.evaluate(len(dataset))

    return run


def panoptic(sample, truth, vocabulary, dropped):
    """Label + 1000 * instance; crowd regions and dropped segments are void."""
    values = np.full(truth.ids.shape, len(vocabulary))
    for index, segment in enumerate(truth.segments):
        if not dropped(index):
            label = vocabulary.id_to_label[segment["category_id"]]
            values[truth.ids == segment["id"]] = label + 1000 * (index + 1) * vocabulary[label].is_thing
    sample.pred_panoptic_seg = PixelData(sem_seg=torch.from_numpy(values.astype(np.int32))[None])


def instances(sample, truth, vocabulary, dropped):
    kept = [
        segment
        for index, segment in enumerate(truth.segments)
        if segment["category_id"] in THINGS and not dropped(index)
    ]
    labels = torch.tensor([vocabulary.id_to_label[segment["category_id"]] for segment in kept])
    masks = truth.masks(kept)
    sample.pred_instances = InstanceData(labels=labels, scores=torch.ones(len(kept)), masks=masks)


def semantic(sample, truth, vocabulary, dropped):
    """Every segment's category, crowd regions too; what has no annotation is not evaluated."""
    values = np.zeros(truth.ids.shape, np.int64)
    for segment in truth.all_segments:
        values[truth.ids == segment["id"]] = vocabulary.id_to_label[segment["category_id"]]
    sample.pred_sem_seg = PixelData(sem_seg=torch.from_numpy(values)[None])


def interactive(sample, truth, vocabulary, dropped):
    """A mask for each prompt; empty for those that are dropped."""
    order = {segment["id"]: index for index, segment in enumerate(truth.segments)}
    indices = [order[identity] for identity in sample.gt_instances.instances_ids.tolist()]
    masks = truth.masks([truth.segments[index] for index in indices])
    masks[[dropped(index) for index in indices]] = False
    sample.pred_instances = InstanceData(masks=masks)


def test_panoptic(run):
    scores = run("coco_panoptic", panoptic)
    for name in ("PQ", "SQ", "RQ", "PQ_th", "PQ_st"):
        assert scores[f"coco_panoptic/{name}"] == 100


def test_panoptic_without_every_third_segment(run):
    """A found segment has IoU 1 and none is invented: PQ = TP / (TP + FN / 2) of each class, averaged over classes."""
    scores = run("coco_panoptic", panoptic, every_third)
    quality = {key: found / (found + missed / 2) for key, (found, missed) in FOUND_AND_MISSED.items()}
    by_hand = (18 / 22 + 1 + 1 / 1.5 + 8 / 9.5 + 0 + 1 / 1.5 + 1 + 1 / 1.5) / 8
    assert np.mean(list(quality.values())) == pytest.approx(by_hand)
    assert scores["coco_panoptic/PQ"] == pytest.approx(100 * by_hand, abs=1e-9)
    things = [quality[key] for key in THINGS]
    stuff = [quality[key] for key in quality if key not in THINGS]
    assert scores["coco_panoptic/PQ_th"] == pytest.approx(100 * np.mean(things), abs=1e-9)
    assert scores["coco_panoptic/PQ_st"] == pytest.approx(100 * np.mean(stuff), abs=1e-9)
    assert scores["coco_panoptic/SQ"] == pytest.approx(100 * 7 / 8, abs=1e-9)  # no gravel is found


def test_instance(run):
    scores = run("coco_instance", instances)
    for name in ("AP", "AP50", "AP75", "APs", "APm", "AR@100", "AP_boundary"):
        assert scores[f"coco_instance/{name}"] == pytest.approx(100, abs=1e-9), name


def test_instance_without_every_third_segment(run):
    """Precision is 1 up to the recall that is reached: AP is the share of the recall levels 0, 0.01, ..., 1 below."""
    scores = run("coco_instance", instances, every_third)
    levels = [70, 101, 51, 73]  # recalls 18 / 26, 1 / 1, 1 / 2, 8 / 11
    assert levels == [
        100 * found // (found + missed) + 1 for found, missed in map(FOUND_AND_MISSED.get, THINGS)
    ]
    assert scores["coco_instance/AP"] == pytest.approx(100 * sum(levels) / (4 * 101), abs=1e-9)
    recall = (18 / 26 + 1 + 1 / 2 + 8 / 11) / 4
    assert scores["coco_instance/AR@100"] == pytest.approx(100 * recall, abs=1e-9)


def test_semantic(run):
    scores = run("coco_semantic", semantic)
    for name in ("mIoU", "mIoU_gt", "mAcc", "aAcc", "fwIoU"):
        assert scores[f"coco_semantic/{name}"] == 100


def test_interactive(run):
    scores = run("coco_interactive", interactive)
    for name in ("mIoU", "IoU@50", "IoU@75", "oIoU"):
        assert scores[f"interactive/{name}"] == 100


def test_interactive_without_every_third_segment(run):
    """17 + 30 masks are prompted for, 5 + 10 of which are not found."""
    scores = run("coco_interactive", interactive, every_third)
    assert sum(map(sum, FOUND_AND_MISSED.values())) == 47
    assert (
        scores["interactive/mIoU"] == scores["interactive/IoU@75"] == pytest.approx(100 * 32 / 47, abs=1e-9)
    )
