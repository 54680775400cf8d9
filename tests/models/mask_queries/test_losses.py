"""Matching and losses against mmdet's, and the cases that data bring."""

import pytest
import torch
from mmdet.models.losses import CrossEntropyLoss, DiceLoss
from mmdet.models.task_modules.assigners import ClassificationCost, CrossEntropyLossCost, DiceCost
from mmengine.structures import InstanceData
from torch.testing import assert_close

from omgseg.models.mask_queries import losses as points
from omgseg.models.mask_queries.losses import (
    UNMATCHED,
    ClipTargets,
    HungarianMatcher,
    PointMaskLoss,
    SetCriterion,
    mask_losses,
    sample_at,
)
from omgseg.models.mask_queries.output import DecoderOutput

LAYERS, QUERIES, CHANNELS, CLASSES, FRAMES = 3, 6, 8, 4, 2


def make_outputs(batch: int = 2) -> list[DecoderOutput]:
    features = torch.randn(batch, CHANNELS, FRAMES, 8, 12, requires_grad=True)
    return [
        DecoderOutput(
            queries=torch.randn(batch, QUERIES, CHANNELS),
            normed_queries=torch.randn(batch, QUERIES, CHANNELS),
            mask_embeddings=torch.randn(batch, QUERIES, CHANNELS, requires_grad=True),
            mask_features=features,
            objectness_logits=torch.randn(batch, QUERIES, requires_grad=True),
            class_logits=torch.randn(batch, QUERIES, CLASSES + 1, requires_grad=True),
        )
        for _ in range(LAYERS)
    ]


def make_targets(count: int, labels: list[int] | None = None) -> ClipTargets:
    masks = torch.zeros(count, FRAMES, 32, 48, dtype=torch.bool)
    for index in range(count):
        masks[index, :, 3 * index : 3 * index + 8, 4 * index : 4 * index + 12] = True
    return ClipTargets(torch.tensor(labels or [i % CLASSES for i in range(count)], dtype=torch.long), masks)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_costs_equal_those_of_mmdet():
    logits, values = torch.randn(QUERIES, CLASSES + 1), torch.randn(QUERIES, 50)
    labels, targets = torch.tensor([2, 0, 3]), (torch.rand(3, 50) > 0.5).float()
    predicted = InstanceData(scores=logits, masks=values)
    truth = InstanceData(labels=labels, masks=targets)
    expected = (
        ClassificationCost(weight=2.0)(predicted, truth)
        + CrossEntropyLossCost(weight=5.0, use_sigmoid=True)(predicted, truth)
        + DiceCost(weight=5.0, pred_act=True, eps=1.0)(predicted, truth)
    )
    assert_close(HungarianMatcher().cost(values, logits, labels, targets), expected)


def test_mask_losses_equal_those_of_mmdet():
    predicted, expected = torch.randn(5, 40), (torch.rand(5, 40) > 0.6).float()
    entropy, dice = mask_losses(predicted, expected)
    cross_entropy = CrossEntropyLoss(use_sigmoid=True, reduction="mean", loss_weight=5.0)
    theirs = cross_entropy(predicted.flatten(), expected.flatten(), avg_factor=5 * 40)
    assert_close(5 * entropy.sum() / 5, theirs)
    dice_loss = DiceLoss(
        use_sigmoid=True, activate=True, reduction="mean", naive_dice=True, eps=1.0, loss_weight=5.0
    )
    assert_close(5 * dice.sum() / 5, dice_loss(predicted, expected, avg_factor=5))


def test_matching_finds_the_queries_that_show_the_entities():
    targets = make_targets(3)
    features = torch.zeros(CHANNELS, FRAMES, 32, 48)
    features[:3] = targets.masks.float() * 2 - 1
    embeddings = torch.zeros(1, QUERIES, CHANNELS)
    for entity, query in enumerate([4, 1, 5]):
        embeddings[0, query, entity] = 10
    classes = torch.zeros(1, QUERIES, CLASSES + 1)
    matched = HungarianMatcher(num_points=200)(features, embeddings, classes, targets.labels, targets.masks)
    assert matched.tolist() == [[4, 1, 5]]


def test_more_entities_than_queries_leave_some_unmatched():
    outputs, targets = make_outputs(1), [make_targets(QUERIES + 3)]
    logits = torch.stack([o.class_logits[0] for o in outputs])
    embeddings = torch.stack([o.mask_embeddings[0] for o in outputs])
    matched = HungarianMatcher(num_points=50)(
        outputs[0].mask_features[0], embeddings, logits, targets[0].labels, targets[0].masks
    )
    assert matched.shape == (LAYERS, QUERIES + 3)
    assert (matched == UNMATCHED).sum(1).tolist() == [3] * LAYERS
    losses = SetCriterion(num_points=50).entity_losses(outputs, targets)
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_non_finite_predictions_still_match():
    cost = HungarianMatcher().cost(
        torch.full((QUERIES, 5), float("nan")), torch.zeros(QUERIES, 5), torch.tensor([0]), torch.ones(1, 5)
    )
    assert torch.isfinite(cost).all()


