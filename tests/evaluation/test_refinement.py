"""The protocol of the small SAMs: centres, corrective points, the way through the model's frame."""

import numpy as np
import pytest
import torch

from omgseg.evaluation.functional.interactive import (
    ModelFrame,
    cascaded_distance,
    centre_of,
    mask_overlaps,
    mean_iou,
    select_candidates,
)
from omgseg.structures.prompts import wrong_pixels


@pytest.fixture(scope="module")
def golden(golden_dir):
    return torch.load(golden_dir / "edge_sam" / "golden.pt", weights_only=True)


@pytest.mark.golden
def test_the_published_centres(golden):
    want = golden["centre"]
    masks = want["masks"].numpy()
    assert [centre_of(mask) for mask in masks] == [tuple(point) for point in want["points"][:, 0].tolist()]
    maps = np.stack([cascaded_distance(mask) for mask in masks])
    np.testing.assert_allclose(maps[:, ::2, ::2], want["transform"][:, 0], atol=1e-4)
    np.testing.assert_allclose(maps.max((1, 2)), want["transform_max"][:, 0], atol=1e-4)
    small = cascaded_distance(want["small_mask"][0, 0].numpy())
    np.testing.assert_allclose(np.pad(small, 1), want["small_transform"][0, 0], atol=1e-4)


def test_a_centre_does_not_depend_on_what_is_around():
    mask = np.zeros((30, 40), bool)
    mask[5:16, 10:21] = True
    assert centre_of(mask) == (15, 10)
    assert centre_of(mask[5:16, 10:21]) == (5, 5), "the border is an edge"
    assert centre_of(np.zeros((4, 4), bool)) == (0, 0)


@pytest.mark.golden
@pytest.mark.parametrize("run", ["box", "centre", "multi_score", "multi_area", "multi_oracle"])
def test_the_published_scores(golden, run):
    """From the stored logits: bilinear to the frame, cut, bilinear to the image, above 0."""
    evaluation = golden["evaluation"]
    want, side = evaluation["runs"][run], evaluation["img_size"]
    rounds: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
    for call in want["calls"]:
        image = evaluation["images"][call["image"]]
        frame = ModelFrame(tuple(image["original_size"]), side)
        placed = frame.place(image["gt_masks"].numpy())
        height, width = image["input_size"]
        assert np.array_equal(placed[:, :height, :width], image["gt_resized"])
        truth = frame.give_back(placed)
        assert np.array_equal(truth, image["gt_used_for_iou"])
        logits = call["low_res"]
        resized = torch.nn.functional.interpolate(logits, (side, side), mode="bilinear")[..., :height, :width]
        masks = (torch.nn.functional.interpolate(resized, frame.original, mode="bilinear") > 0).numpy()
        pairs = [mask_overlaps(truth, masks[:, number]) for number in range(masks.shape[1])]
        inter, union = (np.stack(part, axis=1) for part in zip(*pairs, strict=True))
        rule = run.removeprefix("multi_") if run.startswith("multi_") else "score"
        areas = (logits > 0).sum((2, 3)).numpy()
        chosen = select_candidates(rule, call["iou_predictions"].numpy(), areas, inter / union)[:, None]
        rows = tuple(np.take_along_axis(values, chosen, 1)[:, 0] for values in (inter, union))
        rounds.setdefault(call["iteration"], []).append(rows)
        if call["iteration"] + 1 < len(want["mIoU_percent"]):
            _check_next_point(frame, placed, logits, want["calls"], call)
    for number, parts in rounds.items():
        inter, union = (np.concatenate(values) for values in zip(*parts, strict=True))
        np.testing.assert_allclose(inter / union, want["iou_per_instance"][number], atol=1e-6)
        assert 100 * mean_iou(inter, union) == pytest.approx(want["mIoU_percent"][number], abs=1e-4)


def _check_next_point(frame, placed, logits, calls, call):
    """The next published point of each object is one of the wrong pixels here, with the same meaning."""
    following = next(
        other
        for other in calls
        if other["image"] == call["image"] and other["iteration"] == call["iteration"] + 1
    )
    truth, valid = (torch.from_numpy(array) for array in (frame.reduce(placed), frame.valid))
    missing, excess = wrong_pixels(logits[:, 0] > 0, truth, valid)
    scale = frame.side // logits.shape[-1]
    points = (following["points"][:, -1] / scale).long().tolist()
    for row, ((x, y), label) in enumerate(zip(points, following["labels"][:, -1].tolist(), strict=True)):
        few = (missing[row] | excess[row]).sum() < 10
        assert few if label < 0 else (missing if label else excess)[row, y, x]


def test_answers_are_reduced_like_logits():
    """A mask that fills the left half of a wide image fills the left half of the frame's upper part."""
    frame = ModelFrame((30, 60), 64)
    assert frame.image == (32, 64)
    mask = np.zeros((1, 30, 60), bool)
    mask[:, :, :30] = True
    small = frame.reduce_answer(mask)[0]
    assert small.shape == (16, 16) and small[:8, :8].all() and not small[8:].any() and not small[:, 8:].any()
    assert frame.valid[:8].min() == 1 and frame.valid[8:].max() == 0
    np.testing.assert_allclose(frame.to_image(np.array([[32, 16]])), [[30, 15]])


def test_rules_and_empty_unions():
    assert mean_iou(np.array([1, 0]), np.array([2, 0])) == 0.5 and np.isnan(
        mean_iou(np.zeros(1), np.zeros(1))
    )
    with pytest.raises(ValueError, match="'best' must be one of score, area, oracle"):
        select_candidates("best", *np.ones((3, 1, 3)))
    scores, areas, ious = np.eye(3)[:, None]
    taken = [int(select_candidates(rule, scores, areas, ious)[0]) for rule in ("score", "area", "oracle")]
    assert taken == [0, 1, 2]
