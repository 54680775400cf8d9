"""Leaving out queries that cannot win changes nothing: the map is mmdet's, bit for bit."""

import pytest
import torch
import torch.nn.functional as F
from mmdet.models.seg_heads import MaskFormerFusionHead
from mmengine.config import ConfigDict
from torch.testing import assert_close

from omgseg.models.geometry import MaskGeometry
from omgseg.models.mask_queries.readout import PanopticConfig, read_panoptic, select_queries
from omgseg.models.mask_queries.winners import blocks, mask_areas, winning_queries

THINGS, STUFF = 4, 3
ONE_RESIZE = MaskGeometry((384, 544), (384, 544), (384, 544))
CROPPED = MaskGeometry((384, 544), (370, 531), (370, 531))
TWO_RESIZES = MaskGeometry((384, 544), (370, 531), (283, 407))
ENLARGED = MaskGeometry((96, 64), (90, 64), (301, 214))


def crowded_scene(geometry: MaskGeometry, num_queries: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Class logits (Q, C + 1) that all name a class, and smooth mask logits (Q, h, w) that overlap."""
    torch.manual_seed(0)
    height, width = (side // 4 for side in geometry.padded)
    masks = F.interpolate(torch.randn(1, num_queries, 7, 9), (height, width), mode="bicubic")[0] * 8 - 4
    classes = torch.randn(num_queries, THINGS + STUFF + 1)
    classes[:, -1] = -9
    return classes, masks


def test_scene_is_worth_testing():
    classes, masks = crowded_scene(ONE_RESIZE)
    scores = classes.softmax(-1).amax(-1)
    rows, inside = winning_queries(masks, scores, ONE_RESIZE)
    assert len(rows.unique()) > 20 and 0.5 < inside.float().mean() < 1


@pytest.mark.parametrize("geometry", [ONE_RESIZE, CROPPED])
def test_blocks_are_exact_after_one_resizing(geometry):
    _, masks = crowded_scene(geometry, 5)
    chosen, full = torch.tensor([3, 1]), geometry.resize(masks)
    covered = torch.zeros(geometry.original, dtype=torch.int)
    for block in blocks(geometry, masks.shape[-2:]):
        assert torch.equal(block.resize(masks, chosen), full[chosen][(slice(None), *block.result)])
        covered[block.result] += 1
    assert (covered == 1).all()


@pytest.mark.parametrize("geometry", [TWO_RESIZES, ENLARGED])
def test_blocks_equal_two_resizings_to_rounding(geometry):
    _, masks = crowded_scene(geometry, 3)
    full = geometry.resize(masks)
    for block in blocks(geometry, masks.shape[-2:]):
        ours = block.resize(masks, torch.arange(3))
        assert_close(ours, full[(slice(None), *block.result)], atol=1e-4, rtol=0)


def test_masks_of_an_odd_stride_are_resized_whole():
    geometry = MaskGeometry((30, 50), (30, 50), (30, 50))
    masks = torch.randn(2, 7, 12)
    (block,) = blocks(geometry, (7, 12))
    assert torch.equal(block.resize(masks, torch.arange(2)), geometry.resize(masks))


@pytest.mark.parametrize("geometry", [ONE_RESIZE, CROPPED])
def test_winners_and_areas_equal_full_maps(geometry):
    classes, masks = crowded_scene(geometry)
    scores = classes.softmax(-1).amax(-1)
    probability = geometry.resize(masks).sigmoid()
    rows, inside = winning_queries(masks, scores, geometry)
    expected = (probability * scores.view(-1, 1, 1)).argmax(0)
    assert torch.equal(rows.long(), expected)
    assert torch.equal(inside, probability.gather(0, expected.unsqueeze(0))[0] >= 0.5)
    assert torch.equal(mask_areas(masks, geometry), (probability >= 0.5).flatten(1).sum(1))


def test_the_first_of_equal_queries_wins():
    masks = crowded_scene(ONE_RESIZE, 1)[1].repeat(3, 1, 1)
    rows, _ = winning_queries(masks, torch.tensor([0.5, 0.9, 0.9]), ONE_RESIZE)
    assert (rows == 1).all()


@pytest.mark.parametrize("filter_low_score", [True, False])
@pytest.mark.parametrize("geometry", [ONE_RESIZE, CROPPED])
def test_the_map_is_that_of_mmdet(geometry, filter_low_score):
    classes, masks = crowded_scene(geometry)
    masks[::5] = -0.05  # these win pixels, but their own masks are empty
    config = PanopticConfig(0.0, 0.3, filter_low_score)
    queries, scores, labels = select_queries(classes.softmax(-1), config)
    (ours,), _ = read_panoptic([masks[queries]], scores, labels, THINGS, THINGS + STUFF, geometry, config)
    thresholds = ConfigDict(object_mask_thr=0.0, iou_thr=0.3, filter_low_score=filter_low_score)
    fusion = MaskFormerFusionHead(THINGS, STUFF, test_cfg=thresholds)
    theirs = fusion.panoptic_postprocess(classes, geometry.resize(masks)).sem_seg[0]
    assert torch.equal(ours, theirs)
    assert len(ours.unique()) > 5


def test_numbers_of_a_long_stream_do_not_overflow():
    classes, masks = crowded_scene(CROPPED)
    config = PanopticConfig(iou_thr=0.0)
    queries, scores, labels = select_queries(classes.softmax(-1), config)
    start = 2**31
    (panoptic,), segment_scores = read_panoptic(
        [masks[queries]],
        scores,
        labels,
        THINGS,
        THINGS + STUFF,
        CROPPED,
        config,
        number=lambda rows: torch.arange(len(rows)) + start,
    )
    values = panoptic.unique().tolist()
    assert min(values) >= 0 and max(values) >= 1000 * start
    assert set(segment_scores) >= {value for value in values if value != THINGS + STUFF}
