"""The source distribution and the wheel hold what a user needs, and work away from the repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
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

Run = Callable[..., subprocess.CompletedProcess]


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
def run(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """``run(folder, *command)`` runs Python in a folder, with the installed wheel and without the repository."""
    site = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-deps", "--no-compile", "--disable-pip-version-check", "--target", site]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, wheel], check=True)

    def call(folder: Path, *command: str) -> subprocess.CompletedProcess:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OMGSEG_")}
        environment = {**kept, "PYTHONPATH": str(site), "HF_HUB_OFFLINE": "1"}
        return subprocess.run(
            [sys.executable, *command],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return call


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


def test_an_installed_wheel_finds_its_models_and_projects(run, tmp_path):
    done = run(tmp_path, "-m", "omgseg.cli", "models", "--json")
    assert done.returncode == 0, done.stderr
    models = {model["name"]: model for model in json.loads(done.stdout)}
    assert {"omg-seg-convnext-l", "shipped-small"} <= set(models)
    for model in models.values():
        assert Path(model["config"]).is_file() and not Path(model["config"]).is_relative_to(ROOT)
    done = run(tmp_path, "-c", "import omgseg.projects.shipped_test as project; print(project.IMPORTED)")
    assert done.stdout == "True\n", done.stderr


def test_an_installed_wheel_predicts_in_an_empty_folder(run, tmp_path):
    noise = np.random.default_rng(0).integers(256, size=(48, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    info = run(tmp_path, "-m", "omgseg.cli", "info", "shipped-small")
    assert info.returncode == 0 and "parameters" in info.stdout, info.stderr
    predict = ["predict", "photo.png", "--model", "shipped-small", "--weights", "none"]
    done = run(tmp_path, "-m", "omgseg.cli", *predict, "--vocabulary", "car, person", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "results" / "photo.png").size == (64, 48)
