"""A tiny model with random weights, and the command line in this process."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from PIL import Image

from omgseg.cli.main import main
from omgseg.inference.building import build_model
from omgseg.inference.loading import read_config

TOY = Path(__file__).parents[2] / "configs" / "toy" / "joint.py"
CONFIG = f"""\
_base_ = ["{TOY}"]
model = dict(
    image_encoder=dict(pretrained=None),
    text_encoder=dict(pretrained=None),
    query_decoder=dict(num_queries=6),
    test_cfg=dict(panoptic=dict(iou_thr=0.0, filter_low_score=False), max_per_image=4, clip_size=2),
)
"""


@pytest.fixture(scope="session")
def config_file(tmp_path_factory) -> Path:
    """The toy model, whose read-outs keep every segment, as random masks overlap."""
    file = tmp_path_factory.mktemp("config") / "tiny.py"
    file.write_text(CONFIG)
    return file


@pytest.fixture(scope="session")
def weights(config_file, spread_weights, tmp_path_factory) -> Path:
    """Random ones that find something everywhere; the file holds no words."""
    model = build_model(read_config(config_file), None, "cpu")
    spread_weights(model, 0.3)
    file = tmp_path_factory.mktemp("weights") / "tiny.pth"
    torch.save(model.state_dict(), file)
    return file


@pytest.fixture
def model(config_file, weights) -> list[str]:
    """Arguments that choose the tiny model and two words."""
    words = ["--vocabulary", "dog, red kite", "--background", "none"]
    return ["--config", str(config_file), "--weights", str(weights), "--device", "cpu", *words]


@pytest.fixture(autouse=True)
def other_logs_stay():
    """The commands send logs to standard error; other tests in this process shall not notice."""
    logger = MMLogger.get_current_instance()
    before = logger.level, [(h, h.stream) for h in logger.handlers if isinstance(h, logging.StreamHandler)]
    yield
    logger.setLevel(before[0])
    for handler, stream in before[1]:
        handler.stream = stream


@pytest.fixture
def run(capsys):
    """Run a command; returns the exit status, standard output and standard error."""

    def run(*arguments) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as error:  # argparse
            status = error.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def picture(shift: int = 0) -> Image.Image:
    """96x64 pixels: a bright square on a gradient."""
    y, x = np.mgrid[:64, :96]
    image = np.stack([x * 2, y * 3, (x + y) % 256], axis=-1).astype(np.uint8)
    image[10:40, 20 + shift : 50 + shift] = (250, 240, 20)
    return Image.fromarray(image)


@pytest.fixture
def photos(tmp_path) -> Path:
    """A folder of three images, one of them in a sub-folder."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number, name in enumerate(["1.png", "10.png", "more/2.png"]):
        picture(10 * number).save(folder / name)
    return folder


@pytest.fixture
def frames(tmp_path) -> Path:
    """A folder of three frames."""
    folder = tmp_path / "clip"
    folder.mkdir()
    for number in range(3):
        picture(5 * number).save(folder / f"{number:03d}.png")
    return folder
