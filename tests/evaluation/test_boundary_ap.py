"""Boundary AP against the official recipe: erode the framed mask of the whole image, step by step."""

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from omgseg.evaluation.functional.average_precision import band_width, evaluate_instances, mask_band

# Among them bands of 5.5 and 6.5 pixels, and an image that is lower than a band.
SIZES = [(60, 80), (165, 220), (195, 260), (5, 126), (1, 40)]


def official_band(mask):
    height, width = mask.shape
    pixels = max(1, int(round(0.02 * np.sqrt(height**2 + width**2))))
    inner = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    for _ in range(pixels):
        inner = cv2.erode(inner, np.ones((3, 3), np.uint8))
    return mask - inner[1:-1, 1:-1]


def blob(rng, height, width):
    field = rng.standard_normal((height, width)).astype(np.float32)
    return (cv2.GaussianBlur(field, (0, 0), 9) > 0).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_band(height, width):
    rng = np.random.default_rng(height)
    for mask in (blob(rng, height, width), np.ones((height, width), np.uint8)):
        np.testing.assert_array_equal(mask_band(mask, band_width(height, width)), official_band(mask))
    assert not mask_band(np.zeros((height, width), np.uint8), 3).any()


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def encode(mask):
    return coco_mask.encode(np.asfortranarray(mask))


def test_average_precision():
    """One object and one detection a category: AP is the share of thresholds that their IoU reaches."""
    rng = np.random.default_rng(0)
    images, annotations, results, expected = [], [], [], {}
    for image_id, (height, width) in enumerate(SIZES[:4], start=1):
        truth = blob(rng, height, width)
        predicted = np.roll(truth, 1, axis=1)
        images.append({"id": image_id, "height": height, "width": width})
        entry = {"image_id": image_id, "category_id": image_id, "segmentation": encode(truth)}
        annotations.append({**entry, "id": image_id, "area": int(truth.sum()), "iscrowd": 0})
        results.append({**entry, "segmentation": encode(predicted), "score": 0.5})
        overlap = min(iou(truth, predicted), iou(official_band(truth), official_band(predicted)))
        expected[image_id] = np.mean(overlap >= np.linspace(0.5, 0.95, 10))
    ground_truth = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": image["id"], "name": str(image["id"])} for image in images],
    }
    values, per_category = evaluate_instances(ground_truth, results, boundary=True)
    assert per_category == pytest.approx(expected)
    assert 0 < values["AP"] < evaluate_instances(ground_truth, results)[0]["AP"]


def test_order_of_detections_and_crowd():
    """Rows of the IoU table belong to the detections by falling score; crowd keeps the mask IoU."""
    truth, crowd = np.zeros((60, 80), np.uint8), np.zeros((60, 80), np.uint8)
    truth[5:40, 5:40], crowd[5:55, 50:75] = 1, 1
    near, inside = np.roll(truth, 4, axis=1), np.zeros_like(truth)
    inside[20:30, 55:65] = 1  # no band in common with the crowd region
    entry = {"image_id": "a", "category_id": 1}
    ground_truth = {
        "images": [{"id": "a", "height": 60, "width": 80}],
        "categories": [{"id": 1, "name": "x"}],
        "annotations": [
            {**entry, "id": 1, "area": 1225, "iscrowd": 0, "segmentation": encode(truth)},
            {**entry, "id": 2, "area": 1250, "iscrowd": 1, "segmentation": encode(crowd)},
        ],
    }
    scored = [(truth, 0.5), (near, 0.9), (inside, 0.95)]
    assert iou(near, truth) > 0.75 and iou(official_band(near), official_band(truth)) < 0.5
    results = [{**entry, "segmentation": encode(mask), "score": score} for mask, score in scored]
    assert evaluate_instances(ground_truth, results, boundary=True)[0]["AP"] == pytest.approx(0.5)
