"""The fake model, and the command line in this process."""

import logging
import signal
from pathlib import Path

import pytest
from mmengine.logging import MMLogger
from PIL import Image

from omgseg.cli.main import main
from tests.fakes import picture, write_config


@pytest.fixture
def config_file(tmp_path_factory) -> Path:
    """Of a model that can do everything."""
    return write_config(tmp_path_factory.mktemp("config") / "fake.py")


@pytest.fixture
def fake(tmp_path_factory):
    """Arguments that choose another fake model, and no words; see ``more_fakes.py``."""

    def fake(kind: str, **options: object) -> list[str]:
        file = tmp_path_factory.mktemp("config") / "other.py"
        imports = ["tests.fakes", "tests.cli.more_fakes"]
        file.write_text(
            f"custom_imports = dict(imports={imports})\nsegmenter = dict(type={kind!r}, **{options})\n"
        )
        return ["--model", str(file), "--weights", "none", "--device", "cpu"]

    return fake


@pytest.fixture
def model(config_file) -> list[str]:
    """Arguments that choose the model and two words."""
    words = ["--vocabulary", "red, blue", "--background", "none"]
    return ["--config", str(config_file), "--weights", "none", "--device", "cpu", *words]


@pytest.fixture(autouse=True)
def other_logs_stay():
    """The commands send logs to standard error; other tests in this process shall not notice."""
    logger = MMLogger.get_current_instance()
    before = logger.level, [(h, h.stream) for h in logger.handlers if isinstance(h, logging.StreamHandler)]
    yield
    logger.setLevel(before[0])
    for handler, stream in before[1]:
        handler.stream = stream


@pytest.fixture(autouse=True)
def ctrl_c_interrupts():
    """As in a terminal, also where this process was started in the background, with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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


def scene(shift: int = 0) -> Image.Image:
    """96x64 pixels: a red square that moves, a blue one that stays, and green stuff below."""
    red = ("red", 10, 20 + shift, 30, 40 + shift)
    return Image.fromarray(picture(64, 96, red, ("blue", 5, 2, 25, 12), ("green", 50, 0, 64, 96)))


@pytest.fixture
def photos(tmp_path) -> Path:
    """A folder of three images, one of them in a sub-folder."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number, name in enumerate(["1.png", "10.png", "more/2.png"]):
        scene(10 * number).save(folder / name)
    return folder


@pytest.fixture
def frames(tmp_path) -> Path:
    """A folder of three frames."""
    folder = tmp_path / "clip"
    folder.mkdir()
    for number in range(3):
        scene(5 * number).save(folder / f"{number:03d}.png")
    return folder
