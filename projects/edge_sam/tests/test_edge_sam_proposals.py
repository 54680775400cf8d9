"""EdgeSAM's RPN gives what the published code gives, and clicks are answered with its boxes and scored by stability."""

import re

import numpy as np
import pytest
import torch
from mmengine.config import Config

import omgseg
from omgseg.model_table import find_model
from omgseg.models.checkpoints.loading import load_state
from omgseg.models.sam.adapter import SamSegmenter
from omgseg.models.sam.everything import stability
from omgseg.projects.edge_sam.proposals import EdgeSamSegmenter, boxes_at
from omgseg.protocols import Prompts
from omgseg.registry import MODELS
from omgseg.structures.run_lengths import decode_masks

TOLERANCE = 1e-4
CONFIG = Config.fromfile("projects/edge_sam/configs/edge_sam_rpn.py")
HALVED = r"(token_mixer\.0\.conv1?|channel_mixer\.m\.2)\.bn\.weight$"
PLAIN_RPN = dict(
    _scope_="mmdet",
    type="RPNHead",
    in_channels=96,
    feat_channels=96,
    anchor_generator=dict(
        type="AnchorGenerator", scales=[8], ratios=[0.5, 1, 2], strides=[8, 16, 32, 64, 128]
    ),
)
"""The other head that was published; its proposals were never used."""


@pytest.fixture(scope="module")
def golden(golden_dir):
    return torch.load(golden_dir / "edge_sam" / "golden.pt", weights_only=True)


def published(golden_pictures, keys):
    """Weights of published names."""
    tensors = {
        name: torch.zeros(shape, dtype=torch.long if name.endswith("tracked") else torch.float32)
        for name, shape in keys.items()
    }
    golden_pictures.fill_published_(tensors)
    for name, tensor in tensors.items():
        if re.search(HALVED, name):
            tensor *= 0.5
    return tensors


@pytest.fixture(scope="module")
def model(golden, golden_pictures):
    """EdgeSAM with its RPN."""
    model = MODELS.build(CONFIG.model).eval()
    keys = {**golden["full"]["keys"], **golden["rpn"]["centernet"]["keys"]}
    load_state(model, published(golden_pictures, keys))
    return model


@pytest.fixture(scope="module")
def picture(golden, golden_pictures):
    given = golden["full"]["picture"]
    return golden_pictures.picture(given["seed"], *given["size"])


@pytest.fixture(scope="module")
def stages(model, picture):
    with torch.no_grad():
        return model.image_encoder.stages(model.preprocess(picture)[0])


@pytest.fixture(scope="module")
def state(model, picture):
    return EdgeSamSegmenter.from_model(model, CONFIG).encode_image(picture)


def deviation(ours, expected):
    assert ours.shape == expected.shape
    return float((ours - expected).abs().max() / expected.abs().max())


