"""tools/benchmark.py guests, in small."""

import json

import pytest

from tools.benchmark import main

pytest.importorskip("transformers")


def test_both_sides_of_every_readout_are_measured(tmp_path, capsys):
    file = tmp_path / "guests.json"
    sizes = ["--size", "60", "80", "--objects", "6", "--repeats", "1"]
    assert main(["guests", *sizes, "--json", str(file)]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("| Mask2", "| EoMT"))]
    seconds = json.loads(file.read_text())["seconds"]
    assert len(rows) == len(seconds) == 6
    assert all(side > 0 for sides in seconds.values() for side in sides.values())
