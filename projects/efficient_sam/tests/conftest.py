"""A small EfficientSAM, and its published config."""

import pytest
from mmengine.config import Config

import omgseg
from omgseg.model_table import find_model

SIDE = 64


@pytest.fixture(scope="session")
def small():
    """The config of EfficientSAM-Ti in small."""
    config = Config.fromfile(find_model("efficient-sam-ti").config)
    config.model.image_encoder.update(image_size=SIDE, width=32, num_heads=2, depth=2, embed_dim=32)
    config.model.prompt_encoder.update(image_size=SIDE, embed_dim=32)
    config.model.mask_decoder.update(embed_dim=32, num_heads=2, mlp_dim=32, iou_hidden_dim=32)
    return config


@pytest.fixture(scope="session")
def segmenter(small):
    return omgseg.load(small, "random", device="cpu")
