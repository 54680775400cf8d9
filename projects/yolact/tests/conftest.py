"""The golden values of YOLACT, and weights that follow from the published names."""

import sys

import pytest
import torch
from mmengine.config import Config

from omgseg.registry import MODELS


@pytest.fixture(scope="session")
def yolact_golden(golden_dir):
    return torch.load(golden_dir / "yolact" / "golden.pt", weights_only=True)


@pytest.fixture(scope="session")
def filled(golden_dir):
    """``filled(name, shape)``: the tensor that a published name stands for."""
    sys.path.insert(0, str(golden_dir))
    try:
        from filled import filled
    finally:
        sys.path.remove(str(golden_dir))
    return filled


@pytest.fixture(scope="session")
def build_yolact():
    """``build_yolact(name)``: the model of a config, with any weights."""

    def build(name):
        config = Config.fromfile(f"projects/yolact/configs/{name}.py").model
        with torch.device("meta"):
            model = MODELS.build(config)
        return model.to_empty(device="cpu").eval()

    return build
