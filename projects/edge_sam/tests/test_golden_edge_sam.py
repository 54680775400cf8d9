"""EdgeSAM's encoder and distillation give what the published code gives."""

import re

import pytest
import torch
from mmengine.config import Config

from omgseg.models.sam.distillation import embedding_loss, valid_cells
from omgseg.projects.edge_sam.prompt_distillation import best_by_teacher, mask_losses
from omgseg.registry import MODELS

pytestmark = pytest.mark.golden
TOLERANCE = 1e-4
HALVED = (r"token_mixer\.0\.conv1?\.bn\.weight$", r"channel_mixer\.m\.2\.bn\.weight$")


@pytest.fixture(scope="module")
def golden(golden_dir):
    return torch.load(golden_dir / "edge_sam" / "golden.pt", weights_only=True)


@pytest.fixture(scope="module")
def model(golden, golden_pictures):
    """EdgeSAM, with weights under the published names."""
    model = MODELS.build(Config.fromfile("projects/edge_sam/configs/edge_sam.py").model).eval()
    tensors = {
        name: torch.zeros(shape, dtype=torch.long if name.endswith("tracked") else torch.float32)
        for name, shape in golden["full"]["keys"].items()
    }
    golden_pictures.fill_published_(tensors)
    for name, tensor in tensors.items():
        if any(re.search(pattern, name) for pattern in HALVED):
            tensor *= 0.5
    model.load_state_dict(tensors)
    return model


def deviation(ours, published):
    assert ours.shape == published.shape
    return float((ours - published).abs().max() / published.abs().max())


@torch.no_grad()
def test_the_model_gives_the_published_embedding_and_masks(
    model, golden, golden_pictures, answers_as_published
):
    expected = golden["full"]
    assert sum(tensor.numel() for tensor in model.parameters()) == expected["parameters"]
    picture = golden_pictures.picture(expected["picture"]["seed"], *expected["picture"]["size"])
    pixels = model.normalize(torch.from_numpy(picture).permute(2, 0, 1)[None], [picture.shape[:2]])
    stages = model.image_encoder.stages(pixels)
    for index, features in enumerate(stages):
        height, width = features.shape[-2:]
        sample = features[:, ::8, 3 :: height // 8, 5 :: width // 8]
        assert deviation(sample, expected["taps"][f"stage{index}"]["sample"]) < TOLERANCE
    embedding = model.image_encoder(pixels)
    assert deviation(embedding[:, :, 1::8, 3::8], expected["embedding_sample"]) < TOLERANCE
    answers_as_published(model, embedding, expected["cases"])


def test_the_embedding_loss_leaves_the_padding_out(golden):
    case = golden["distillation"]["encoder_loss"]
    sizes = [tuple(size[1:]) for size in case["img_size_before_pad"]]
    side = case["img_size_pad"][0]
    valid = valid_cells(sizes, side, tuple(case["student"].shape[-2:])) > 0.5
    assert torch.equal(valid, case["valid"])
    loss = embedding_loss(case["student"], case["teacher"], valid)
    # The published sum pairs every image with every image's padding: `pixel` is the mean of the whole table.
    assert case["pixel"] == pytest.approx(float(case["pixel_table"].mean()), rel=1e-5)
    assert float(loss) == pytest.approx(float(case["pixel_table"].diagonal().mean()), rel=1e-5)


def test_mask_losses(golden):
    case = golden["distillation"]["mask_losses"]
    entropy, dice = mask_losses(case["student"], case["teacher"], case["valid_down"])
    assert float(entropy) == pytest.approx(case["bce"], rel=1e-5)
    assert float(dice) == pytest.approx(case["dice"], rel=1e-5)


def test_the_teacher_chooses_the_mask(golden):
    case = golden["distillation"]["multimask_choice"]
    for side in ("student", "teacher"):
        chosen = best_by_teacher(case[side], case["teacher_iou"]) > 0
        assert torch.equal(chosen, case[f"{side}_chosen"])
