"""Average recall of proposals, against pycocotools."""

import contextlib
import copy
import io
import json

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from omgseg.evaluation.functional.average_precision import evaluate_proposals
from omgseg.evaluation.metrics import ProposalMetric
from omgseg.structures import Vocabulary
from omgseg.structures.run_lengths import encode_masks, mask_areas

SIZE = (120, 160)


def boxes_of(rng, count: int) -> np.ndarray:
    """Masks (N, H, W) of random rectangles, small and large."""
    masks = np.zeros((count, *SIZE), bool)
    for mask in masks:
        height, width = rng.integers(4, 110, 2)
        y, x = rng.integers(0, 100, 2)
        mask[y : y + height, x : x + width] = True
    return masks


def shifted(masks: np.ndarray, rng) -> np.ndarray:
    return np.stack([np.roll(mask, rng.integers(-4, 5, 2), (0, 1)) for mask in masks])


@pytest.fixture(scope="module")
def random_data() -> tuple[dict, list[dict]]:
    """Objects of several classes, some of them crowds, and more proposals than are counted."""
    rng = np.random.default_rng(4)
    truth = {
        "images": [{"id": 10 * n, "height": SIZE[0], "width": SIZE[1]} for n in range(5)],
        "annotations": [],
        "categories": [{"id": n, "name": f"class {n}"} for n in (3, 5, 8)],
    }
    results = []
    for image in truth["images"][:4]:  # the last one has no object
        masks = boxes_of(rng, 9)
        rles = encode_masks(masks)
        for encoded, area in zip(rles, mask_areas(rles), strict=True):
            truth["annotations"].append(
                {
                    "id": len(truth["annotations"]) + 1,
                    "image_id": image["id"],
                    "category_id": int(rng.choice([3, 5, 8])),
                    "segmentation": encoded,
                    "area": int(area),
                    "bbox": [0, 0, 1, 1],
                    "iscrowd": int(rng.random() < 0.2),
                }
            )
        found = np.concatenate([shifted(masks, rng), boxes_of(rng, 40)])
        scores = rng.permutation(len(found)) / len(found)
        results += [
            {"image_id": image["id"], "segmentation": mask, "score": float(score)}
            for mask, score in zip(encode_masks(found), scores, strict=True)
        ]
    return truth, results


def test_equals_pycocotools_without_categories(random_data):
    truth, results = random_data
    counts = (5, 20, 45)
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = copy.deepcopy(truth)
        gt.createIndex()
        dt = gt.loadRes([{**copy.deepcopy(entry), "category_id": 3} for entry in results])
        official = COCOeval(gt, dt, "segm")
        official.params.useCats = 0
        official.params.maxDets = list(counts)
        official.evaluate()
        official.accumulate()
    recall = official.eval["recall"]  # (T, 1, 4, M)
    expected = {f"AR@{count}": recall[:, 0, 0, m].mean() for m, count in enumerate(counts)}
    expected |= {f"AR{name}@45": recall[:, 0, n, -1].mean() for n, name in enumerate("sml", start=1)}
    before = copy.deepcopy((truth, results))
    assert evaluate_proposals(truth, results, max_proposals=counts) == pytest.approx(expected)
    assert 0.1 < expected["AR@5"] < expected["AR@20"] < expected["AR@45"] < 1
    assert (truth, results) == before, "nothing is changed"


def test_the_metric_counts_a_hundred_and_a_thousand(random_data, tmp_path):
    truth, results = random_data
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    metric = ProposalMetric(str(tmp_path / "truth.json"))
    metric.dataset_meta = dict(vocabulary=Vocabulary())
    for image in truth["images"]:
        found = [entry for entry in results if entry["image_id"] == image["id"]]
        fields = InstanceData(
            masks=[entry["segmentation"] for entry in found],
            scores=torch.tensor([entry["score"] for entry in found], dtype=torch.float64),
        )
        metric.process(None, [dict(img_id=image["id"], pred_proposals=fields.to_dict())])
    values = metric.evaluate(len(truth["images"]))
    expected = evaluate_proposals(truth, results)
    assert values == {f"proposals/{name}": pytest.approx(100 * value) for name, value in expected.items()}
    assert list(expected) == ["AR@100", "AR@1000", "ARs@1000", "ARm@1000", "ARl@1000"]
    with pytest.raises(ValueError, match="has no entry with id 7"):
        metric.process(None, [dict(img_id=7, pred_proposals=fields.to_dict())])
    small = dict(masks=encode_masks(np.ones((1, 3, 3), bool)), scores=np.ones(1))
    with pytest.raises(ValueError, match=r"image 0: predicted masks have size \(3, 3\)"):
        metric.process(None, [dict(img_id=0, pred_proposals=small)])
    with pytest.raises(ValueError, match="pred_proposals"):
        metric.process(None, [dict(img_id=0)])
