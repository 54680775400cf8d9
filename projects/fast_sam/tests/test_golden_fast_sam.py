"""FastSAM's rules give what the published code gives."""

import numpy as np
import pytest
import torch

from omgseg.projects.fast_sam.selection import (
    SMALLEST_NAMED,
    Candidates,
    choose_by_text,
    masks_in_boxes,
    similarities,
    whole_boxes,
)
from omgseg.projects.yolact.detection import DetectionConfig, find_objects
from omgseg.structures.run_lengths import encode_masks

pytestmark = pytest.mark.golden
STRIDE = 4


def unpacked(entry):
    bits = np.unpackbits(entry["packed_bits"].numpy())
    return bits[: np.prod(entry["shape"])].reshape(entry["shape"]).astype(bool)


@pytest.fixture(scope="module")
def golden(golden_dir):
    return torch.load(golden_dir / "fast_sam" / "golden.pt", weights_only=True)


@pytest.fixture(scope="module")
def candidates(golden):
    masks = unpacked(golden["masks"])
    scores = golden["boxes_xyxy_conf_cls"][:, 4].numpy()
    return Candidates(encode_masks(masks), scores, masks.shape[1:])


def test_masks_have_their_areas(golden, candidates):
    assert candidates.areas.tolist() == golden["area"].tolist()
    assert candidates.large().tolist() == golden["text_prompt"]["crop_ids"]
    left_out = np.flatnonzero(candidates.areas <= SMALLEST_NAMED)
    assert left_out.tolist() == golden["text_prompt"]["filtered_ids"]


def test_points_paint_and_erase_masks(golden, candidates):
    for case in golden["point_prompt"]:
        mask, score = candidates.paint(np.array(case["points"], np.float32), np.array(case["labels"]))
        assert np.array_equal(mask, case["mask"].numpy()), case["points"]
        assert mask.any() <= (score > 0)


def test_a_box_takes_the_mask_of_the_highest_iou(golden, candidates):
    for case in golden["box_prompt"]:
        iou = candidates.overlaps(np.array(case["box"], np.float64))
        assert np.allclose(iou, case["iou"].numpy(), atol=1e-6), case["box"]
        assert int(iou.argmax()) == case["index"]
    boxes = [case["box"] for case in golden["box_prompt"]]
    chosen = {int(candidates.overlaps(np.array(box, np.float64)).argmax()) for box in boxes}
    assert sorted(chosen) == golden["box_prompt_multi"]


def test_crops_show_bounding_boxes_on_white(golden, candidates):
    image = golden["image_bgr"].numpy()[..., ::-1]
    case = golden["text_prompt"]
    for index, box in zip(case["crop_ids"], case["crop_boxes"].tolist(), strict=True):
        x1, y1, x2, y2 = box
        crop = candidates.crop(image, index)
        assert np.array_equal(crop[y1:y2, x1:x2], image[y1:y2, x1:x2])
        outside = np.ones(image.shape[:2], bool)
        outside[y1:y2, x1:x2] = False
        assert (crop[outside] == 255).all()


def pooled(image):
    """The golden values' stand-in for CLIP."""
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float() / 255
    return torch.nn.functional.adaptive_avg_pool2d(pixels, (4, 4)).flatten().numpy()


def test_texts_take_the_mask_of_the_most_similar_crop(golden, candidates):
    image = golden["image_bgr"].numpy()[..., ::-1]
    case, large = golden["text_prompt"], candidates.large()
    crops = [candidates.crop(image, index) for index in large]
    features = np.stack([pooled(crop) for crop in crops])
    assert np.allclose(features, case["image_features"].numpy(), atol=1e-5)
    differ = 0
    for entry in case["cases"]:
        alike = similarities(crops, pooled, entry["text_feature"].numpy())[:, 0]
        scores = np.exp(alike - alike.max())
        assert np.allclose(scores / scores.sum(), entry["scores"].numpy(), atol=1e-4)
        index, score = choose_by_text(alike, large)
        assert (index, int(alike.argmax())) == (entry["correct_index"], entry["best_crop"])
        assert score == pytest.approx(float(entry["scores"].max()), abs=1e-4)
        assert choose_by_text(alike, large, published=True)[0] == entry["published_index"]
        differ += entry["correct_index"] != entry["published_index"]
    assert differ


def test_the_full_box_rule(golden):
    case = golden["full_box_rule"]
    size = tuple(case["image_h_w"])
    assert torch.equal(whole_boxes(case["boxes"], size, published=True), case["adjusted"])
    mended = whole_boxes(case["boxes"], size)
    whole = torch.zeros(len(mended), dtype=torch.bool)
    whole[case["indices"]] = True
    assert torch.equal(mended[whole], case["adjusted"][whole])
    assert torch.equal(mended[~whole], case["boxes"][~whole])


@pytest.fixture(scope="module")
def everything(golden):
    """What NMS leaves, as rows of x1 y1 x2 y2, score, 0 and coefficients, for each of its settings."""
    prediction = golden["everything"]["prediction_1_c_n"][0].T
    centres, sizes = prediction[:, :2], prediction[:, 2:4]
    boxes = torch.cat([centres - sizes / 2, centres + sizes / 2], dim=1)
    found = {}
    for name in golden["everything"]["nms"]:
        conf, iou = (float(text) for text in name.removeprefix("conf").split("_iou"))
        config = DetectionConfig(conf, "torchvision", iou, top_k=30000, max_per_image=300)
        rows, labels, scores = find_objects(boxes, prediction[:, 4:5], config)
        fields = boxes[rows], scores[:, None], labels[:, None], prediction[rows, 5:]
        found[name] = torch.cat(fields, dim=1)
    return found


def test_nms_leaves_the_published_boxes(golden, everything):
    for name, expected in golden["everything"]["nms"].items():
        assert everything[name].shape == expected.shape
        assert torch.allclose(everything[name], expected, atol=1e-4), name


def test_masks_and_boxes_of_everything(golden, everything):
    case = golden["everything"]
    found = everything["conf0.40_iou0.90"]
    original, net = case["orig_h_w"], case["net_h_w"]
    scale = min(net[0] / original[0], net[1] / original[1])
    border = [(side - round(part * scale)) // 2 for side, part in zip(net, original, strict=True)]
    y, x = (width // STRIDE for width in border)
    prototypes = case["proto_k_hw"][
        :, y : case["proto_k_hw"].shape[1] - y, x : case["proto_k_hw"].shape[2] - x
    ]
    boxes = whole_boxes(found[:, :4], tuple(net), published=True)
    boxes = (boxes - torch.tensor([border[1], border[0]]).repeat(2)) / scale
    limits = torch.tensor([original[1], original[0]]).repeat(2)
    boxes = boxes.clamp(min=0).minimum(limits)
    assert torch.allclose(boxes, case["postprocess"]["retina"]["boxes"][:, :4], atol=1e-3)
    logits = torch.einsum("nk,khw->nhw", found[:, 6:], prototypes)
    masks = torch.cat(list(masks_in_boxes(logits, boxes, tuple(original)))).numpy()
    expected = unpacked(case["postprocess"]["retina"]["masks"])
    # the published code resizes prototypes before it combines them
    assert masks.shape == expected.shape and (masks != expected).mean() < 1e-5
