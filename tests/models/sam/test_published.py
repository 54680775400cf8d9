"""Published checkpoints load by path, and those of another model are named."""

import pytest
import torch
from mmengine.config import Config

import omgseg
from omgseg.models.checkpoints.loading import CheckpointError
from omgseg.models.sam.adapter import recognise
from omgseg.registry import MODELS

CONFIGS = {
    "SAM ViT-B": "configs/sam/sam_vit_b.py",
    "SAM ViT-L": "configs/sam/sam_vit_l.py",
    "SAM ViT-H": "configs/sam/sam_vit_h.py",
    "MobileSAM": "projects/mobile_sam/configs/mobile_sam.py",
    "EdgeSAM": "projects/edge_sam/configs/edge_sam.py",
}
TELLING = {
    "SAM ViT-B": {"image_encoder.pos_embed": (1, 2, 2, 768)},
    "SAM ViT-L": {"image_encoder.pos_embed": (1, 2, 2, 1024)},
    "SAM ViT-H": {"image_encoder.pos_embed": (1, 2, 2, 1280)},
    "MobileSAM": {"image_encoder.patch_embed.seq.0.c.weight": (32, 3, 3, 3)},
    "EdgeSAM": {"image_encoder.features.0.0.c.weight": (24, 3, 3, 3)},
}
"""A tensor of each, enough to know it by."""


@pytest.mark.parametrize("name", CONFIGS)
def test_each_config_builds_the_model_that_is_recognised(name):
    config = Config.fromfile(CONFIGS[name])
    with torch.device("meta"):
        tensors = MODELS.build(config.model).state_dict()
    known = recognise(tensors)
    assert known.name == name and known.config == CONFIGS[name]
    assert recognise({key: torch.empty(shape) for key, shape in TELLING[name].items()}) == known


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        ("SAM ViT-L", "SAM ViT-B"),
        ("SAM ViT-B", "SAM ViT-H"),
        ("MobileSAM", "SAM ViT-B"),
        ("SAM ViT-B", "MobileSAM"),
        ("EdgeSAM", "MobileSAM"),
        ("MobileSAM", "EdgeSAM"),
    ],
)
def test_a_checkpoint_of_another_model_is_named_in_one_sentence(held, wanted, tmp_path):
    file = tmp_path / "weights.pth"
    torch.save({key: torch.zeros(shape) for key, shape in TELLING[held].items()}, file)
    with pytest.raises(CheckpointError) as caught:
        omgseg.load(CONFIGS[wanted], file, "cpu")
    assert str(caught.value) == (f"{file} holds {held}, the config is that of {wanted}: use {CONFIGS[held]}")


def test_a_checkpoint_of_no_known_model_is_told_by_its_tensors(small_config, tmp_path):
    file = tmp_path / "weights.pth"
    torch.save({"a.weight": torch.zeros(3)}, file)
    with pytest.raises(CheckpointError, match="does not fit the model"):
        omgseg.load({"model": small_config}, file, "cpu")
    file.write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match=r"weights\.pth"):
        omgseg.load({"model": small_config}, file, "cpu")


def test_a_bare_state_dict_loads_by_path(small_config, tmp_path):
    """As the published files are: no key ``state_dict``, no means of pixels."""
    model = MODELS.build(small_config)
    tensors = {name: tensor + 1 for name, tensor in model.state_dict().items()}
    assert not any("pixel" in name for name in tensors)
    file = tmp_path / "sam.pth"
    torch.save(tensors, file)
    loaded = omgseg.load({"model": small_config}, file, "cpu")
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in loaded.model.state_dict().items())


@pytest.mark.parametrize("name", ["MobileSAM", "EdgeSAM"])
def test_the_small_relatives_load_by_path(name, tmp_path):
    config = Config.fromfile(CONFIGS[name])
    tensors = MODELS.build(config.model).state_dict()
    file = tmp_path / "published.pt"
    torch.save(tensors, file)
    loaded = omgseg.load(CONFIGS[name], file, "cpu")
    assert all(torch.equal(tensor, tensors[key]) for key, tensor in loaded.model.state_dict().items())


def test_weights_on_the_web_are_to_be_downloaded_first():
    url = "https://dl.fbaipublicfiles.com/segment_anything/sam_vit_b_01ec64.pth"
    with pytest.raises(CheckpointError, match="download it.*local path"):
        omgseg.load("configs/sam/sam_vit_b.py", url, "cpu")
    with pytest.raises(FileNotFoundError, match=f"get {url} and give weights=FILE"):
        omgseg.load("sam-vit-b")
