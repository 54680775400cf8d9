"""omgseg label --engine ray, on a local Ray with two workers, one of which is killed."""

import os

import pytest
import torch
from PIL import Image

ray = pytest.importorskip("ray", reason="Ray is not installed (pip install omgseg[ray])")
pytest.importorskip("ray.data", reason="Ray Data is not installed (pip install omgseg[ray])")

IMAGES = 24


@pytest.fixture(autouse=True)
def threads_stay():
    """The command sets the number of this process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="Ray gives each worker a CPU; here is one")
def test_a_killed_worker_loses_nothing(run, fake, photos, tmp_path, request, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{request.config.rootpath}:{os.environ.get('PYTHONPATH', '')}")
    for number in range(20, 20 + IMAGES - 4):
        (photos / f"{number}.png").write_bytes((photos / "1.png").read_bytes())
    Image.new("RGB", (4, 4)).save(photos / "30b.png")
    (photos / "broken.png").write_bytes(b"\x89PNG")
    note = tmp_path / "killed"
    model = fake("DeadlyFake", note=str(note))
    arguments = ["label", photos, "--min-score", "0", "--threads", "1", *model]
    ray_arguments = ["--out", tmp_path / "ray.json", "--engine", "ray", "--workers", "2"]
    status, lines, error = run(*arguments, *ray_arguments)
    assert status == 1, error  # for the broken image
    assert note.exists()
    assert f"in {IMAGES} images" in lines
    alone = run(*arguments, "--out", tmp_path / "alone.json")
    assert alone[0] == 1, alone[2]
    assert (tmp_path / "ray.json").read_bytes() == (tmp_path / "alone.json").read_bytes()
    assert not ray.is_initialized()


def test_too_many_workers_are_refused_and_ray_ends(run, model, photos, tmp_path):
    workers = ["--engine", "ray", "--workers", "4000"]
    status, _, error = run("label", photos, "--out", tmp_path / "ray.json", *workers, *model)
    assert status == 2 and "4000 workers, but Ray has" in error
    assert not ray.is_initialized()
