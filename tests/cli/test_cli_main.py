"""The parser: what every command has in common."""

import subprocess
import sys
import time

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
    assert "give --run FOLDER" in run("predict", image)[2]
    assert "needs --weights FILE" in run("predict", image, "--config", config_file)[2]
    status, _, error = run("predict", image, "--run", "nowhere")
    assert status == 2 and "nowhere not found" in error
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
