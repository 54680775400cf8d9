"""Published checkpoints load by path, and those of another model are named."""

import pytest
import torch
from mmengine.config import Config

import omgseg
from omgseg.model_table import find_model
from omgseg.models.checkpoints.loading import CheckpointError
from omgseg.registry import MODELS


def save_telling(name, file):
    """A checkpoint with the tensors that a model is known by."""
    torch.save({key: torch.zeros(shape) for key, shape in find_model(name).known_by.items()}, file)


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        ("sam-vit-h", "sam-vit-b"),
        ("sam-vit-b", "mobile-sam"),
        ("mobile-sam", "edge-sam"),
        ("edge-sam", "edge-sam-rpn"),
        ("edge-sam-rpn", "edge-sam"),
    ],
)
def test_a_checkpoint_of_another_model_is_named_in_one_sentence(held, wanted, tmp_path):
    file = tmp_path / "weights.pth"
    save_telling(held, file)
    with pytest.raises(CheckpointError) as caught:
        omgseg.load(find_model(wanted).config, file, "cpu")
    assert str(caught.value) == (
        f"{file} holds {held}, the config is that of {wanted}: use {find_model(held).config}"
    )


def test_a_published_model_in_a_config_of_ones_own_is_named(small_config, tmp_path):
    file = tmp_path / "weights.pth"
    save_telling("sam-vit-b", file)
    with pytest.raises(
        CheckpointError, match=r"holds sam-vit-b, the config is that of another model: use .*\.py$"
    ):
        omgseg.load({"model": small_config}, file, "cpu")


def test_a_size_that_nobody_published_is_told_by_its_tensors(tmp_path):
    """Under published names, which the model translates before torch compares shapes."""
    file = tmp_path / "weights.pth"
    torch.save(
        {
            "image_encoder.patch_embed.seq.0.c.weight": torch.zeros(7, 3, 3, 3),
            "image_encoder.layers.0.blocks.0.conv1.c.weight": torch.zeros(7, 3, 1, 1),
        },
        file,
    )
    with pytest.raises(CheckpointError, match=r"weights\.pth does not fit the model: (?s:.*)size mismatch"):
        omgseg.load("mobile-sam", file, "cpu")


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


@pytest.mark.parametrize("name", ["mobile-sam", "edge-sam"])
def test_the_small_relatives_load_by_path(name, tmp_path):
    config = Config.fromfile(find_model(name).config)
    tensors = MODELS.build(config.model).state_dict()
    file = tmp_path / "published.pt"
    torch.save(tensors, file)
    loaded = omgseg.load(find_model(name).config, file, "cpu")
    assert all(torch.equal(tensor, tensors[key]) for key, tensor in loaded.model.state_dict().items())


def test_weights_on_the_web_are_to_be_downloaded_first():
    url = "https://dl.fbaipublicfiles.com/segment_anything/sam_vit_b_01ec64.pth"
    with pytest.raises(CheckpointError, match="download it.*local path"):
        omgseg.load("configs/sam/sam_vit_b.py", url, "cpu")
    with pytest.raises(FileNotFoundError, match=f"get {url} and give weights=FILE"):
        omgseg.load("sam-vit-b")