def test_losses_of_each_layer_are_named_and_reach_every_input():
    outputs, targets = make_outputs(), [make_targets(3), make_targets(1)]
    losses = SetCriterion(num_points=64).entity_losses(outputs, targets)
    names = {"loss_cls", "loss_mask", "loss_dice", "loss_objectness"}
    assert set(losses) == names | {f"d{layer}.{name}" for name in names for layer in range(LAYERS - 1)}
    sum(losses.values()).backward()
    for output in outputs:
        assert output.mask_embeddings.grad.abs().sum() > 0
        assert output.class_logits.grad.abs().sum() > 0
        assert output.objectness_logits.grad.abs().sum() > 0
    assert outputs[0].mask_features.grad.abs().sum() > 0


def test_entities_without_class_take_no_class_loss():
    outputs = make_outputs(1)
    criterion = SetCriterion(num_points=64)
    losses = criterion.entity_losses(outputs, [make_targets(QUERIES, [-1] * QUERIES)])
    assert all(losses[name] == 0 for name in losses if name.endswith("loss_cls"))
    assert losses["loss_mask"] > 0


def test_a_batch_without_entities_learns_background_only():
    outputs = make_outputs(1)
    losses = SetCriterion(num_points=64).entity_losses(outputs, [make_targets(0)])
    assert losses["loss_mask"] == 0 and losses["loss_dice"] == 0
    expected = -outputs[-1].class_logits.log_softmax(-1)[..., -1].mean() * 2
    assert_close(losses["loss_cls"], expected)
    sum(losses.values()).backward()
    assert all(torch.isfinite(output.mask_embeddings.grad).all() for output in outputs)


def test_prompts_keep_their_order_and_have_no_class_loss():
    targets = make_targets(2)
    outputs = make_outputs(1)[-1:]
    features = torch.zeros(1, CHANNELS, FRAMES, 32, 48)
    features[0, :2] = targets.masks.float() * 2 - 1
    right, swapped = torch.zeros(2, 1, QUERIES, CHANNELS)
    right[0, 0, 0] = right[0, 1, 1] = swapped[0, 0, 1] = swapped[0, 1, 0] = 20
    criterion = SetCriterion(num_points=64)
    losses = []
    for embeddings in (right, swapped):
        outputs[0].mask_features, outputs[0].mask_embeddings = features, embeddings
        losses.append(criterion.prompt_losses(outputs, [targets]))
    assert set(losses[0]) == {"loss_mask", "loss_dice"}
    assert losses[0]["loss_dice"] < 0.3 * losses[1]["loss_dice"]


def test_the_graph_of_point_losses_equals_full_maps():
    """Sampling the matched maps equals sampling maps that were built one by one."""
    outputs, targets = make_outputs(1), make_targets(2)
    embeddings = torch.stack([o.mask_embeddings[0, :2] for o in outputs])
    loss = PointMaskLoss(num_points=32)
    torch.manual_seed(3)
    entropy, dice = loss(outputs[0].mask_features[0], embeddings, targets.masks)
    torch.manual_seed(3)
    maps = torch.einsum("lnd,dthw->lnthw", embeddings, outputs[0].mask_features[0])
    chosen = points.uncertain_points(maps.flatten(0, 2), 32, 3.0, 0.75)
    for layer in range(LAYERS):
        for entity in range(2):
            rows = [(layer * 2 + entity) * FRAMES + frame for frame in range(FRAMES)]
            predicted = sample_at(maps[layer, entity].unsqueeze(1), chosen[rows]).flatten()
            expected = sample_at(targets.masks[entity].unsqueeze(1).float(), chosen[rows]).flatten()
            one_entropy, one_dice = mask_losses(predicted, expected)
            assert_close(entropy[layer, entity], one_entropy)
            assert_close(dice[layer, entity], one_dice)


@pytest.mark.parametrize("candidates_at_a_time", [1, 1000, 10**6])
def test_uncertain_points_prefer_the_border(monkeypatch, candidates_at_a_time):
    monkeypatch.setattr(points, "CANDIDATES", candidates_at_a_time)
    logits = torch.full((5, 16, 16), -9.0)
    for index in range(5):
        logits[index, 4:12, 2 * index : 2 * index + 6] = 9.0
    maps = logits.unsqueeze(1)
    important = sample_at(maps, points.uncertain_points(logits, 200, 3.0, 1.0)).abs().mean((1, 2))
    random = sample_at(maps, points.uncertain_points(logits, 200, 3.0, 0.0)).abs().mean((1, 2))
    assert (important < 0.85 * random).all()


