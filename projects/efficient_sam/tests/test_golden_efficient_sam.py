"""EfficientSAM gives what the published code gives."""

import re
import zlib

import numpy as np
import pytest
import torch
from mmengine.config import Config

from omgseg.models.checkpoints.loading import load_weights
from omgseg.registry import MODELS

pytestmark = pytest.mark.golden
TOLERANCE, LOGIT_TOLERANCE = 1e-4, 3e-4
TABLES = (
    r"(^|\.)(pos_embed|positional_encoding_gaussian_matrix|(iou_token|mask_tokens|invalid_points|point_embeddings|"
    r"bbox_top_left_embeddings|bbox_bottom_right_embeddings)\.weight)$"
)


@pytest.fixture(scope="module")
def golden(golden_dir):
    return torch.load(golden_dir / "efficient_sam" / "golden.pt", weights_only=True)


@pytest.fixture(scope="module")
def model(golden, golden_pictures):
    """EfficientSAM of the stored width, with weights under the published names."""
    config = Config.fromfile("projects/efficient_sam/configs/efficient_sam_ti.py").model
    shapes = golden["keys"]
    width = shapes["image_encoder.pos_embed"][-1]
    config.image_encoder.update(width=width, num_heads=width // 64)
    model = MODELS.build(config).eval()
    tensors = {name: torch.zeros(shape) for name, shape in shapes.items()}
    golden_pictures.fill_published_(tensors, table=TABLES)
    load_weights(model, tensors, "the published weights")  # strict
    return model


@pytest.fixture(scope="module")
def picture(golden, golden_pictures):
    picture = golden_pictures.picture(golden["picture"]["seed"], *golden["picture"]["size"])
    assert zlib.crc32(picture.tobytes()) == golden["picture"]["crc32"]
    return picture


def deviation(ours, published):
    assert ours.shape == published.shape
    return float((ours - published).abs().max())


@torch.no_grad()
def test_the_image_encoder(model, golden, picture):
    sizes = [sum(x.numel() for x in part.parameters()) for part in (model, model.image_encoder)]
    assert sizes == [golden["parameters"], golden["parameters_image_encoder"]]
    pixels, _ = model.preprocess(picture)
    assert deviation(pixels[:, :, ::31, ::31], golden["preprocessed_sample"]) < TOLERANCE
    encoder, grid = model.image_encoder, (model.image_encoder.grid,) * 2
    positions = encoder.positions(grid)
    table = positions.unflatten(1, grid)
    assert deviation(table[:, ::7, ::7, ::4], golden["pos_embed_sample"]) < TOLERANCE
    tokens = encoder.patch_embed.proj(pixels).flatten(2).transpose(1, 2)
    taps = {"patch_embed": tokens}
    tokens = tokens + positions
    for number, block in enumerate(encoder.blocks):
        taps[f"blocks.{number}"] = tokens = block(tokens)
    for name, tokens in taps.items():
        sample = tokens.transpose(1, 2).unflatten(2, grid)[:, ::8, 3::8, 5::8]
        assert deviation(sample, golden["taps"][name]["sample"]) < TOLERANCE, name


@pytest.fixture(scope="module")
def encoded(model, picture):
    with torch.no_grad():
        pixels, geometry = model.preprocess(picture)
        return model.image_encoder(pixels), geometry


def test_the_embedding(encoded, golden):
    assert deviation(encoded[0][:, :, 1::8, 3::8], golden["embedding_sample"]) < TOLERANCE


@torch.no_grad()
def test_prompts_give_the_published_masks(model, encoded, golden, picture):
    embedding, geometry = encoded
    scale = model.image_size / torch.tensor(picture.shape[1::-1])
    for name, case in golden["cases"].items():
        labels = case["labels"][0]
        points = torch.where(case["points"][0] >= 0, case["points"][0] * scale, -1.0)
        sparse, _ = model.prompt_encoder(points, labels)
        assert deviation(sparse, case["sparse"]) < TOLERANCE, name
        found = model.decode(embedding, points, labels)
        low, iou = found.logits, found.iou
        assert deviation(low[None, :, 1:, ::7, ::7], case["low_res_sample"]) < LOGIT_TOLERANCE, name
        assert deviation(low[None, :, :1, ::7, ::7], case["single"]["low_res_sample"]) < LOGIT_TOLERANCE, name
        assert deviation(iou[None, :, 1:], case["iou"]) < TOLERANCE, name
        assert deviation(iou[None, :, :1], case["single"]["iou"]) < TOLERANCE, name
        if "output_sample" in case:
            full = geometry.resize(low[:, 1:].flatten(0, 1)).unflatten(0, low[:, 1:].shape[:2])
            assert deviation(full[None, ..., ::5, ::3], case["output_sample"]) < LOGIT_TOLERANCE, name
            published = np.unpackbits(case["output_bits"].numpy(), count=full.numel())
            assert (published != (full > 0).flatten().numpy()).mean() < 1e-4, name


@torch.no_grad()
def test_a_box_is_two_corners(model, encoded, golden):
    """In the core's own form: boxes apart from points."""
    case = golden["cases"]["box_point"]
    at = {int(label): place for label, place in zip(case["padded_labels"][0], case["padded_points"][0])}
    box, point = torch.cat([at[2], at[3]])[None], at[1].view(1, 1, 2)
    sparse, _ = model.prompt_encoder(point, torch.ones(1, 1, dtype=torch.long), box)
    order = [int(label) for label in case["labels"].flatten()]
    assert order == [2, 3, 1]
    assert deviation(sparse, case["sparse"]) < TOLERANCE


def test_what_was_saved_loads_again(model):
    saved = model.state_dict()
    assert not any(re.search(r"final_output|\.fc\.", name) for name in saved)
    load_weights(model, saved, "saved")
