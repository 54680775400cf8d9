"""`make install` with a pip that can be killed. It stands for the real one in what matters: what is there in half, it
takes for whole."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
PYTHON = """#!/bin/bash
venv=$(dirname "$(dirname "$0")")
case "$*" in
    "-m venv "*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; cp pip-audit "$3/bin";;
    "-m pip install"*"-r requirements/lock.txt")
        if [ ! -e "$venv/package" ]; then
            echo half > "$venv/package"
            if [ -e slow ]; then sleep 600; fi
            echo whole > "$venv/package"
        fi;;
esac
"""


@pytest.fixture
def checkout(tmp_path) -> Path:
    """What `make install` reads, and a Python that only pretends."""
    folder = tmp_path / "a check-out"
    (folder / "requirements").mkdir(parents=True)
    for name in ("Makefile", "setup.py", "requirements/lock.txt"):
        shutil.copy(ROOT / name, folder / name)
    for name, text in (("python", PYTHON), ("pip-audit", "#!/bin/bash\nexit 0\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def make(folder: Path, target: str) -> subprocess.Popen:
    command = ["make", target, "PYTHON=./python", "VENV=venv"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, start_new_session=True)


def test_an_install_that_was_killed_in_pip_is_made_again(checkout):
    (checkout / "slow").touch()
    killed = make(checkout, "install")
    package = checkout / "venv/package"
    deadline = time.monotonic() + 30
    while not package.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    (checkout / "slow").unlink()
    assert package.read_text() == "half\n"
    again = make(checkout, "install")
    assert "interrupted" in again.communicate(timeout=30)[0] and again.returncode == 0
    assert package.read_text() == "whole\n"
    third = make(checkout, "install")
    assert "Installing" not in third.communicate(timeout=30)[0] and third.returncode == 0


@pytest.mark.parametrize(
    ("program", "status", "text"),
    [
        ("exit 0", 0, ""),
        ("echo 'Found 1 known vulnerability in 1 package' >&2; exit 1", 2, "Found 1 known"),
        (
            "echo 'ERROR: no route to host' >&2; exit 1",
            2,
            "not reachable (venv-audit/said says why). Nothing",
        ),
    ],
)
def test_an_audit_tells_findings_from_failures(checkout, program, status, text):
    (checkout / "pip-audit").write_text(f"#!/bin/bash\n{program}\n")
    done = make(checkout, "audit")
    said = done.communicate(timeout=30)[0]
    assert done.returncode == status and text in said
    assert ("Nothing was checked" in said) == ("ERROR" in program)
