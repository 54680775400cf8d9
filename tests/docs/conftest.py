"""The folder in which a reader of the documentation has run ``make demo``, in small; and what answers its commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

from doc_server import write_stand_ins  # noqa: E402

from omgseg.toy.clip import train_toy_clip  # noqa: E402
from omgseg.toy.generate import TINY, generate  # noqa: E402

SMALLER = {
    "image_size = (128, 128)": "image_size = (64, 64)",
    "batch_size=8": "batch_size=2",
    "num_queries=20, num_layers=3": "num_queries=10, num_layers=2",
    "num_points=1024": "num_points=64",
    "repeat=dict(coco_prompts=2, vipseg=8, youtube_vis_2019=8)": "repeat=dict(vipseg=1)",
}
"""Changes of configs/toy/joint.py after which an iteration takes a fraction of a second."""
TRAINED = "iter_1300.pth"
"""The checkpoint of ``make demo``, whose name the documentation uses."""

Run = Callable[..., subprocess.CompletedProcess]


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of the commands of :mod:`doc_server`, and a server that answers them."""
    folder = tmp_path_factory.mktemp("server")
    address = str(folder / "socket")
    write_stand_ins(folder / "bin", address)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}", "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen([sys.executable, str(HERE / "doc_server.py"), address], env=environment)
    while not Path(address).exists():
        if server.poll() is not None:
            raise RuntimeError(f"the server of the documentation's commands ended with {server.returncode}")
        time.sleep(0.1)
    yield folder / "bin"
    server.terminate()
    server.wait()


@pytest.fixture(scope="session")
def run_in(stand_ins: Path) -> Run:
    """``run_in(folder, "bash" | "python", program)`` runs a program of a page in a reader's folder."""

    def run(folder: Path, language: str, text: str) -> subprocess.CompletedProcess:
        file = folder / ("page.sh" if language == "bash" else "page.py")
        file.write_text(text)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OMGSEG_")}
        environment |= {
            "PATH": f"{stand_ins}:{os.defpath}",
            "PYTHON": str(stand_ins / "python"),
            "PYTHONPATH": f"{folder}:{ROOT}",
            "OMGSEG_CACHE": str(folder / "cache"),
            "OMGSEG_REAL_SAMPLES": "data/real_samples",
        }
        command = ["bash", "-euo", "pipefail", str(file)] if language == "bash" else ["python", str(file)]
        command[0] = shutil.which(command[0], path=environment["PATH"])
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600
        )

    return run


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, run_in: Run) -> Path:
    """What ``make demo`` leaves, of a model that has seen two batches."""
    folder = tmp_path_factory.mktemp("demo")
    _link_repository(folder)
    toy = folder / "work_dirs" / "demo"
    generate(toy / "data", sizes=TINY)
    train_toy_clip(toy / "clip.safetensors", steps=2, num_pictures=8)
    train = "python tools/train.py configs/toy/joint.py --work-dir work_dirs/demo/train --cfg-options"
    done = run_in(folder, "bash", f"{train} train_cfg.max_iters=2")
    assert done.returncode == 0, done.stderr
    (toy / "train" / "iter_2.pth").rename(toy / "train" / TRAINED)
    (toy / "train" / "last_checkpoint").write_text(f"work_dirs/demo/train/{TRAINED}")
    return toy


@pytest.fixture
def reader(tmp_path: Path, demo: Path) -> Path:
    """A folder as a reader has it: the repository, the demo's results, and some pictures and videos of their own."""
    _link_repository(tmp_path)
    shutil.copytree(demo, tmp_path / "work_dirs" / "demo", symlinks=True)
    (tmp_path / "data").symlink_to("work_dirs/demo/data")
    write_media(tmp_path)
    return tmp_path


def _link_repository(folder: Path) -> None:
    for name in ("tools", "requirements", "setup.py", "Makefile"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copytree(
        ROOT / "projects", folder / "projects", ignore=shutil.ignore_patterns("tests", "__pycache__")
    )
    joint = folder / "configs" / "toy" / "joint.py"
    text = joint.read_text()
    for old, new in SMALLER.items():
        assert text.count(old) == 1, f"{old!r} is in configs/toy/joint.py {text.count(old)} times"
        text = text.replace(old, new)
    joint.write_text(text)


def write_media(folder: Path) -> None:
    """street.jpg, photos/, frames/, film.mp4 and objects.png (two objects of the film's first frame)."""
    import av

    frames = [_scene(72, 96, shift=4 * index) for index in range(6)]
    Image.fromarray(_scene(96, 128)).save(folder / "street.jpg")
    for name in ("photos", "frames"):
        (folder / name).mkdir()
        for index, frame in enumerate(frames[:3]):
            Image.fromarray(frame).save(folder / name / f"{index:05d}.jpg")
    objects = np.zeros((72, 96), np.uint8)
    objects[20:40, 10:30], objects[45:60, 60:80] = 1, 2
    Image.fromarray(objects).save(folder / "objects.png")
    with av.open(str(folder / "film.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def _scene(height: int, width: int, shift: int = 0) -> np.ndarray:
    """A bright square on a gradient."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], axis=-1).astype(np.uint8)
    image[20:40, 10 + shift : 30 + shift] = (250, 240, 20)
    return image
