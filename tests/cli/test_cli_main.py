"""The parser: what every command has in common."""

import re
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager

import pytest

from omgseg.cli import main as cli
from omgseg.cli.status import UsageError


@pytest.mark.parametrize("command", [[], *([name] for name in cli.COMMANDS)])
def test_help_teaches_with_examples(run, command):
    status, out, _ = run(*command, "--help")
    assert status == 0
    assert out.count("  omgseg ") >= 2
    assert "exit status" in out
    assert max(map(len, out.splitlines())) <= 130


def test_help_needs_no_heavy_package():
    code = (
        "import sys; from omgseg.cli.main import build_parser; build_parser();"
        "print(sorted({'torch', 'numpy', 'mmengine', 'PIL', 'av'} & set(sys.modules)))"
    )
    start = time.monotonic()
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
    assert time.monotonic() - start < 5  # 0.1 s on an idle machine, where torch takes several


def test_the_module_runs_like_the_script():
    finished = subprocess.run(
        [sys.executable, "-m", "omgseg.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert finished.stdout.startswith("omgseg ")


def test_wrong_command_lines(run):
    for arguments in ([], ["paint"], ["predict"], ["label", "photos"]):
        status, _, error = run(*arguments)
        assert status == 2
        assert "error" in error


@pytest.mark.parametrize(
    ("raised", "status", "line"),
    [
        (UsageError("no such thing"), 2, "error: no such thing\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (
            OSError(28, "No space left on device", "a.png"),
            1,
            "error: [Errno 28] No space left on device: 'a.png'; what was finished before is kept\n",
        ),
    ],
)
def test_ends_are_one_line(run, monkeypatch, raised, status, line):
    def fail(_):
        raise raised

    monkeypatch.setattr(cli.check, "run", fail)
    assert run("check") == (status, "", line)


def test_the_model_must_be_named(run, photos, config_file, monkeypatch):
    for variable in ("OMGSEG_CONFIG", "OMGSEG_WEIGHTS"):
        monkeypatch.delenv(variable, raising=False)
    image = photos / "1.png"
    assert "give --model NAME" in run("predict", image)[2]
    assert "is a config: give --weights FILE" in run("predict", image, "--config", config_file)[2]
    status, _, error = run("predict", image, "--run", "no/where")
    assert status == 2 and "no/where not found" in error
    status, _, error = run("predict", image, "--run", photos)
    assert status == 2 and "has no config" in error


def test_the_model_from_the_environment(run, photos, config_file, monkeypatch, tmp_path):
    monkeypatch.setenv("OMGSEG_CONFIG", str(config_file))
    monkeypatch.setenv("OMGSEG_WEIGHTS", "none")
    out = tmp_path / "out"
    arguments = ["--vocabulary", "dog", "--device", "cpu", "--out", out]
    status, _, error = run("predict", photos / "1.png", *arguments)
    assert status == 0, error
    assert (out / "1.png").is_file()


@pytest.mark.parametrize("device", ["cda", "cuda:77", "meta:x"])
def test_a_device_that_is_not_there_is_one_line(run, photos, model, device, tmp_path):
    for command in ("predict", "label"):
        out = ["--out", tmp_path / "out"]
        status, _, error = run(command, photos, *model, "--device", device, *out)
        assert status == 2 and error.count("\n") == 1
        assert f"device {device!r} cannot be used here" in error


@pytest.mark.parametrize("command", ["predict", "label"])
def test_an_empty_source_is_not_the_current_folder(run, photos, model, command, monkeypatch, tmp_path):
    monkeypatch.chdir(photos)
    status, _, error = run(command, "", *model, "--out", tmp_path / "out")
    assert status == 2 and "empty; '.' is the current folder" in error


@contextmanager
def full_disk(limit: int):
    """No file can grow beyond `limit` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_line(run, photos, model, tmp_path):
    out = tmp_path / "out"
    with full_disk(700):
        status, _, error = run("predict", photos, *model, "--out", out, "--format", "json", "coco")
    assert status == 1 and re.search(rf"error: \[Errno 27\] File too large: '{out}/\S+'", error)
    assert not [path for path in out.rglob("*") if path.suffix == ".tmp"]
    with full_disk(5):  # not even for the copy of the config that mmengine makes
        status, _, error = run("predict", photos, *model, "--out", out)
    assert status == 1 and f"error: [Errno 27] File too large: '{tempfile.gettempdir()}'" in error
    out = tmp_path / "coco.json"
    with full_disk(900):
        status, _, error = run("label", photos, *model, "--out", out)
    assert status == 1 and f"the same command continues from here: '{out}.parts/1-of-1.jsonl'" in error
    status, _, error = run("label", photos, *model, "--out", out)
    assert status == 0 and "0 of them already labelled" not in error


def test_models_have_names(run, photos, tmp_path):
    out = ["--out", tmp_path / "out"]
    status, _, error = run("predict", photos, "--model", "omg-seg-convnext-x", *out)
    assert status == 2 and "omg-seg-convnext-l" in error and error.count("\n") == 1
    status, _, error = run("predict", photos, "--model", "omg-seg-convnext-l", *out)
    assert status == 2 and "--weights 'hf://" in error and error.count("\n") == 1
    status, out, error = run("info", "omg-seg-convnext-l", "--size", "64x64")
    assert status == 0 and "220.78 M" in out, error
