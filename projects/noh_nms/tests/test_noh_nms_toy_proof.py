"""CrowdHuman's files in training and testing, and the toy proof from end to end, far too short to learn anything."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from omgseg.engine.config import check_arguments
from omgseg.projects.noh_nms import speed, toy_proof
from omgseg.projects.noh_nms.dataset import CrowdMetric
from omgseg.registry import DATASETS, METRICS, MODELS
from omgseg.toy.generate import generate_crowd

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return generate_crowd(tmp_path_factory.mktemp("crowd") / "CrowdHuman", train_images=3, val_images=2)


@pytest.mark.parametrize("name", ["faster_rcnn_r50", "toy"])
def test_a_config_names_only_arguments_that_exist_and_its_parts_build(name, data, monkeypatch, tmp_path):
    (tmp_path / "crowd").symlink_to(data)
    monkeypatch.setenv("OMGSEG_DATA", str(data.parent))
    monkeypatch.setenv("OMGSEG_TOY", str(tmp_path))
    config = Config.fromfile(CONFIGS / f"{name}.py")
    check_arguments(config)
    with torch.device("meta"):
        MODELS.build(config.model)
    train, val = (DATASETS.build(config[f"{split}_dataloader"].dataset) for split in ("train", "val"))
    assert len(train) == 3 and len(val) == 2
    side = min(config.image_scale)
    sample = train[0]["data_samples"]
    assert sample.img_shape == (side, side) and 0 < len(sample.gt_instances) <= 20
    shown = val[1]
    assert shown["inputs"].shape == (3, side, side) and shown["data_samples"].img_id == "val_000001"
    METRICS.build(config.val_evaluator[0])


def test_boxes_out_of_the_picture_stay_whole(data):
    pipeline = [dict(type="mmdet.LoadAnnotations", with_bbox=True)]
    dataset = DATASETS.build(
        dict(type="OdgtDataset", ann_file=str(data / "annotation_train.odgt"), pipeline=pipeline)
    )
    lines = (data / "annotation_train.odgt").read_text().splitlines()
    for index, line in enumerate(lines):
        people = json.loads(line)["gtboxes"]
        found = dataset[index]
        boxes = np.array([box["fbox"] for box in people])
        boxes[:, 2:] += boxes[:, :2]
        assert np.allclose(found["gt_bboxes"].tensor.numpy(), boxes, atol=1e-3)
        assert found["gt_ignore_flags"].tolist() == ["ignore" in box["extra"] for box in people]


def test_the_metric_is_the_evaluation_in_percent(data):
    metric = CrowdMetric(str(data / "annotation_val.odgt"))
    lines = (data / "annotation_val.odgt").read_text().splitlines()
    for entry in map(json.loads, lines):
        boxes = torch.tensor([box["fbox"] for box in entry["gtboxes"]])
        boxes[:, 2:] += boxes[:, :2]
        found = dict(bboxes=boxes, scores=torch.full((len(boxes),), 0.5))
        metric.process({}, [dict(img_id=entry["ID"], ori_shape=(128, 128), pred_instances=found)])
    scores = metric.evaluate(len(lines))
    assert scores["crowd_human/AP"] == scores["crowd_human/Recall"] == 100 and scores["crowd_human/MR"] < 1
    metric.process({}, [dict(img_id="other", ori_shape=(9, 9), pred_instances=found)])
    with pytest.raises(ValueError, match=r"annotation_val\.odgt, line 1: the size of the image val_000000"):
        metric.evaluate(1)


def test_one_training_serves_all_rows(tmp_path, monkeypatch):
    monkeypatch.setenv("OMGSEG_TOY", str(tmp_path))
    for title in ("greedy, 0.4", "greedy, 0.6", "Soft-NMS, Gaussian"):
        monkeypatch.delitem(toy_proof.ROWS, title)  # go the same way
    scores = toy_proof.main(["--quick", "--seeds", "0", "--work-dir", str(tmp_path)])
    assert list(scores) == ["greedy, 0.5", "Soft-NMS, linear", "Adaptive-NMS", "NOH-NMS"]
    assert all(list(run) == ["AP", "Recall", "MR"] for (run,) in scores.values())
    saved = json.loads((tmp_path / "metrics.json").read_text())
    assert saved["scores"] == scores and saved["crowd"]["people"] > 5
    rows = (tmp_path / "table.md").read_text().splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == list(scores)


def test_the_speed_of_all_methods_is_shown(capsys):
    times = speed.main(["--boxes", "40", "--repeats", "2"])
    assert len(times) == 6 and all(len(found) == 2 for found in times.values())
    assert "| noh " in capsys.readouterr().out
