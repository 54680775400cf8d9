"""The golden values of YOLACT, and its models."""

import pytest
import torch
from mmengine.config import Config

from omgseg.registry import MODELS


@pytest.fixture(scope="session")
def yolact_golden(golden_dir):
    return torch.load(golden_dir / "yolact" / "golden.pt", weights_only=True)


@pytest.fixture(scope="session")
def build_yolact():
    """``build_yolact(name)``: the model of a config, with any weights."""

    def build(name):
        config = Config.fromfile(f"projects/yolact/configs/{name}.py").model
        with torch.device("meta"):
            model = MODELS.build(config)
        return model.to_empty(device="cpu").eval()

    return build
