"""OV-SAM's losses are those of the published code."""

import pytest
import torch

from omgseg.models.sam.distillation import embedding_loss
from omgseg.projects.ov_sam.model import Features, text_logits_of
from omgseg.projects.ov_sam.training import BACKGROUND_WEIGHT, CoTrainingConfig, class_loss, point_losses

pytestmark = pytest.mark.golden
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def prompted(model, golden, seeded):
    """Class logits and mask logits for the boxes of the losses."""
    clip2sam = golden["clip2sam"]
    boxes = clip2sam["prompts"]["boxes"]
    taps = [seeded(entry).abs() for entry in clip2sam["backbone_features"]]
    with torch.no_grad():
        features = Features(seeded(clip2sam["image_embedding"]), model.regions.fpn(taps), taps[-1])
        embeddings = model.embed_boxes(features, boxes, None)
        masks = model.decode(features.embedding, boxes=boxes).logits[:, 0]
        return text_logits_of(embeddings, clip2sam["text_embeddings"]), masks


def test_the_class_loss_is_the_published_one(prompted, golden):
    case, logits = golden["losses"], prompted[0]
    assert case["class_weight"][-1] == pytest.approx(BACKGROUND_WEIGHT)
    assert (case["class_weight"][:-1] == 1).all() and len(case["class_weight"]) == logits.shape[1]
    loss = CoTrainingConfig().cls * class_loss(logits, case["labels"], published=True)
    assert float(loss) == pytest.approx(case["loss_cls"], rel=TOLERANCE)


def test_the_right_divisor_counts_those_with_a_class(prompted, golden):
    labels = golden["losses"]["labels"]
    counted = float(class_loss(prompted[0], labels)) * int((labels >= 0).sum())
    assert counted == pytest.approx(
        float(class_loss(prompted[0], labels, published=True)) * len(labels), rel=1e-6
    )


def test_the_mask_losses_are_the_published_ones(model, prompted, golden):
    case, size = golden["losses"], model.image_size
    boxes = golden["clip2sam"]["prompts"]["boxes"].int().tolist()
    masks = torch.zeros(len(boxes), size, size, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1:y2, x1:x2] = True
    entropy, dice = point_losses(prompted[1], masks, case["points"])
    config = CoTrainingConfig()
    assert float(config.mask * entropy) == pytest.approx(case["loss_mask"], rel=TOLERANCE)
    assert float(config.dice * dice) == pytest.approx(case["loss_dice"], rel=TOLERANCE)


def test_the_distillation_loss_is_the_published_one(model, golden, seeded):
    """Of the published student's output; every cell counts."""
    case = golden["distillation"]
    student, teacher = golden["sam2clip_neck"]["output"], seeded(case["teacher"])
    valid = torch.ones_like(teacher[:, 0], dtype=torch.bool)
    loss = float(embedding_loss(student, teacher, valid))
    assert loss == pytest.approx(case["loss"], rel=TOLERANCE)
    assert loss * case["elements"] == pytest.approx(case["sum_of_squares"], rel=TOLERANCE)
