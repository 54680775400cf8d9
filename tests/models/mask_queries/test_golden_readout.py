"""Read-outs, ensemble, association and clip splitting equal the published ones."""

import pytest
import torch
from torch.testing import assert_close

from omgseg.models.geometry import MaskGeometry
from omgseg.models.mask_queries.readout import (
    PanopticConfig,
    fuse_zero_shot,
    mask_confidence,
    read_panoptic,
    select_pairs,
    select_queries,
)
from omgseg.models.mask_queries.video import associate_queries, split_clips

pytestmark = pytest.mark.golden


@pytest.fixture
def num_things(golden_model) -> int:
    return golden_model["config"]["num_thing_classes"]


@pytest.fixture
def num_classes(golden_model, num_things) -> int:
    return num_things + golden_model["config"]["num_stuff_classes"]


@pytest.fixture
def geometry(golden_model) -> MaskGeometry:
    size = tuple(golden_model["postprocess"]["mask_logits"].shape[-2:])
    return MaskGeometry(size, size, size)


def test_panoptic_map_is_identical(golden_model, num_things, num_classes, geometry):
    golden = golden_model["postprocess"]
    config = PanopticConfig(golden["object_mask_thr"], golden["iou_thr"], golden["filter_low_score"])
    queries, scores, labels = select_queries(golden["class_logits"].softmax(-1), config)
    (panoptic,), segment_scores = read_panoptic(
        [golden["mask_logits"][queries]], scores, labels, num_things, num_classes, geometry, config
    )
    assert torch.equal(panoptic, golden["panoptic"])
    segments = [value for value in panoptic.unique().tolist() if value != num_classes]
    assert set(segments) <= set(segment_scores)
    for value in segments:  # the score is that of a query of this class
        assert segment_scores[value] in scores[labels == value % 1000].tolist()


def test_instances_are_identical(golden_model, num_things, geometry):
    golden = golden_model["postprocess"]
    pairs = select_pairs(golden["class_logits"].softmax(-1), num_things, golden["max_per_image"])
    confidence, (masks,) = mask_confidence([golden["mask_logits"][pairs.queries]], geometry)
    scores = pairs.scores * confidence
    ours, theirs = scores.argsort(), golden["instance_scores"].argsort()
    assert_close(scores[ours], golden["instance_scores"][theirs], atol=1e-4, rtol=0)
    assert torch.equal(pairs.labels[ours], golden["instance_labels"][theirs])
    assert torch.equal(masks[ours], golden["instance_masks"][theirs])


def test_ensemble(golden_model):
    golden = golden_model["open_vocabulary"]
    fused = fuse_zero_shot(
        golden["query_logits"],
        golden["clip_logits"],
        golden["seen"],
        golden["mask_nonempty"].squeeze(-1),
        golden["alpha"],
        golden["beta"],
    )
    assert_close(fused, golden["fused_log_probs"], atol=1e-4, rtol=0)


def test_association(golden_model):
    golden = golden_model["association"]
    assert torch.equal(associate_queries(golden["previous"][0], golden["current"][0]), golden["indices"])


def test_clip_splits(golden_model):
    assert golden_model["clip_splits"]
    for key, ends in golden_model["clip_splits"].items():
        num_frames, size = map(int, key.split("/"))
        assert split_clips(num_frames, size) == ends
