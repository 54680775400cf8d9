"""LVIS AP: its own rules, and the metric."""

import json

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

from omgseg.evaluation.functional import average_precision as faster_coco
from omgseg.evaluation.functional.average_precision import best_of_each_image, evaluate_lvis


def square(x, y=2, side=6):
    mask = np.zeros((20, 30), np.uint8, order="F")
    mask[y : y + side, x : x + side] = 1
    return mask


def encode(mask):
    rle = coco_mask.encode(mask)
    return {"size": rle["size"], "counts": rle["counts"].decode()}


@pytest.fixture
def content():
    """Image 1 has a cat (3), and no dog (9) at all; nobody looked for a cat in image 2. Nothing is known of 7."""
    return {
        "images": [
            {"id": i, "height": 20, "width": 30, "neg_category_ids": n, "not_exhaustive_category_ids": []}
            for i, n in ((1, [9]), (2, []))
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 3, "segmentation": encode(square(1)), "area": 36}
        ],
        "categories": [
            {"id": 7, "name": "sky", "frequency": "f"},
            {"id": 3, "name": "cat", "frequency": "r"},
            {"id": 9, "name": "dog", "frequency": "c"},
        ],
    }


def found(image_id, category_id, x, score):
    segmentation = encode(square(x))
    return {"image_id": image_id, "category_id": category_id, "segmentation": segmentation, "score": score}


def test_federated_rules(content):
    hit = found(1, 3, 1, 0.5)
    assert evaluate_lvis(content, [hit])[0]["AP"] == pytest.approx(1)
    elsewhere = [found(2, 3, 1, 0.9), found(2, 7, 1, 0.9), found(1, 7, 9, 0.9)]
    assert evaluate_lvis(content, [hit, *elsewhere])[0]["AP"] == pytest.approx(1), "nobody can tell"
    wrong = found(1, 3, 12, 0.9)
    assert evaluate_lvis(content, [hit, wrong])[0]["AP"] == pytest.approx(0.5)
    content["images"][0]["not_exhaustive_category_ids"] = [3]
    assert evaluate_lvis(content, [hit, wrong])[0]["AP"] == pytest.approx(1), "there may be more cats"


def test_frequency_groups(content):
    content["annotations"].append({**content["annotations"][0], "id": 2, "category_id": 9})
    values, per_category = evaluate_lvis(content, [found(1, 3, 1, 0.5)])
    assert per_category == pytest.approx({3: 1, 7: -1, 9: 0})
    assert [values[f"AP{group}"] for group in "rcf"] == pytest.approx([1, 0, -1])
    assert values["AP"] == pytest.approx(0.5)


def test_only_given_images_are_evaluated(content):
    content["annotations"].append({**content["annotations"][0], "id": 2, "image_id": 2})
    assert evaluate_lvis(content, [found(1, 3, 1, 0.5)])[0]["AR@300"] == pytest.approx(0.5)
    assert evaluate_lvis(content, [found(1, 3, 1, 0.5)], [1])[0]["AR@300"] == pytest.approx(1)


def test_categories_evaluated_apart_change_nothing(content, monkeypatch):
    content["annotations"] += [
        {**content["annotations"][0], "id": n, "category_id": c} for n, c in ((2, 9), (3, 7))
    ]
    results = [found(1, 3, 1, 0.5), found(1, 9, 2, 0.5), found(1, 9, 12, 0.9)]
    together = evaluate_lvis(content, results)
    monkeypatch.setattr(faster_coco, "MAX_PAIRS", 3)
    assert evaluate_lvis(content, results) == together
    assert len(set(together[1].values())) == 3


def test_best_of_each_image():
    results = [
        {"image_id": i, "score": s, "n": n} for n, (i, s) in enumerate([(2, 1), (1, 2), (2, 3), (2, 1)])
    ]
    assert [r["n"] for r in best_of_each_image(results, 2)] == [2, 0, 1]


def test_no_limit_a_category(content):
    """COCO's limit of 100 detections a category does not hold; 300 an image do, over all categories."""
    wrong = [found(1, 3, 12, 0.9)] * 150
    assert 0 < evaluate_lvis(content, [*wrong, found(1, 3, 1, 0.5)])[0]["AP"] < 0.01
    assert evaluate_lvis(content, [found(1, 7, 1, 0.9)] * 300 + [found(1, 3, 1, 0.5)])[0]["AP"] == 0


@pytest.fixture
def ann_file(content, tmp_path):
    path = tmp_path / "lvis.json"

    def write():
        path.write_text(json.dumps(content))
        return str(path)

    return write


def test_metric_equals_functional(content, ann_file, make_sample, run_metric):
    content["annotations"].append({**content["annotations"][0], "id": 2, "image_id": 2})  # not predicted
    masks = torch.as_tensor(np.stack([square(1, side=7), square(12)]).astype(bool))
    sample = make_sample(img_id=1)
    sample.pred_instances = InstanceData(
        labels=torch.tensor([0, 1]), scores=torch.tensor([0.5, 0.25]), masks=masks
    )
    values = run_metric({"type": "omgseg.LVISMetric", "ann_file": ann_file()}, [sample])
    entries = [
        {"image_id": 1, "category_id": c, "score": s, "segmentation": encode(np.asfortranarray(m.numpy()))}
        for c, s, m in zip([3, 9], [0.5, 0.25], masks.byte(), strict=True)
    ]
    expected, _ = evaluate_lvis(content, entries, [1])
    assert values == {f"lvis/{k}": v if v == -1 else 100 * v for k, v in expected.items()}
    assert 0 < values["lvis/AP"] < 100 and values["lvis/APf"] == -1
    assert evaluate_lvis(content, entries)[0]["AP"] < expected["AP"]


def test_other_files_are_refused(content, ann_file, run_metric):
    config = {"type": "omgseg.LVISMetric"}
    del content["categories"][1]["frequency"]
    with pytest.raises(ValueError, match=r"lvis\.json: category 3 has no 'frequency'.*LVIS v1"):
        run_metric({**config, "ann_file": ann_file()}, [])
    del content["images"][1]["neg_category_ids"]
    with pytest.raises(ValueError, match=r"lvis\.json: image 2 has no 'neg_category_ids'.*LVIS v1"):
        run_metric({**config, "ann_file": ann_file()}, [])
