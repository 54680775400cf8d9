"""Outcomes of benchmarks as one table: for the terminal and Markdown, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omgseg.engine.benchmarks import Outcome
from omgseg.files import whole_file

PAPER = {"convnext_l": "paper, ConvNeXt-L", "convnext_xxl": "paper, XXL"}
"""Keys of the figures in ``Outcome.listed``, and the columns they make."""

_HEADER = ("benchmark", "metric", "ours", *PAPER.values(), "s / image", "peak GB")
_RIGHT = range(2, len(_HEADER))


def table(outcomes: Sequence[Outcome]) -> str:
    """A Markdown table that reads well as plain text: a row for each listed number, what could not run below it.

    A benchmark that lists none shows all of its numbers.
    """
    rows = [row for outcome in outcomes for row in _rows(outcome)]
    cells = [_HEADER, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADER))]
    rule = [("-" * (width - 1) + ":") if i in _RIGHT else "-" * width for i, width in enumerate(widths)]
    lines = [_line(row, widths) for row in (_HEADER, rule, *rows)]
    notes = [f"- {outcome.name}: {outcome.note}" for outcome in outcomes if outcome.note]
    return "\n".join([*lines, *(["", "Not run:", "", *notes] if notes else [])]) + "\n"


def _rows(outcome: Outcome) -> list[tuple[str, ...]]:
    rows = []
    for key in outcome.listed or outcome.metrics:
        figures = outcome.listed.get(key, {})
        own = f"{outcome.metrics[key]:.1f}" if key in outcome.metrics else "-"
        paper = [f"{figures[name]:.1f}" if name in figures else "" for name in PAPER]
        speed = "" if outcome.seconds_per_image is None else f"{outcome.seconds_per_image:.3g}"
        memory = "" if not outcome.peak_bytes else f"{outcome.peak_bytes / 1e9:.2f}"
        first = not rows
        rows.append(
            (outcome.name if first else "", key, own, *paper, speed if first else "", memory if first else "")
        )
    return rows


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (
        cell.rjust(width) if index in _RIGHT else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return f"| {' | '.join(cells)} |"


def write_table(path: Path, outcomes: Sequence[Outcome], checkpoint: str) -> None:
    """Write the outcomes, as Markdown where the file ends in ``.md``, otherwise as JSON; the file appears whole.

    The JSON of one benchmark holds its numbers under their keys, as mmengine's tools write them; of several, what
    :class:`Outcome` holds by benchmark.
    """
    if path.suffix == ".md":
        text = f"Checkpoint: `{checkpoint}`\n\n{table(outcomes)}"
    elif len(outcomes) == 1:
        text = json.dumps(outcomes[0].metrics, indent=2) + "\n"
    else:
        content: dict[str, Any] = {outcome.name: asdict(outcome) for outcome in outcomes}
        text = json.dumps({"checkpoint": checkpoint, "benchmarks": content}, indent=2) + "\n"
    with whole_file(path) as temporary:
        temporary.write_text(text)
