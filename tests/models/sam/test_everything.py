"""Everything mode gives the published list, and its parts the published values."""

import numpy as np
import pytest
import torch

from omgseg.models.geometry import mask_boxes
from omgseg.models.sam.everything import (
    Candidates,
    Found,
    GridConfig,
    crop_boxes,
    ends_at_crop,
    find_everything,
    point_grid,
    remove_regions,
    stability,
    without_small_regions,
)
from omgseg.models.sam.model import to_model_frame
from omgseg.structures.run_lengths import encode_masks

PUBLISHED = dict(
    points_per_side="points_per_side",
    points_per_batch="points_per_batch",
    pred_iou_thresh="min_iou",
    stability_score_thresh="min_stability",
    stability_score_offset="stability_offset",
    box_nms_thresh="max_overlap",
    crop_nms_thresh="crop_max_overlap",
    crop_n_layers="crop_layers",
    crop_n_points_downscale_factor="crop_points_divisor",
    crop_overlap_ratio="crop_overlap",
    min_mask_region_area="min_region_area",
)


def encoder_of(model):
    def encode(pixels):
        image, geometry = model.preprocess(pixels)
        embedding = model.image_encoder(image)

        def decode(points):
            labels = torch.ones(len(points), 1, dtype=torch.long)
            placed = torch.from_numpy(to_model_frame(points, geometry))
            answers = model.decode(embedding, placed.unsqueeze(1), labels)
            return Candidates(answers.logits[:, 1:], answers.iou[:, 1:])

        return decode, geometry

    return encode


@pytest.mark.golden
@torch.no_grad()
def test_the_list_is_the_published_one(marker, golden, golden_pictures):
    assert golden["automatic"]["runs"]
    for expected in golden["automatic"]["runs"].values():
        check_list(marker, golden_pictures, expected)


def check_list(marker, golden_pictures, expected):
    picture = golden_pictures.picture(expected["picture"]["seed"], *expected["picture"]["size"])
    config = GridConfig(**{PUBLISHED[name]: value for name, value in expected["arguments"].items()})
    found = find_everything(encoder_of(marker), picture, config)
    records = expected["masks"]
    assert [rle["counts"] for rle in found.rles] == [record["coco"] for record in records]
    for row, record in enumerate(records):
        x1, y1, x2, y2 = found.boxes[row].tolist()
        assert [x1, y1, x2 - x1, y2 - y1] == [int(value) for value in record["bbox"]]
        assert float(found.iou[row]) == pytest.approx(record["predicted_iou"], abs=1e-5)
        assert float(found.stability[row]) == pytest.approx(record["stability_score"], abs=1e-5)
        np.testing.assert_allclose(found.points[row], record["point_coords"][0])
        left, top, right, bottom = found.crops[row]
        assert [left, top, right - left, bottom - top] == record["crop_box"]


@pytest.mark.golden
def test_grids_and_crops(golden):
    for case in golden["parts"]["point_grids"]:
        for layer, expected in enumerate(case["out"]):
            side = int(case["n_per_side"] / case["scale"] ** layer)
            np.testing.assert_allclose(point_grid(side), expected.numpy())
    for case in golden["parts"]["crop_boxes"]:
        ours = crop_boxes(tuple(case["size"]), case["n_layers"], case["overlap_ratio"])
        assert [list(box) for box, _ in ours] == [list(box) for box in case["boxes"]]
        assert [layer for _, layer in ours] == list(case["layers"])


@pytest.mark.golden
def test_stability_and_boxes(golden):
    for case in golden["parts"]["stability"]:
        ours = stability(case["logits"], case["offset"], case["mask_threshold"])
        torch.testing.assert_close(ours, case["out"], equal_nan=True)
    case = golden["parts"]["mask_to_box"]
    assert torch.equal(mask_boxes(case["masks"]), case["boxes"])
    for case in golden["parts"]["near_edge"]:
        whole = case["orig_box"]
        near = ends_at_crop(case["boxes"], case["crop_box"], (whole[3], whole[2]), case["atol"])
        assert torch.equal(near, case["out"])


@pytest.mark.golden
def test_small_regions(golden):
    for case in golden["parts"]["small_regions"]:
        mask, changed = remove_regions(case["mask"].numpy(), case["area_thresh"], case["mode"] == "holes")
        assert changed == case["changed"]
        assert np.array_equal(mask, case["out"].numpy())


def test_a_blank_answer_is_an_empty_list(marker):
    config = GridConfig(points_per_side=2, min_iou=5.0)
    with torch.no_grad():
        found = find_everything(encoder_of(marker), np.zeros((40, 60, 3), np.uint8), config)
    assert len(found.rles) == 0 and found.boxes.shape == (0, 4)


def test_of_masks_that_become_alike_the_unchanged_one_stays():
    mask = np.zeros((40, 40), bool)
    mask[5:30, 5:30] = True
    with_hole = mask.copy()
    with_hole[10:12, 10:12] = False
    found = Found(
        encode_masks([with_hole, mask]),
        mask_boxes(torch.from_numpy(np.stack([with_hole, mask]))),
        torch.tensor([0.9, 0.8]),
        torch.ones(2),
        np.zeros((2, 2)),
        [(0, 0, 40, 40)] * 2,
    )
    (rle,) = without_small_regions(found, 10, 0.7).rles
    assert rle == encode_masks([mask])[0]
