"""Read-outs, ensemble, association and clip splitting equal the published ones."""

import torch
from torch.testing import assert_close

from omgseg.models.readout import (
    MaskGeometry,
    PanopticConfig,
    fuse_with_clip,
    mask_confidence,
    read_panoptic,
    select_pairs,
    select_queries,
)
from omgseg.models.video import associate_queries, split_clips

NUM_THINGS, NUM_CLASSES = 3, 5
GEOMETRY = MaskGeometry((64, 96), (64, 96), (64, 96))


def test_panoptic_map_is_identical(golden_model):
    golden = golden_model["postprocess"]
    config = PanopticConfig(golden["object_mask_thr"], golden["iou_thr"], golden["filter_low_score"])
    queries, scores, labels = select_queries(golden["class_logits"].softmax(-1), config)
    (panoptic,), segment_scores = read_panoptic(
        [golden["mask_logits"][queries]], scores, labels, NUM_THINGS, NUM_CLASSES, GEOMETRY, config
    )
    assert torch.equal(panoptic, golden["panoptic"])
    assert len(panoptic.unique()) == 4
    segments = [value for value in panoptic.unique().tolist() if value != NUM_CLASSES]
    assert set(segments) <= set(segment_scores)
    for value in segments:  # the score is that of a query of this class
        assert segment_scores[value] in scores[labels == value % 1000].tolist()


def test_instances_are_identical(golden_model):
    golden = golden_model["postprocess"]
    pairs = select_pairs(golden["class_logits"].softmax(-1), NUM_THINGS, golden["max_per_image"])
    confidence, (masks,) = mask_confidence([golden["mask_logits"][pairs.queries]], GEOMETRY)
    scores = pairs.scores * confidence
    ours, theirs = scores.argsort(), golden["instance_scores"].argsort()
    assert_close(scores[ours], golden["instance_scores"][theirs], atol=1e-4, rtol=0)
    assert torch.equal(pairs.labels[ours], golden["instance_labels"][theirs])
    assert torch.equal(masks[ours], golden["instance_masks"][theirs])


def test_ensemble(golden_model):
    golden = golden_model["open_vocabulary"]
    fused = fuse_with_clip(
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
    assert len(golden_model["clip_splits"]) == 6
    for key, ends in golden_model["clip_splits"].items():
        num_frames, size = map(int, key.split("/"))
        assert split_clips(num_frames, size) == ends