def every(features, parts):
    height, width = (max(1, side // parts) for side in features.shape[-2:])
    return features[:, :, ::height, ::width]


@pytest.mark.parametrize("kind", ["centernet", "rpn"])
@torch.no_grad()
def test_heads_give_the_published_outputs(kind, model, stages, golden, golden_pictures):
    expected = golden["rpn"][kind]
    if kind == "rpn":
        model = MODELS.build({**CONFIG.model, "rpn_head": PLAIN_RPN}).eval()
        model.load_state_dict(published(golden_pictures, expected["keys"]), strict=False)
    heads = {"fpn": model.fpn, "rpn_head": model.rpn_head}
    shapes = {f"{part}.{name}": t for part, head in heads.items() for name, t in head.state_dict().items()}
    assert {name: list(tensor.shape) for name, tensor in shapes.items()} == expected["keys"]
    for name, part in (("fpn", "parameters_fpn"), ("rpn_head", "parameters_head")):
        assert sum(tensor.numel() for tensor in heads[name].parameters()) == expected[part]
    pyramid = model.fpn(tuple(stages[1:]))
    assert len(pyramid) == len(expected["pyramid"])
    for ours, level in zip(pyramid, expected["pyramid"], strict=True):
        shape = level["sample"].shape
        step = ours.shape[1] // shape[1]
        assert deviation(every(ours, shape[-1])[:, ::step], level["sample"]) < TOLERANCE
    for ours, levels in zip(model.rpn_head(pyramid), expected["head"], strict=True):
        for features, level in zip(ours, levels, strict=True):
            assert deviation(every(features, 16), level["sample"]) < TOLERANCE


def test_proposals_are_the_published_ones(state, golden):
    expected = golden["rpn"]["centernet"]["proposals"]
    assert len(state.scores) == expected["count"]
    best = state.scores.argsort(descending=True, stable=True)[: len(expected["top_scores"])]
    assert deviation(state.scores[best], expected["top_scores"]) < TOLERANCE
    assert deviation(state.boxes[best], expected["top_boxes"]) < TOLERANCE
    for values, name in ((state.boxes, "boxes_stats"), (state.scores, "scores_stats")):
        assert float(values.double().abs().sum()) == pytest.approx(expected[name]["abs_sum"], rel=1e-5)


def test_a_detectors_checkpoint_gives_the_heads(model, golden, golden_pictures):
    """Its names are others, and its image encoder is the same."""
    keys = golden["rpn"]["centernet"]["keys"]
    tensors = published(golden_pictures, {**golden["full"]["keys"], **keys})
    detector = {
        name.replace("rpn_head.", "bbox_head.").replace("fpn.", "neck.") if name in keys else name: tensor
        for name, tensor in tensors.items()
    }
    assert "neck.lateral_convs.0.conv.weight" in detector and "bbox_head.conv_cls.bias" in detector
    other = MODELS.build(CONFIG.model)
    assert load_state(other, detector).is_clean
    assert all(torch.equal(a, b) for a, b in zip(other.parameters(), model.parameters(), strict=True))


def test_a_point_gets_the_best_of_the_nearest_boxes_around_it():
    around = [[50 - side, 50 - side, 50 + side, 50 + side] for side in range(10, 15)]
    further, beside = [1, 1, 90, 90], [50, 0, 99, 99]
    boxes = torch.tensor([*around, further, beside]).float()
    scores = torch.tensor([0.2, 0.3, 0.6, 0.5, 0.4, 0.9, 1.0])
    points = torch.tensor([[50, 50], [2, 2], [0, 0], [99, 99]]).float()
    found = boxes_at(points, boxes, scores)
    assert torch.equal(found[0], boxes[2]) and torch.equal(found[1], boxes[5])
    assert found[2:].isnan().all()
    assert boxes_at(points, boxes[:0], scores[:0]).isnan().all()


def answers(model, state, prompts):
    found = EdgeSamSegmenter.from_model(model, CONFIG).segment_prompts(state, prompts)
    return found, found.carry.logits


def test_a_click_is_answered_with_the_box_that_is_proposed_there(model, state, picture):
    centre = (state.boxes[state.scores.argmax(), :2] + state.boxes[state.scores.argmax(), 2:]) / 2
    box = boxes_at(centre[None], state.boxes, state.scores)
    assert not box.isnan().any()
    click = centre.numpy().reshape(1, 1, 2)
    found, logits = answers(model, state, Prompts(click))
    _, boxed = answers(model, state, Prompts(click, boxes=box.numpy()))
    torch.testing.assert_close(logits, boxed)
    plain = SamSegmenter.from_model(model, CONFIG).segment_prompts(state, Prompts(click))
    assert not torch.allclose(logits, plain.carry.logits, atol=1e-2)

    masks = decode_masks(found.rles, picture.shape[:2])
    more = np.concatenate([click, click + 20], axis=1)
    labels = np.array([[1, 0]], np.int8)
    corrected, _ = answers(model, state, Prompts(more, labels, masks=masks, carry=found.carry))
    assert torch.equal(corrected.carry.boxes, box), "a correction keeps the box"
    at_once, _ = answers(model, state, Prompts(more, labels))
    assert torch.equal(at_once.carry.boxes, box)
    mask_alone, _ = answers(model, state, Prompts(more, labels, masks=masks))
    assert mask_alone.carry.boxes is None


@torch.no_grad()
def test_a_click_where_nothing_is_proposed_has_padding_for_corners(model, state, golden):
    nowhere = torch.tensor([[[0.0, 0.0]]])
    found, _ = answers(model, state, Prompts(nowhere.numpy()))
    assert found.carry.boxes.isnan().all()
    sparse, _ = model.prompt_encoder(nowhere, torch.ones(1, 1), found.carry.boxes)
    padding = model.prompt_encoder.not_a_point_embed.weight
    assert sparse.shape[1] == 3 and torch.equal(sparse[0, 1:], padding.expand(2, -1))
    assert not sparse.isnan().any()


@torch.no_grad()
def test_scores_are_the_published_stability(model, state, golden):
    """Of the decoder's logits; of one click the most stable candidate, as `predict_torch` of the published code."""
    segmenter = SamSegmenter.from_model(model, CONFIG)
    for name, case in golden["full"]["cases"].items():
        if "mask_seed" in case:
            continue
        prediction = model.decode(state.embedding, case.get("points"), case.get("labels"), case.get("boxes"))
        for expected in case["stability"]:
            assert deviation(stability(prediction.logits, expected["offset"]), expected["score"]) < TOLERANCE
        (whole,) = (entry["score"] for entry in case["stability"] if entry["offset"] == 1.0)
        arrays = {kind: case[kind].numpy() for kind in ("points", "labels", "boxes") if kind in case}
        found = segmenter.segment_prompts(state, Prompts(**arrays))
        best = whole[:, 1:].max(1).values if name == "point" else whole[:, 0]
        np.testing.assert_allclose(found.scores, best, atol=TOLERANCE)


def test_the_published_names_load_by_path(golden, golden_pictures, tmp_path):
    keys = {**golden["full"]["keys"], **golden["rpn"]["centernet"]["keys"]}
    file = tmp_path / "edge_sam_rpn.pth"
    torch.save(published(golden_pictures, keys), file)
    loaded = omgseg.load("edge-sam-rpn", file, "cpu")
    assert isinstance(loaded, EdgeSamSegmenter) and loaded.scores == "stability"
    entry = find_model("edge-sam-rpn")
    assert sum(tensor.numel() for tensor in loaded.model.parameters()) == entry.parameters
    assert loaded.abilities.tasks == entry.tasks and loaded.abilities.prompts == entry.prompts
