"""Tables are aligned, and Markdown stays Markdown whatever the cells hold."""

import pytest

from omgseg.tables import markdown_table, text_table


def test_markdown():
    assert markdown_table(("name", "PQ"), [("a", 1.5), ("long name", None)], right={1}).splitlines() == [
        "| name      |  PQ |",
        "| --------- | --: |",
        "| a         | 1.5 |",
        "| long name |     |",
    ]


def test_cells_cannot_break_a_table():
    assert markdown_table(("a",), [("x|y\nz",)]).splitlines()[-1] == r"| x\|y z |"
    with pytest.raises(ValueError, match="1 cells, the first one 2"):
        markdown_table(("a", "b"), [("x",)])


def test_plain_text():
    assert text_table([("a", 1), ("long", 22)], right={1}).splitlines() == ["a      1", "long  22"]
    assert text_table([("a", ""), ("b", "c")]) == "a\nb  c"
    assert text_table([]) == ""
