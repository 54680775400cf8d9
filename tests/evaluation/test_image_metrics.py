"""Metrics of images, from data samples to percent."""

import json

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from omgseg.evaluation.functional.average_precision import evaluate_instances
from omgseg.evaluation.functional.panoptic import PanopticAnnotations
from omgseg.evaluation.functional.semantic import (
    confusion_matrix,
    summarize_confusion,
    summarize_zero_shot,
)
from omgseg.evaluation.metrics import base
from omgseg.structures.label_png import write_panoptic_png, write_png
from tests.evaluation.whole import evaluate_files

ID_OF_LABEL = np.array([3, 9, 7])


def panoptic_config(panoptic_set, **options):
    paths = {key: panoptic_set[key] for key in ("ann_file", "seg_prefix")}
    return {"type": "omgseg.CocoPanopticMetric", **paths, **options}


def panoptic_samples(make_sample, maps):
    return [make_sample({"pred_panoptic_seg": v.astype(np.int32)}, img_id=i) for i, v in maps.items()]


def test_panoptic_metric_equals_evaluation_of_files(panoptic_set, make_sample, run_metric, damage, tmp_path):
    maps = {i: damage(values, seed=i) for i, values in panoptic_set["maps"].items()}
    annotations = []
    for image_id, values in maps.items():
        ids = np.where(values == 3, 0, values + 77)
        write_panoptic_png(tmp_path / "pred" / f"{image_id}.png", ids)
        segments = [
            {"id": int(i), "category_id": int(ID_OF_LABEL[(i - 77) % 1000])} for i in np.unique(ids) if i > 0
        ]
        annotations.append({"image_id": image_id, "file_name": f"{image_id}.png", "segments_info": segments})
    (tmp_path / "pred.json").write_text(json.dumps({"annotations": annotations}))
    stat = evaluate_files(
        PanopticAnnotations(panoptic_set["ann_file"], panoptic_set["seg_prefix"]),
        PanopticAnnotations(tmp_path / "pred.json", tmp_path / "pred", fields=("annotations",)),
    )
    groups = {"animals": ["cat", "dog"], "cats": ["cat"], "other": ["sky"]}
    values = run_metric(panoptic_config(panoptic_set, groups=groups), panoptic_samples(make_sample, maps))

    mean = stat.mean()
    expected = {name.upper(): 100 * mean[name] for name in ("pq", "sq", "rq")}
    for name, select in {
        "PQ_th": [0, 1, 1],
        "PQ_st": [1, 0, 0],
        "PQ_animals": [0, 1, 1],
        "PQ_cats": [0, 1, 0],
        "PQ_other": [1, 0, 0],
    }.items():
        expected[name] = 100 * stat.mean(np.array(select))["pq"]
    assert values == pytest.approx({f"coco_panoptic/{k}": v for k, v in expected.items()}, abs=1e-12)
    assert 0 < values["coco_panoptic/PQ"] < 100


def test_panoptic_maps_are_encoded_as_in_mmdet():
    from mmdet.evaluation import functional

    assert base.INSTANCE_OFFSET == functional.INSTANCE_OFFSET


def test_perfect_panoptic_prediction(panoptic_set, make_sample, run_metric):
    config = panoptic_config(panoptic_set, prefix="mine")
    values = run_metric(config, panoptic_samples(make_sample, panoptic_set["maps"]))
    assert values == {f"mine/{name}": 100 for name in ("PQ", "SQ", "RQ", "PQ_th", "PQ_st")}


def test_image_without_prediction_counts_as_missed(panoptic_set, make_sample, run_metric):
    maps = {i: np.full_like(v, 3) for i, v in panoptic_set["maps"].items()}
    values = run_metric(panoptic_config(panoptic_set), panoptic_samples(make_sample, maps))
    assert set(values.values()) == {0}
    maps = {**panoptic_set["maps"], 10: maps[10]}
    values = run_metric(panoptic_config(panoptic_set), panoptic_samples(make_sample, maps))
    assert 0 < values["coco_panoptic/PQ"] < 100 and values["coco_panoptic/SQ"] == 100


