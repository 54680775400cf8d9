"""The quick part of the campaign, and what runs it."""

from __future__ import annotations

import mmap
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.chaos.areas import AREAS
from tests.chaos.campaign import CLEAR, FAILURE, RIGHT, Case, Outcome, Result, outcome_of, report, run_case

ROOT = Path(__file__).parents[2]


def test_the_quick_part_holds(tmp_path):
    """In a process of its own, as its cases are forks, which threads of other tests would not survive."""
    command = [
        sys.executable,
        "tools/chaos.py",
        "--quick",
        "--seed",
        "0",
        "--out",
        str(tmp_path / "chaos.md"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(
        r"^\| (.+?) +\| +(\d+) \|.*\| +(\d+) \|$", (tmp_path / "chaos.md").read_text(), re.MULTILINE
    )
    assert rows == [(name, str(area.quick), "0") for name, area in AREAS.items() if area.quick]


def never_ends(folder: Path) -> Outcome:
    time.sleep(600)
    return Outcome(RIGHT)


def crashes(folder: Path) -> Outcome:
    os.kill(os.getpid(), signal.SIGKILL)
    return Outcome(RIGHT)


def raises(folder: Path) -> Outcome:
    raise KeyError("height")


def takes_memory(folder: Path) -> Outcome:
    # not of the heap, where a large process may have as much to spare
    with mmap.mmap(-1, 60_000_000) as memory:
        for page in range(0, len(memory), mmap.PAGESIZE):
            memory[page] = 1
    return Outcome(RIGHT)


@pytest.mark.parametrize(
    ("run", "text"),
    [
        (never_ends, "does not end within 0.3 seconds"),
        (crashes, "died of SIGKILL"),
        (raises, "KeyError: 'height'"),
        (takes_memory, "MB of memory"),
    ],
)
def test_whatever_a_case_does_is_an_outcome(run, text):
    outcome = run_case(Case("case", run, seconds=0.3 if run is never_ends else 60, megabytes=30))
    assert outcome.kind == FAILURE and text in outcome.text


def test_a_case_has_an_empty_folder_that_is_removed(tmp_path):
    def write(folder: Path) -> Outcome:
        (tmp_path / "note").write_text(str(folder))
        (folder / "file").touch()
        (folder / "read-only").mkdir(0o500)
        return Outcome(RIGHT if os.listdir(folder) == os.listdir() else FAILURE)

    assert run_case(Case("case", write)) == Outcome(RIGHT)
    assert not Path((tmp_path / "note").read_text()).exists()


def raise_error(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("a.json: 'id' is 'x', not a whole number"), CLEAR),
        (OSError("a.json is truncated"), CLEAR),
        (ValueError("invalid literal for int()"), FAILURE),
        (KeyError("a.json"), FAILURE),
        (ValueError("a.json holds " + "9" * 5000), FAILURE),
    ],
)
def test_a_clear_error_names_the_file_in_a_sentence(error, kind):
    assert outcome_of(lambda: raise_error(error), "a.json")[0].kind == kind


def test_a_report_counts_and_lists_failures():
    results = [
        Result("files", "one", Outcome(RIGHT)),
        Result("files", "two", Outcome(FAILURE, "KeyError\n'id'")),
        Result("disks", "three", Outcome(CLEAR, "a.json is truncated")),
    ]
    lines = report(results, seed=3).splitlines()
    assert lines[0] == "Seed 3."
    assert [line.replace(" ", "") for line in lines[4:6]] == ["|files|2|1|0|1|", "|disks|1|0|1|0|"]
    assert lines[-1] == "- files, two: KeyError 'id'"
