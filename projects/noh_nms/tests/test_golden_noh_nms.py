"""The values of the published NOH-NMS: suppression and evaluation."""

import numpy as np
import pytest
import torch

from omgseg.projects.noh_nms.crowd_human import Detections, People, evaluate, match, recall_at
from omgseg.projects.noh_nms.nearby import CODER, nearby_losses, nearby_targets
from omgseg.projects.noh_nms.suppression import METHODS, neighbour_weight, suppress


@pytest.fixture(scope="module")
def golden(golden_dir):
    return torch.load(golden_dir / "noh_nms" / "golden.pt", weights_only=False)


def suppressed(published, method, threshold):
    return suppress(
        published["boxes"],
        published["scores"],
        method,
        threshold,
        nearby_boxes=published["nearby_boxes"],
        nearby_probs=published["nearby_probs"],
        min_score=published["thresh"],
        sigma=published["sigma_soft"],
    )


@pytest.mark.parametrize("method", METHODS)
def test_each_method_keeps_the_published_boxes(golden, method):
    published = golden["nms"]
    kept, scores = suppressed(published, method, published["Nt"])
    assert kept.tolist() == published[method]["index"] and len(kept) == published["counts"][method]
    assert torch.allclose(scores, published[method]["scores"], atol=1e-5)
    assert torch.equal(published["boxes"][kept], published[method]["boxes"])


def test_other_thresholds(golden):
    published = golden["nms"]
    names = [name for name in published if name.startswith("noh_Nt")]
    for name in names:
        kept, scores = suppressed(published, "noh", float(name.removeprefix("noh_Nt")))
        assert kept.tolist() == published[name]["index"]
        assert torch.allclose(scores, published[name]["scores"], atol=1e-5)
    assert names


def test_the_weight_of_a_neighbour(golden):
    published = golden["nms"]["gaussian"]
    found = neighbour_weight(published["box_i"], published["nearby_i"], published["box_j"])
    assert torch.allclose(found, published["weight"], atol=1e-5)


def corners(boxes):
    boxes = np.array(boxes, np.float64).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


@pytest.fixture(scope="module")
def crowd(golden):
    """People and detections of the golden images."""
    published = golden["evaluation"]
    people = {}
    for image in published["images"]:
        rows = [row for row in published["annotations"] if row["image_id"] == image["id"]]
        columns = ([row[key] for row in rows] for key in ("bbox", "ignore", "height", "vis_ratio"))
        boxes, ignored, heights, visibility = columns
        people[image["id"]] = People(
            corners(boxes), np.array(ignored, bool), np.array(heights, float), np.array(visibility, float)
        )
    return people, detections_of(published["detections"])


def detections_of(rows, above=-1.0):
    found = {}
    for row in rows:
        if row["score"] > above:
            found.setdefault(row["image_id"], []).append(row)
    return {
        name: Detections(corners([row["bbox"] for row in some]), np.array([row["score"] for row in some]))
        for name, some in found.items()
    }


def same(ours, published):
    assert ours == {name: pytest.approx(value, abs=1e-9) for name, value in published.items()}


def test_the_evaluation_with_its_published_mistakes(golden, crowd):
    published = golden["evaluation"]
    people, found = crowd
    same(evaluate(people, found, published=True), published["result"])
    whole = {
        name: People(one.boxes, np.zeros_like(one.ignored), one.heights, one.visibility)
        for name, one in people.items()
    }
    same(evaluate(whole, found, published=True), published["result_without_ignore_flags"])
    sure = detections_of(published["detections"], above=0.5)
    same(evaluate(people, sure, published=True), published["result_score_above_0.5"])
    easy = {name: one.restricted(50, 0.65) for name, one in people.items()}
    same(evaluate(easy, found, published=True), published["result_setup1"])


def test_what_is_matched(golden, crowd):
    published = golden["evaluation"]
    people, found = crowd
    matched = [match(people[name], detections) for name, detections in found.items()]
    pairs = [(int(hit), score) for hits, scores in matched for hit, score in zip(hits, scores, strict=True)]
    assert sorted(pairs) == sorted((hit, score) for hit, score in published["score_list"])
    assert len(published["detections"]) - len(pairs) == published["dropped_on_ignore"]
    assert sum((~one.ignored).sum() for one in people.values()) == published["num_gt"]


def test_the_mistakes_are_left_out_by_default(golden, crowd):
    """An alarm that is surer than all: the published rate falls, and should not."""
    published = golden["evaluation"]
    people, found = crowd
    extra = published["top_false_alarm"]["extra_detection_first_in_list"]
    worse = detections_of([extra, *published["detections"]])
    same(evaluate(people, worse, published=True), published["top_false_alarm"]["result"])
    right, wrong = evaluate(people, found), evaluate(people, worse)
    assert wrong["MR"] > right["MR"] and wrong["AP"] < right["AP"]
    assert right["AP"] > published["result"]["AP"] and right["Recall"] == pytest.approx(
        published["result"]["Recall"]
    )


def test_recall_at_false_alarms(golden, crowd):
    published = golden["evaluation"]
    people, found = crowd
    matched = [match(people[name], detections) for name, detections in found.items()]
    hits, scores = (np.concatenate(parts) for parts in zip(*matched, strict=True))
    hits = hits[np.argsort(-scores, kind="stable")]
    recall, alarms = np.cumsum(hits) / published["num_gt"], np.cumsum(~hits) / len(people)
    assert np.allclose(
        recall_at(recall, alarms, published=True), published["recall_at_fppi"].numpy(), atol=1e-9
    )


def test_the_neighbour_of_a_proposal(golden):
    published = golden["targets"]
    places, overlaps = nearby_targets(published["proposals"], published["gt_boxes"])
    assert torch.equal(places, published["nearby_gt_index"])
    assert torch.allclose(overlaps, published["nearby_iou"], atol=1e-5)
    boxes = published["gt_boxes"][places]
    assert torch.equal(boxes, published["nearby_gt_boxes"])
    deltas = CODER.encode(published["proposals"], boxes)
    assert torch.allclose(deltas, published["deltas"], rtol=1e-5, atol=1e-5)
    assert [1 / deviation for deviation in CODER.stds] == pytest.approx(published["weights"])
    decoded = CODER.decode(published["proposals"], golden["losses"]["pred_deltas"])
    assert torch.allclose(decoded, golden["losses"]["decoded_nearby_boxes"], rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("name", ["crowdhuman_config", "code_defaults"])
def test_losses_and_gradients(golden, name):
    targets, losses = golden["targets"], golden["losses"]
    published = losses[name]
    config = published["config"]
    deltas = losses["pred_deltas"].clone().requires_grad_()
    probs = losses["pred_prob"].clone().requires_grad_()
    person = losses["gt_classes"] == 0
    found = nearby_losses(
        deltas[person],
        probs[person, 0],
        targets["deltas"][person],
        targets["nearby_iou"][person],
        num_sampled=len(person),
        beta=config["beta"],
        min_iou=config["thr"],
        coefficient=None if config["uniform"] else config["coeff"],
        prob_beta=config["pbeta"],
    )
    assert found["loss_nearby_box"].item() == pytest.approx(published["loss_overlap_reg"], rel=1e-5)
    assert found["loss_nearby_prob"].item() == pytest.approx(published["loss_overlap_prob"], rel=1e-5)
    sum(found.values()).backward()
    assert torch.allclose(deltas.grad, published["grad_deltas"], atol=1e-6)
    assert torch.allclose(probs.grad, published["grad_prob"], atol=1e-6)
