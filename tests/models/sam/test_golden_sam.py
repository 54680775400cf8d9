"""SAM's parts give what the published code gives."""

import numpy as np
import pytest
import torch
from mmengine.config import Config

from omgseg.models.geometry import MaskGeometry
from omgseg.models.sam.image_encoder import relative_positions
from omgseg.models.sam.model import fitted_size, to_model_frame
from omgseg.registry import MODELS

from .conftest import deviation

pytestmark = pytest.mark.golden
TOLERANCE = 1e-4


def embed(model, case):
    masks = case.get("mask_input")
    return model.prompt_encoder(case.get("points"), case.get("labels"), case.get("boxes"), masks)


def test_the_small_model_has_the_published_names(tiny, golden):
    shapes = {name: list(tensor.shape) for name, tensor in tiny.state_dict().items()}
    assert shapes == golden["tiny"]["keys"]


@torch.no_grad()
def test_a_picture_gets_the_published_embedding(tiny, golden, golden_pictures):
    expected = golden["tiny"]
    picture = golden_pictures.picture(expected["picture"]["seed"], *expected["picture"]["size"])
    pixels, geometry = tiny.preprocess(picture)
    assert geometry.image == tuple(expected["resized"].shape[:2])
    assert deviation(pixels[:, :, ::7, ::7], expected["input_sample"]) < TOLERANCE
    assert deviation(tiny.image_encoder(pixels), expected["embedding"]) < TOLERANCE
    assert deviation(tiny.prompt_encoder.dense_positions(), expected["dense_pe"]) < TOLERANCE


@torch.no_grad()
def test_prompts_give_the_published_masks(tiny, golden):
    positions = tiny.prompt_encoder.dense_positions()
    assert golden["tiny"]["cases"]
    for kind, case in golden["tiny"]["cases"].items():
        sparse, dense = embed(tiny, case)
        assert deviation(sparse, case["sparse"]) < TOLERANCE, kind
        if "dense" in case:
            assert deviation(dense, case["dense"]) < TOLERANCE, kind
        found = tiny.mask_decoder(golden["tiny"]["embedding"], positions, sparse, dense)
        assert deviation(found.tokens, case["queries"]) < TOLERANCE, kind
        assert deviation(found.logits, case["low_res"]) < TOLERANCE, kind
        assert deviation(found.iou, case["iou"]) < TOLERANCE, kind


@torch.no_grad()
def test_an_embedding_for_each_object_is_the_same_as_one_for_all(tiny, golden):
    case = golden["tiny"]["cases"]["points"]
    sparse, dense = embed(tiny, case)
    embedding = golden["tiny"]["embedding"].expand(len(sparse), -1, -1, -1)
    found = tiny.mask_decoder(embedding, tiny.prompt_encoder.dense_positions(), sparse, dense)
    assert deviation(found.logits, case["low_res"]) < TOLERANCE


@torch.no_grad()
def test_masks_reach_the_original_size_as_published(tiny, golden, golden_pictures):
    expected = golden["tiny"]["predictor"]
    picture = golden["tiny"]["picture"]
    pixels, geometry = tiny.preprocess(golden_pictures.picture(picture["seed"], *picture["size"]))
    points = to_model_frame(expected["point_coords"].numpy(), geometry)
    np.testing.assert_allclose(points, expected["coords_in_model_frame"])
    embedding = tiny.image_encoder(pixels)
    boxes = to_model_frame(expected["box"].numpy().reshape(1, 2, 2), geometry).reshape(1, 4)
    np.testing.assert_allclose(boxes, expected["box_in_model_frame"])
    given = [torch.from_numpy(values).float() for values in (points[None], boxes)]
    found = tiny.decode(embedding, given[0], expected["point_labels"][None], given[1])
    assert deviation(found.iou[0, 1:], expected["iou"]) < TOLERANCE
    assert deviation(found.logits[0, 1:], expected["low_res"]) < TOLERANCE
    resized = geometry.resize(found.logits[0, 1:])
    assert deviation(resized[:, ::2, ::2], expected["masks"]) < TOLERANCE

    second = expected["second"]
    best = expected["low_res"][expected["iou"].argmax()][None, None]
    again = tiny.decode(embedding, given[0][:, :1], expected["point_labels"][None, :1], masks=best)
    assert deviation(again.iou[0, :1], second["iou"]) < TOLERANCE
    assert deviation(again.logits[0, :1], second["low_res"]) < TOLERANCE
    bits = np.packbits((geometry.resize(again.logits[0, :1]) > 0).numpy())
    assert np.array_equal(bits, second["bits"].numpy())


