"""A tiny model with random weights, in the structure of the published config."""

import zlib
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from PIL import Image

from omgseg.inference import OMGSegInferencer
from omgseg.models.omgseg.text_encoder import TextEncoder
from omgseg.registry import MODELS
from omgseg.structures import Category, Vocabulary
from tests.tiny_omgseg import register_clip, scene
from tests.tiny_omgseg import tiny_config as make_tiny_config

TEST_SCALE = (160, 96)


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory) -> Config:
    """Random weights, and a test size of its own."""
    name = "omgseg_test_apis"
    register_clip(tmp_path_factory.mktemp("open_clip"), name)
    config = make_tiny_config()
    for encoder in (config.model.image_encoder, config.model.text_encoder):
        encoder.update(model_name=name, pretrained=None)
    config.model.text_encoder.type = "WordsApart"
    config.test_dataloader = dict(
        dataset=dict(
            type="CocoPanopticDataset",
            image_size=TEST_SCALE,
            pipeline=[dict(type="LoadFrames"), dict(type="Resize"), dict(type="PackClip")],
        )
    )
    return config


@MODELS.register_module(force=True)
class WordsApart(TextEncoder):
    """Every word gets a direction of its own; a random text tower gives all words nearly the same one."""

    def _embed(self, words: list[str]) -> torch.Tensor:
        seeds = (torch.Generator().manual_seed(zlib.crc32(word.encode())) for word in words)
        return F.normalize(
            torch.stack([torch.randn(self.embed_dim, generator=seed) for seed in seeds]), dim=-1
        )


@pytest.fixture(scope="session")
def seg(tiny_config, spread_weights) -> OMGSegInferencer:
    """A model on the CPU with a label space of four words, whose weights were changed until it finds several things
    and stuff."""
    names = ("dog", True), ("truck", True), ("sky", False), ("road", False)
    words = Vocabulary(
        Category(name, is_thing, id=number) for number, (name, is_thing) in enumerate(names, 1)
    )
    seg = OMGSegInferencer(tiny_config, vocabulary=words, device="cpu")
    spread_weights(seg.segmenter.model, 0.6)
    return seg


@pytest.fixture(scope="session")
def weights(seg, tmp_path_factory) -> Path:
    """The weights of `seg` as a file, without words."""
    path = tmp_path_factory.mktemp("weights") / "tiny.pth"
    torch.save(seg.segmenter.model.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def config_file(tiny_config, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("config") / "tiny.py"
    tiny_config.dump(file)
    return file


@pytest.fixture
def photo(tmp_path) -> Path:
    """A 90x140 image file."""
    file = tmp_path / "photo.png"
    Image.fromarray(scene()).save(file)
    return file


@pytest.fixture
def video(tmp_path) -> Path:
    """A folder of five frames, numbered without leading zeros, and a file that is no image."""
    folder = tmp_path / "clip"
    folder.mkdir()
    for index in range(5):
        Image.fromarray(scene(5 * index)).save(folder / f"{index + 7}.png")
    (folder / "notes.txt").write_text("not a frame")
    return folder
