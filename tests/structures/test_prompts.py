"""Corrective points: from all wrong pixels, as the published code of EdgeSAM draws them."""

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from omgseg.structures.prompts import NO_POINT, depth_map, draw_corrections, wrong_pixels


def test_the_published_corrections(golden_dir):
    golden = torch.load(golden_dir / "edge_sam" / "golden.pt", weights_only=True)
    want = golden["distillation"]["disagreement"]
    missing, excess = wrong_pixels(want["student"], want["teacher"], want["valid_down"][:, 0])
    assert torch.equal(missing, want["false_negative"]) and torch.equal(excess, want["false_positive"])
    drawn = [want[name] for name in want if name.startswith("drawn_")]
    assert drawn
    for published in drawn:
        count = published["points"].shape[1]
        points, labels = draw_corrections(missing, excess, count, torch.Generator().manual_seed(0))
        assert torch.equal(points.float(), published["points"].float())
        assert torch.equal(labels, published["labels"].clamp(min=NO_POINT)), "the published -2 is no point"


def test_points_are_drawn_from_all_wrong_pixels():
    truth, predicted = torch.zeros(2, 1, 20, 20, dtype=torch.bool)
    truth[:, :2] = predicted[:, 10:15] = True  # 40 are missing, 100 too much
    missing, excess = wrong_pixels(predicted, truth)
    points, labels = draw_corrections(missing, excess, 14, torch.Generator().manual_seed(3))
    x, y = points[0].unbind(1)
    assert (missing | excess)[0, y, x].all()
    assert torch.equal(truth[0, y, x], labels[0] == 1)
    assert 0 < (labels == 1).sum() < 10, "2 of 7"
    points, labels = draw_corrections(missing, excess, 15, torch.Generator())
    assert not points.any() and (labels == NO_POINT).all(), "140 wrong pixels are too few for 15 points"


def test_there_may_be_no_mask():
    nothing = torch.zeros(0, 4, 4, dtype=torch.bool)
    points, labels = draw_corrections(nothing, nothing, 2)
    assert points.shape == (0, 2, 2) and labels.shape == (0, 2)


def test_depths_are_exact_wherever_the_mask_lies_in_memory():
    """Equally deep points must be equally deep to the last digit: which one is clicked depends on it."""
    grid = np.mgrid[:90, :110]
    masks = [
        ((grid - [[[y]], [[x]]]) ** 2).sum(0) < r**2 for y, x, r in ((40, 50, 33), (0, 0, 60), (70, 90, 11))
    ]
    masks += [masks[0] & ~masks[1], ~masks[2], masks[0] ^ masks[2]]
    for mask in masks:
        expected = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1].astype(np.float32)
        for offset in range(20):
            moved = np.zeros(mask.size + 64, bool)[offset : offset + mask.size].reshape(mask.shape)
            moved[:] = mask
            assert np.array_equal(depth_map(moved), expected)
