"""The golden values of OV-SAM, and a model of their sizes whose weights follow from the published names."""

import numpy as np
import pytest
import torch
from mmengine.config import Config

from omgseg.projects.ov_sam.published import PARTS, rename
from omgseg.registry import MODELS


@pytest.fixture(scope="session")
def golden(golden_dir):
    return torch.load(golden_dir / "ov_sam" / "golden.pt", weights_only=True)


@pytest.fixture(scope="session")
def published_names(golden):
    """Our name of a tensor to the published one, but for those of the trunk."""
    names = [golden["sam2clip_neck"]["prefix"] + name for name, _ in golden["sam2clip_neck"]["keys"]]
    names += [name for name, _ in golden["clip2sam"]["keys"]]
    ours = {rename(name, part): name for part in PARTS for name in names if rename(name, part)}
    assert len(ours) == len(names)
    return ours


def published_trunk_name(name):
    """open_clip's name of a tensor of the visual tower, as the published code says."""
    for number in (1, 2, 3):
        for kind, place in (("conv", 3 * number - 3), ("bn", 3 * number - 2)):
            if name.startswith(f"{kind}{number}."):
                return f"backbone.stem.{place}.{name.partition('.')[2]}"
    return "backbone." + name.replace("attnpool.", "head.")


def golden_config(golden):
    config = Config.fromfile("projects/ov_sam/configs/ov_sam_coco.py").model
    size = golden["clip2sam"]["image_size"]
    config.image_encoder.image_size = config.prompt_encoder.image_size = size
    config.image_encoder.trunk.pretrained = config.text_encoder.pretrained = None
    config.alpha, config.beta = golden["clip2sam"]["alpha"], golden["clip2sam"]["beta"]
    return config


@pytest.fixture(scope="session")
def model(golden, filled, published_names):
    """The published model at the golden size."""
    with torch.device("meta"):
        model = MODELS.build(golden_config(golden))
    model.to_empty(device="cpu")
    model.pixel_mean.copy_(torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1))
    model.pixel_std.copy_(torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1))
    prefix = "image_encoder.trunk."
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.startswith(prefix):
                name = published_trunk_name(name.removeprefix(prefix))
            else:
                name = published_names[name]
            tensor.copy_(filled(name, tuple(tensor.shape)))
    return model.eval()


@pytest.fixture(scope="session")
def seeded():
    """``seeded(entry)``: the input that a golden file describes."""

    def make(entry):
        values = np.random.RandomState(entry["seed"]).standard_normal(entry["shape"])
        values = torch.from_numpy(values.astype(np.float32)) * entry["scale"]
        assert torch.allclose(values.flatten()[:8], entry["first"])
        return values

    return make


@pytest.fixture
def deviation():
    """``deviation(ours, published)``: the largest difference, in units of the largest published value."""

    def measure(ours, published):
        assert ours.shape == published.shape
        return float((ours - published).abs().max() / published.abs().max())

    return measure
