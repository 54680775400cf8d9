"""LVIS AP against the official package, which runs in a process of its own: it needs an alias that numpy 2 lacks."""

import json
import subprocess
import sys

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from omgseg.evaluation.functional.average_precision import evaluate_lvis

OFFICIAL = """
import json, sys
import numpy as np
np.float = float
from lvis import LVIS, LVISEval, LVISResults
truth = LVIS(sys.argv[1])
evaluation = LVISEval(truth, LVISResults(truth, sys.argv[2]), "segm")
evaluation.run()
print(json.dumps(evaluation.get_results()))
"""
HEIGHT, WIDTH, CATEGORIES, IMAGES = 60, 80, 6, 8


def random_mask(rng: np.random.Generator) -> dict:
    x, y = rng.integers(0, (WIDTH - 30, HEIGHT - 30))
    width, height = rng.integers(4, 30, 2)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    mask[y : y + height, x : x + width] = 1
    rle = coco_mask.encode(mask)
    return {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode(), "area": int(mask.sum())}


def world(seed: int) -> tuple[dict, list[dict]]:
    """Ground truth, and detections that partly shift it, partly are anything; scores tie."""
    rng = np.random.default_rng(seed)
    truth = {
        "images": [],
        "annotations": [],
        "categories": [
            {"id": 3 * k + 1, "name": f"c{k}", "frequency": "rcf"[k % 3]} for k in range(CATEGORIES)
        ],
    }
    found: list[dict] = []
    for image in range(1, IMAGES + 1):
        present = rng.choice(CATEGORIES, 3, replace=False)
        absent = [k for k in range(CATEGORIES) if k not in present][: rng.integers(0, 3)]
        truth["images"].append(
            {
                "id": image,
                "height": HEIGHT,
                "width": WIDTH,
                "neg_category_ids": [3 * k + 1 for k in absent],
                "not_exhaustive_category_ids": [int(3 * k + 1) for k in present if rng.random() < 0.3],
            }
        )
        for _ in range(rng.integers(1, 8)):
            mask = random_mask(rng)
            area, category = mask.pop("area"), int(3 * rng.choice(present) + 1)
            number = len(truth["annotations"]) + 1
            box = coco_mask.toBbox(mask).tolist()
            own = dict(
                id=number, image_id=image, category_id=category, segmentation=mask, area=area, bbox=box
            )
            truth["annotations"].append(own)
            if rng.random() < 0.7:
                found.append(dict(image_id=image, category_id=category, segmentation=mask))
        for _ in range(rng.integers(0, 10)):
            mask = random_mask(rng)
            del mask["area"]
            category = int(3 * rng.integers(CATEGORIES) + 1)
            found.append(dict(image_id=image, category_id=category, segmentation=mask))
    for detection in found:
        detection["score"] = float(rng.integers(1, 10)) / 10
    return truth, found


@pytest.mark.parametrize("seed", [0, 1])
def test_it_equals_the_official_package(seed, tmp_path):
    truth, found = world(seed)
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "found.json").write_text(json.dumps(found))
    command = [sys.executable, "-W", "ignore", "-c", OFFICIAL]
    printed = subprocess.run(
        [*command, str(tmp_path / "truth.json"), str(tmp_path / "found.json")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    official = json.loads(printed.splitlines()[-1])
    ours, _ = evaluate_lvis(truth, found)
    assert 0.1 < official["AP"] < 0.9
    assert ours == pytest.approx(official, abs=1e-12)