@pytest.fixture
def instance_set(panoptic_set, categories, tmp_path):
    """The things of the panoptic set as a COCO instance file."""
    annotations = []
    for image_id, values in panoptic_set["maps"].items():
        for value in np.unique(values[values >= 1000]):
            rle = coco_mask.encode(np.asfortranarray(values == value, dtype=np.uint8))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(ID_OF_LABEL[value % 1000]),
                    "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
                    "area": int((values == value).sum()),
                    "iscrowd": 0,
                }
            )
    images = [{"id": i, "height": 12, "width": 16} for i in panoptic_set["maps"]]
    content = {"images": images, "annotations": annotations, "categories": categories[1:]}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    return str(tmp_path / "instances.json"), content


def instance_samples(make_sample, maps, score):
    samples = []
    for image_id, values in maps.items():
        present = np.unique(values[values >= 1000])
        sample = make_sample(img_id=image_id)
        sample.pred_instances = InstanceData(
            labels=torch.as_tensor(present % 1000),
            scores=torch.tensor([score(image_id, int(v)) for v in present]),
            masks=torch.as_tensor(values[None] == present[:, None, None]),
        )
        samples.append(sample)
    return samples


def test_instance_metric_equals_evaluation_of_files(
    instance_set, panoptic_set, make_sample, run_metric, damage
):
    ann_file, content = instance_set
    maps = {i: damage(values, seed=i) for i, values in panoptic_set["maps"].items()}
    samples = instance_samples(make_sample, maps, lambda image_id, value: (value // 1000) / 4)
    values = run_metric({"type": "omgseg.CocoInstanceMetric", "ann_file": ann_file}, samples)
    results = []
    for sample in samples:
        predicted = sample.pred_instances
        for label, score, mask in zip(predicted.labels, predicted.scores, predicted.masks, strict=True):
            rle = coco_mask.encode(np.asfortranarray(mask.numpy(), dtype=np.uint8))
            category = int(ID_OF_LABEL[label])
            results.append(
                {
                    "image_id": sample.img_id,
                    "category_id": category,
                    "segmentation": rle,
                    "score": float(score),
                }
            )
    results.sort(key=lambda r: r["image_id"])
    expected, _ = evaluate_instances(content, results)
    assert values == {f"coco_instance/{k}": v if v == -1 else 100 * v for k, v in expected.items()}
    assert 0 < values["coco_instance/AP"] < 100
    assert values["coco_instance/APl"] == -1, "no large object: undefined, as COCO has it"


def test_instance_metric_of_groups(instance_set, panoptic_set, make_sample, run_metric, damage):
    maps = {i: damage(values, seed=i) for i, values in panoptic_set["maps"].items()}
    samples = instance_samples(make_sample, maps, lambda image_id, value: (value // 1000) / 4)

    def values(**groups):
        config = dict(type="omgseg.CocoInstanceMetric", ann_file=instance_set[0], groups=groups)
        found = run_metric(config, samples)
        return {name.removeprefix("coco_instance/"): value for name, value in found.items()}

    both = values(base=[3], novel=[9])
    assert both["AP"] == pytest.approx((both["AP_base"] + both["AP_novel"]) / 2)
    assert both["AP_base"] != both["AP_novel"] and "AP_base" not in values()
    alone = values(novel=[9], none=[])
    assert alone["AP"] == alone["AP_novel"] == both["AP_novel"] and alone["AP_none"] == -1


def test_instance_metric_extremes(instance_set, panoptic_set, make_sample, run_metric):
    config = {"type": "omgseg.CocoInstanceMetric", "ann_file": instance_set[0]}
    perfect = instance_samples(make_sample, panoptic_set["maps"], lambda *_: 0.5)
    assert run_metric(config, perfect)["coco_instance/AP"] == pytest.approx(100)
    some = run_metric(config, perfect[:1])
    assert some["coco_instance/AP"] == pytest.approx(100), "images that were not predicted are not evaluated"
    nothing = {i: np.zeros_like(v) for i, v in panoptic_set["maps"].items()}
    assert run_metric(config, instance_samples(make_sample, nothing, None))["coco_instance/AP"] == 0


@pytest.mark.parametrize("kind", ["panoptic", "index"])
def test_semantic_metric_reads_both_kinds_of_maps(
    panoptic_set, make_sample, run_metric, damage, tmp_path, kind
):
    samples, confusion = [], 0
    for annotation in panoptic_set["annotations"]:
        image_id = annotation["image_id"]
        truth = panoptic_set["maps"][image_id] % 1000
        predicted = damage(truth) % 3
        confusion = confusion + confusion_matrix(truth, predicted, 3, ignore_index=3)
        metainfo = {"img_id": image_id, "seg_map_path": f"{panoptic_set['seg_prefix']}/{image_id}.png"}
        if kind == "panoptic":
            metainfo["segments_info"] = annotation["segments_info"]
        else:
            metainfo["seg_map_path"] = tmp_path / "index" / f"{image_id}.png"
            write_png(metainfo["seg_map_path"], np.array([3, 9, 7, 255], np.uint8)[truth])
        samples.append(make_sample({"pred_sem_seg": predicted}, **metainfo))
    values = run_metric({"type": "omgseg.SemanticMetric"}, samples)
    expected = summarize_confusion(confusion)
    assert set(values) == {f"semantic/{name}" for name in ("mIoU", "mIoU_gt", "mAcc", "aAcc", "fwIoU")}
    assert values == pytest.approx({k: 100 * expected[k.split("/")[1]] for k in values}, abs=1e-12)
    assert 0 < values["semantic/mIoU"] < 100


def test_semantic_metric_of_seen_and_unseen_classes(panoptic_set, make_sample, run_metric, damage):
    samples, confusion = [], 0
    for annotation in panoptic_set["annotations"]:
        image_id = annotation["image_id"]
        truth = panoptic_set["maps"][image_id] % 1000
        predicted = damage(truth) % 3
        confusion = confusion + confusion_matrix(truth, predicted, 3, ignore_index=3)
        path = f"{panoptic_set['seg_prefix']}/{image_id}.png"
        metainfo = dict(img_id=image_id, seg_map_path=path, segments_info=annotation["segments_info"])
        samples.append(make_sample({"pred_sem_seg": predicted}, **metainfo))
    config = {"type": "omgseg.SemanticMetric", "unseen": ["dog"]}
    values = run_metric(config, samples)
    seen, unseen = np.split(100 * summarize_confusion(confusion)["IoU"][[0, 2, 1]], [2])
    assert values["semantic/mIoU_seen"] == pytest.approx(seen.mean())
    assert values["semantic/mIoU_unseen"] == pytest.approx(unseen[0])
    assert values["semantic/hIoU"] == pytest.approx(2 / (1 / seen.mean() + 1 / unseen[0]))
    with pytest.raises(ValueError, match="'horse' is no category of"):
        run_metric({**config, "unseen": ["horse"]}, samples)


def test_scores_of_classes_that_do_not_occur():
    scores = summarize_zero_shot(np.array([np.nan, 0.5, 0.0]), [0])
    assert scores["mIoU_seen"] == 0.25 and np.isnan(scores["mIoU_unseen"]) and np.isnan(scores["hIoU"])
    assert summarize_zero_shot(np.array([0.0, 0.0]), [1])["hIoU"] == 0


def test_interactive_metric(make_sample, run_metric):
    truth = torch.zeros(3, 8, 8, dtype=torch.bool)
    truth[:, :4] = True
    predicted = truth.clone()
    predicted[1, 2:] = False  # IoU 0.5
    predicted[2] = False  # IoU 0
    samples = []
    for image_id, rows in enumerate([slice(0, 1), slice(1, 3), slice(0, 0)]):
        sample = make_sample(img_id=image_id)
        sample.gt_instances = InstanceData(masks=truth[rows])
        sample.pred_instances = InstanceData(masks=predicted[rows])
        samples.append(sample)
    values = run_metric({"type": "omgseg.InteractiveMetric"}, samples)
    expected = {"mIoU": 50, "IoU@50": 200 / 3, "IoU@75": 100 / 3, "oIoU": 50}
    assert values == pytest.approx({f"interactive/{k}": v for k, v in expected.items()})


def test_a_pixel_without_a_class_is_missed_and_no_false_alarm():
    truth, predicted = np.array([0, 0, 1, 1]), np.array([0, 3, 3, 1])
    with pytest.raises(ValueError, match="label 3, but there are 3 classes"):
        confusion_matrix(truth, predicted, 3)
    found = summarize_confusion(confusion_matrix(truth, predicted, 3, with_void=True))
    assert found["IoU"][:2].tolist() == [0.5, 0.5] and np.isnan(found["IoU"][2])
    assert (found["mIoU"], found["aAcc"], found["mAcc"], found["fwIoU"]) == (0.5, 0.5, 0.5, 0.5)
