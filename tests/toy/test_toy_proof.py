"""What the proofs on the toy world share."""

import json

from omgseg.toy.proof import seed_table, write_numbers

COLUMNS = "box", "centre"


def rows_of(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


def test_the_table_has_means_and_half_ranges():
    low, high = (dict.fromkeys(COLUMNS, value) for value in (70.0, 73.0))
    head, _, student, teacher = rows_of(seed_table({"student": [low, high], "teacher": [high]}, COLUMNS))
    assert head == ["", *COLUMNS]
    assert student == ["student", "71.5 ± 1.5", "71.5 ± 1.5"]
    assert teacher == ["teacher", "73.0", "73.0"]


def test_numbers_are_written_with_the_settings(tmp_path):
    scores = {"student": [{"box": 1.0, "centre": 2.0, "more": 3.0}]}
    table = write_numbers(tmp_path, scores, COLUMNS, seeds=[4])
    assert (tmp_path / "table.md").read_text() == table + "\n"
    assert rows_of(table)[2] == ["student", "1.0", "2.0"]
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"seeds": [4], "scores": scores}