@pytest.fixture(scope="module")
def full(golden, golden_pictures):
    """The published ViT-B and its output for the golden picture."""
    config = Config.fromfile("configs/sam/sam_vit_b.py").model
    model = MODELS.build(config).eval()
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    assert shapes == golden["vit_b"]["keys"]
    golden_pictures.fill_published_(model.state_dict())
    return model


@torch.no_grad()
def test_the_published_size_has_the_published_embedding_and_masks(
    full, golden, golden_pictures, answers_as_published
):
    expected = golden["vit_b"]
    assert sum(tensor.numel() for tensor in full.parameters()) == expected["parameters"]
    picture = golden_pictures.picture(expected["picture"]["seed"], *expected["picture"]["size"])
    pixels = full.normalize(torch.from_numpy(picture).permute(2, 0, 1)[None], [picture.shape[:2]])
    embedding = full.image_encoder(pixels)
    assert deviation(embedding[:, :, 1::8, 3::8], expected["embedding_sample"]) < TOLERANCE
    positions = full.prompt_encoder.dense_positions()
    assert deviation(positions[:, :, ::8, ::8], expected["dense_pe_sample"]) < TOLERANCE
    answers_as_published(full, embedding, expected["cases"])


@torch.no_grad()
def test_the_published_decoder_alone(full, golden, golden_pictures, answers_as_published):
    expected = golden["vit_b"]["decoder_alone"]
    shape = expected["embedding_stats"]["shape"]
    embedding = golden_pictures.filled.filled(expected["embedding_name"], tuple(shape)) * 1024
    answers_as_published(full, embedding, expected["cases"])


def test_sizes_and_coordinates_follow_the_published_rounding(golden):
    expected = golden["preprocess"]
    for target, height, width, new_height, new_width in expected["target_sizes"]:
        fitted = fitted_size((height, width), target)
        assert fitted == (max(new_height, 1), max(new_width, 1))
    for name, shape in (("coords", (-1, 2)), ("boxes", (-1, 2, 2))):
        for case in expected[name]:
            size = tuple(case["size"])
            targets = [row[0] for row in expected["target_sizes"] if tuple(row[1:3]) == size]
            geometries = [MaskGeometry((side, side), fitted_size(size, side), size) for side in targets]
            given, published = case["in"].numpy().reshape(shape), case["out"].numpy().reshape(shape)
            assert any(np.allclose(to_model_frame(given, geometry), published) for geometry in geometries)


def test_masks_are_resized_as_published(golden):
    case = golden["preprocess"]["postprocess"]
    side = case["img_size"]
    geometry = MaskGeometry((side, side), tuple(case["input_size"]), tuple(case["original_size"]))
    resized = geometry.resize(case["low_res"][0])
    assert deviation(resized[None, :1, ::2, 1::2], case["out_sample"]) < TOLERANCE
    assert np.array_equal(np.packbits((resized > 0).numpy()), case["out_bits"].numpy())


def test_relative_positions_are_looked_up_as_published(golden):
    for case in golden["preprocess"]["rel_pos"]:
        ours = relative_positions(case["table"], case["q_size"], case["k_size"])
        assert deviation(ours, case["out"]) < TOLERANCE
