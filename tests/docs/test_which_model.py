"""The page that helps to choose a model agrees with the table of models."""

import re

from doc_pages import ROOT

from omgseg.model_table import list_models

PAGE = (ROOT / "docs" / "use" / "which-model.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| `")]
COLUMNS = {"DAVIS-17 J&F": "DAVIS 2017 val J&F", "YouTube-VIS-19 AP": "YouTube-VIS 2019 AP"}
"""Figures of the table of models, and the columns that call them otherwise."""


def rows_of(name: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in ROWS if f"`{name}`" in line.split(" | ")[0]]


def test_every_model_is_on_the_page_and_no_other():
    names = {name for line in ROWS for name in re.findall(r"`([^`]+)`", line.split(" | ")[0])}
    assert names == {entry.name for entry in list_models()}


def test_sizes_and_words_are_those_of_the_table():
    for entry in list_models():
        _, tasks, _, words, parameters, _ = next(row for row in rows_of(entry.name) if len(row) == 6)
        assert tasks == "all" or set(tasks.split(", ")) == {task.value for task in entry.tasks}, entry.name
        assert (words == "any") == entry.open_vocabulary, entry.name
        shown = [float(number) for number in parameters.split(", ") if number != "-"]
        if entry.parameters is None:
            assert not shown, entry.name
        else:
            assert round(entry.parameters / 1e6, 1) in shown, entry.name


def test_figures_are_those_of_the_table():
    compared = 0
    for table in PAGE.split("\n\n"):
        head, *lines = [
            line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|")
        ] or [[]]
        for entry in list_models():
            row = next((line for line in lines if line[0] == f"`{entry.name}`"), None)
            for figure, value in entry.figures.items():
                if row is not None and COLUMNS.get(figure, figure) in head:
                    assert row[head.index(COLUMNS.get(figure, figure))] == f"{value:.1f}", (
                        entry.name,
                        figure,
                    )
                    compared += 1
    assert compared > 20
