"""A tiny model with random weights, in the structure of the published config."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from PIL import Image

from omgseg.inference import OMGSegInferencer
from tests.tiny_omgseg import config_for_calls, scene, tiny_inferencer


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory) -> Config:
    """Random weights, and a test size of its own."""
    return config_for_calls(tmp_path_factory.mktemp("open_clip"))


@pytest.fixture(scope="session")
def seg(tiny_config) -> OMGSegInferencer:
    """A model on the CPU with a label space of four words, whose weights were changed until it finds several things
    and stuff."""
    return tiny_inferencer(tiny_config)


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
