"""The toy proof from end to end, far too short to learn anything."""

from pathlib import Path

from omgseg.projects.edge_sam.toy_proof import COLUMNS
from omgseg.projects.fast_sam.toy_proof import main


def test_the_row_is_measured_and_written(tmp_path, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[3])
    monkeypatch.setenv("OMGSEG_TOY", str(tmp_path))
    scores = main(["--quick", "--seeds", "0", "--work-dir", str(tmp_path)])
    assert [list(run) for run in scores["FastSAM"]] == [list(COLUMNS)]
    header, _, row = (tmp_path / "table.md").read_text().splitlines()
    assert all(f" {column} |" in header for column in COLUMNS) and row.startswith("| FastSAM ")
    assert (tmp_path / "metrics.json").is_file()
