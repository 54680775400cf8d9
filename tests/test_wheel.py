"""The source distribution and the wheel hold what a user needs, and work away from the repository."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
SMALL_CONFIG = """
_base_ = ["{configs}/toy/joint.py"]
clip = dict(model_name="omgseg_toy", pretrained=None)
model = dict(image_encoder=clip, text_encoder=dict(**clip, cache_dir=None))
"""
"""The toy model without any file beside it."""
PROJECT = {
    "models.json": json.dumps(
        [
            {
                "name": "shipped-small",
                "title": "of the test",
                "config": "configs/small.py",
                "weights": None,
                "licence": "Apache-2.0",
                "tasks": ["panoptic"],
                "prompts": [],
                "parameters": 1,
            }
        ]
    ),
    "__init__.py": "IMPORTED = True\n",
    "configs/small.py": SMALL_CONFIG.format(configs="../../../configs")
    + 'custom_imports = dict(imports=["omgseg.toy", "omgseg.projects.shipped_test"])\n',
    "tests/test_shipped_nothing.py": "",
}
"""A project that is put into the source distribution, to see what becomes of it."""
MAKE_RUN = """
import json
from pathlib import Path

import omgseg
import torch
from omgseg.inference.loading import read_config
from omgseg.models.checkpoints.loading import build_for_prediction

config = read_config(omgseg.find_model("shipped-small").config)
model, _ = build_for_prediction(config.model, None)
Path("run").mkdir()
config.dump("run/small.py")
words = json.dumps(omgseg.Vocabulary.from_names(["car", "person"]).to_dict())
torch.save({"state_dict": model.state_dict(), "meta": {"train_vocabulary": words}}, "run/iter_2.pth")
Path("run/last_checkpoint").write_text("run/iter_2.pth")
"""
"""Leaves what a training of the named model leaves."""
MODELS = {"a name": ["--model", "shipped-small", "--weights", "none"], "a run": ["--run", "run"]}
WORDS = ["--vocabulary", "car, person", "--device", "cpu"]


class Reader:
    """Somebody who has installed the wheel, has no clone, and works in a folder."""

    def __init__(self, site: Path, folder: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OMGSEG_")}
        self._options = {"cwd": folder, "env": {**kept, "PYTHONPATH": str(site), "HF_HUB_OFFLINE": "1"}}

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run Python."""
        command = [sys.executable, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, **self._options)

    def omgseg(self, *arguments: str) -> str:
        """Run the command line; returns what it prints."""
        done = self.run("-m", "omgseg.cli", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def serving(self, *arguments: str) -> Iterator[str]:
        """The address that ``omgseg web`` prints, while it serves."""
        command = [sys.executable, "-u", "-m", "omgseg.cli", "web", "--port", "0", *arguments]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **self._options)
        try:
            yield next(word for line in server.stdout for word in line.split() if word.startswith("http:"))
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=60)
        finally:
            server.kill()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source distribution."""
    folder = tmp_path_factory.mktemp("sdist")
    command = [
        sys.executable,
        "setup.py",
        "-q",
        "egg_info",
        "--egg-base",
        folder,
        "sdist",
        "--dist-dir",
        folder,
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that is built from the source distribution and a project."""
    for name, text in PROJECT.items():
        file = source / "projects" / "shipped_test" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", folder, source], check=True
    )
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, installed away from the repository."""
    site = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-deps", "--no-compile", "--disable-pip-version-check", "--target", site]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, wheel], check=True)
    return site


@pytest.fixture(scope="module")
def reader(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """In a folder with a photo and a run."""
    folder = tmp_path_factory.mktemp("reader")
    noise = np.random.default_rng(0).integers(256, size=(48, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "photo.png")
    reader = Reader(installed, folder)
    done = reader.run("-c", MAKE_RUN)
    assert done.returncode == 0, done.stderr
    return reader


def test_the_source_distribution_is_the_repository(source):
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git clone")
    existing = [name for name in tracked.stdout.split() if (ROOT / name).is_file() and name != ".gitignore"]
    missing = [name for name in existing if not (source / name).is_file()]
    assert existing and not missing


def test_the_wheel_holds_modules_configs_and_projects_and_no_tests(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    configs = {f"omgseg/{file.relative_to(ROOT)}" for file in (ROOT / "configs").rglob("*.py")}
    modules = {str(file.relative_to(ROOT)) for file in (ROOT / "omgseg").rglob("*.py")}
    assert configs and configs <= set(names)
    assert modules <= set(names), "a folder without __init__.py is left out"
    assert {"omgseg/configs/models.json", "omgseg/projects/shipped_test/configs/small.py"} <= set(names)
    assert not [name for name in names if {"tests", "__pycache__"} & set(Path(name).parts)]
    assert {Path(name).parts[0] for name in names if "dist-info" not in name} == {"omgseg"}


def test_an_installed_wheel_finds_its_models_and_projects(reader):
    models = {model["name"]: model for model in json.loads(reader.omgseg("models", "--json"))}
    assert {"omg-seg-convnext-l", "shipped-small"} <= set(models)
    for model in models.values():
        if model["config"].startswith("hf:"):
            continue
        assert Path(model["config"]).is_file() and not Path(model["config"]).is_relative_to(ROOT)
    done = reader.run("-c", "import omgseg.projects.shipped_test as project; print(project.IMPORTED)")
    assert done.stdout == "True\n", done.stderr


@pytest.mark.parametrize("name", MODELS)
def test_an_installed_wheel_uses(name, reader, tmp_path):
    model = MODELS[name]
    assert "parameters" in reader.omgseg("info", model[1])
    reader.omgseg("predict", "photo.png", *model, *WORDS, "--out", str(tmp_path))
    assert Image.open(tmp_path / "photo.png").size == (64, 48)


def test_an_installed_wheel_serves_the_page(reader):
    pytest.importorskip("gradio", reason="Gradio is not installed (omgseg[web])")
    with reader.serving("--run", "run", "--device", "cpu") as address:
        assert b"gradio_config" in urllib.request.urlopen(address).read()
