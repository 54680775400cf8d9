"""MobileSAM gives what the published code gives."""

import pytest
import torch
from mmengine.config import Config

from omgseg.registry import MODELS

pytestmark = pytest.mark.golden
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def golden(golden_dir):
    return torch.load(golden_dir / "mobile_sam" / "golden.pt", weights_only=True)


@pytest.fixture(scope="module")
def tensors(golden, golden_pictures):
    """Weights under the published names."""
    tensors = {
        name: torch.zeros(shape, dtype=torch.long if name.endswith("tracked") else torch.float32)
        for name, shape in golden["keys"].items()
    }
    golden_pictures.fill_published_(
        tensors, table=golden_pictures.TABLE.replace("pos_embed|", "pos_embed|attention_biases|")
    )
    return tensors


@pytest.fixture
def model():
    return MODELS.build(Config.fromfile("projects/mobile_sam/configs/mobile_sam.py").model).eval()


def deviation(ours, published):
    assert ours.shape == published.shape
    return float((ours - published).abs().max() / published.abs().max())


@torch.no_grad()
def test_the_model_gives_the_published_embedding_and_masks(
    model, tensors, golden, golden_pictures, answers_as_published
):
    picture = golden_pictures.picture(golden["picture"]["seed"], *golden["picture"]["size"])
    pixels = model.normalize(torch.from_numpy(picture).permute(2, 0, 1)[None], [picture.shape[:2]])
    small = pixels[:, :, :224, :224]
    model.image_encoder(small)  # looks biases up, which the weights then replace
    model.load_state_dict(tensors)
    embedding = model.image_encoder(pixels)
    assert deviation(embedding[:, :, 1::8, 3::8], golden["embedding_sample"]) < TOLERANCE
    answers_as_published(model, embedding, golden["cases"])


def test_what_was_saved_loads_again(model):
    saved = model.state_dict()
    assert not any("layers." in name for name in saved if name.startswith("image_encoder."))
    model.load_state_dict(saved)