def weighted(targets: ClipTargets, *weights: float, ignored: torch.Tensor | None = None) -> ClipTargets:
    return ClipTargets(targets.labels, targets.masks, torch.tensor(weights), ignored)


def losses_of(*targets: ClipTargets) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    outputs = make_outputs(len(targets))
    return SetCriterion(num_points=64).entity_losses(outputs, list(targets))


def test_a_weight_is_a_factor_of_all_losses_of_its_entity():
    """Half of the weight halves what the entity adds, and changes nothing that the others add."""
    pair, other = make_targets(2), make_targets(3)
    whole, half, none = (losses_of(weighted(pair, 1.0, weight), other) for weight in (1.0, 0.5, 0.0))
    for name, loss in half.items():
        assert_close(loss, (whole[name] + none[name]) / 2)
        assert none[name] < loss < whole[name]
    plain = losses_of(pair, other)
    assert all(torch.equal(loss, plain[name]) for name, loss in whole.items())
    single = make_targets(1)
    whole, half = losses_of(single), losses_of(weighted(single, 0.5))
    for name in ("loss_mask", "loss_dice"):
        assert_close(half[name], whole[name] / 2)


def test_a_prompt_has_the_weight_of_its_entity():
    targets = make_targets(2)
    losses = []
    for one in (targets, weighted(targets, 0.25, 0.25)):
        torch.manual_seed(0)
        losses.append(SetCriterion(num_points=64).prompt_losses(make_outputs(1), [one]))
    assert_close(losses[1], {name: loss / 4 for name, loss in losses[0].items()})


def test_ignored_pixels_have_no_gradient():
    targets = make_targets(2)
    ignored = torch.zeros(FRAMES, 32, 48, dtype=torch.bool)
    ignored[0, :, 24:], ignored[1, 20:] = True, True
    outputs = make_outputs(1)
    features = torch.randn(1, CHANNELS, FRAMES, 32, 48, requires_grad=True)
    for output in outputs:
        output.mask_features = features
    clip = ClipTargets(targets.labels, targets.masks, ignored=ignored)
    sum(SetCriterion(num_points=400).entity_losses(outputs, [clip]).values()).backward()
    gradient = features.grad[0].abs().sum(0)
    assert gradient[ignored].max() == 0
    assert (gradient[~ignored] > 0).float().mean() > 0.8


def test_ignored_points_are_left_out_of_the_mean():
    predicted, expected = torch.randn(3, 40), (torch.rand(3, 40) > 0.6).float()
    counts = torch.ones(3, 40, dtype=torch.bool)
    counts[:, 25:] = False
    assert_close(mask_losses(predicted, expected, counts), mask_losses(predicted[:, :25], expected[:, :25]))
    counts[0] = False
    entropy, _ = mask_losses(predicted, expected, counts)
    assert entropy[0] == 0


def test_matching_does_not_look_at_ignored_pixels():
    """Query 0 equals the entity where that is known, query 1 where it is not."""
    mask = torch.zeros(1, 1, 32, 48, dtype=torch.bool)
    mask[..., 8:24, 12:36] = True
    ignored = torch.zeros(1, 32, 48, dtype=torch.bool)
    ignored[:, :, 18:] = True
    maps = mask[0].float() * 2 - 1
    known, unknown = torch.where(ignored, -maps, maps), torch.where(ignored, maps, -maps)
    embeddings = 10 * torch.eye(2)[None]
    for seen, query in ((ignored, 0), (None, 1)):
        matched = HungarianMatcher(num_points=500)(
            torch.stack([known, unknown]), embeddings, torch.zeros(1, 2, 2), torch.tensor([0]), mask, seen
        )
        assert matched.tolist() == [[query]]


def test_a_query_on_ignored_pixels_is_not_taught_to_be_background():
    features = torch.full((1, 2, 1, 8, 12), -1.0)
    features[0, 0, :, :4], features[0, 1, :, 4:] = 1, 1  # the upper and the lower half
    output = make_outputs(1)[-1]
    output.mask_features = features
    output.mask_embeddings = torch.tensor([[[10.0, 0], [0, 10], [10, 0], [0, 10], [-10, -10], [10, 0]]])
    ignored = torch.zeros(1, 32, 48, dtype=torch.bool)
    ignored[:, 18:] = True  # nearly all of the lower half
    nothing = ClipTargets(torch.zeros(0, dtype=torch.long), torch.zeros(0, 1, 32, 48).bool(), ignored=ignored)
    losses = SetCriterion(num_points=200).entity_losses([output], [nothing])
    (losses["loss_cls"] + losses["loss_objectness"]).backward()
    on_ignored = torch.tensor([False, True, False, True, False, False])
    assert (output.class_logits.grad[0].abs().sum(-1) == 0).tolist() == on_ignored.tolist()
    assert (output.objectness_logits.grad[0] == 0).tolist() == on_ignored.tolist()
