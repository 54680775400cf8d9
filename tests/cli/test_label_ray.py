"""omgseg label --engine ray, on a local Ray with two workers, one of which is killed."""

import os

import pytest
import torch

ray = pytest.importorskip("ray", reason="Ray is not installed (pip install omgseg[ray])")
pytest.importorskip("ray.data", reason="Ray Data is not installed (pip install omgseg[ray])")

IMAGES = 24
KILLER = """\
import os, pathlib, signal
from omgseg.labelling import labeller

whole = labeller._record

def record(name, result):
    flag = pathlib.Path(__file__).with_name("killed")
    if name == "30.png" and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(name, result)

labeller._record = record
"""


@pytest.fixture(autouse=True)
def threads_stay():
    """The command sets the number of this process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def deadly_config(config_file, tmp_path, monkeypatch):
    """The tiny model; the first process that has labelled 30.png dies before it can hand the record over."""
    (tmp_path / "omgseg_test_killer.py").write_text(KILLER)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    file = tmp_path / config_file.name
    imports = 'custom_imports = dict(imports=["omgseg.toy", "omgseg_test_killer"])\n'
    file.write_text(config_file.read_text() + imports)
    return file


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="Ray gives each worker a CPU; here is one")
def test_a_killed_worker_loses_nothing(run, model, config_file, deadly_config, photos, tmp_path):
    for number in range(20, 20 + IMAGES - 3):
        (photos / f"{number}.png").write_bytes((photos / "1.png").read_bytes())
    (photos / "broken.png").write_bytes(b"\x89PNG")
    arguments = ["label", photos, "--min-score", "0", "--threads", "1", *model[2:]]
    alone = run(*arguments, "--config", config_file, "--out", tmp_path / "alone.json")
    assert alone[0] == 1, alone[2]
    status, lines, error = run(
        *arguments,
        "--config",
        deadly_config,
        "--out",
        tmp_path / "ray.json",
        "--engine",
        "ray",
        "--workers",
        "2",
    )
    assert status == 1, error  # for the broken image
    assert (tmp_path / "killed").exists()
    assert f"in {IMAGES} images" in lines
    assert (tmp_path / "ray.json").read_bytes() == (tmp_path / "alone.json").read_bytes()
    assert not ray.is_initialized()


def test_too_many_workers_are_refused_and_ray_ends(run, model, photos, tmp_path):
    workers = ["--engine", "ray", "--workers", "4000"]
    status, _, error = run("label", photos, "--out", tmp_path / "ray.json", *workers, *model)
    assert status == 2 and "4000 workers, but Ray has" in error
    assert not ray.is_initialized()
