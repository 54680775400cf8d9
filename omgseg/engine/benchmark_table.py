"""Outcomes of benchmarks as one table: for the terminal and Markdown, and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omgseg.engine.benchmarks import Outcome
from omgseg.files import whole_file
from omgseg.tables import markdown_table

PAPER = {"convnext_l": "paper, ConvNeXt-L", "convnext_xxl": "paper, XXL"}
"""Keys of the figures in ``Outcome.listed``, and the columns they make."""

_HEADER = ("benchmark", "metric", "ours", *PAPER.values(), "s / image", "peak GB")


def table(outcomes: Sequence[Outcome]) -> str:
    """A Markdown table that reads well as plain text: a row for each listed number, what is wrong below it.

    A benchmark that lists none shows all of its numbers.
    """
    rows = [row for outcome in outcomes for row in _rows(outcome)]
    text = markdown_table(_HEADER, rows, right=range(2, len(_HEADER)))
    for heading, ran in (("Not run:", False), ("To be checked:", True)):
        notes = [f"- {one.name}: {one.note}" for one in outcomes if one.note and bool(one.metrics) is ran]
        if notes:
            text += "\n".join(["", "", heading, "", *notes])
    return text + "\n"


def _rows(outcome: Outcome) -> list[tuple[str, ...]]:
    speed = "" if outcome.seconds_per_image is None else f"{outcome.seconds_per_image:.3g}"
    memory = "" if not outcome.peak_bytes else f"{outcome.peak_bytes / 1e9:.2f}"
    rows = []
    for key in outcome.listed or outcome.metrics:
        figures = outcome.listed.get(key, {})
        ours = f"{outcome.metrics[key]:.1f}" if key in outcome.metrics else "-"
        paper = [f"{figures[name]:.1f}" if name in figures else "" for name in PAPER]
        rows.append(
            ("", key, ours, *paper, "", "") if rows else (outcome.name, key, ours, *paper, speed, memory)
        )
    return rows


def json_text(content: Any) -> str:
    """JSON that every reader takes: numbers that are undefined (NaN) or infinite become null."""
    return json.dumps(_defined(content), indent=2, allow_nan=False) + "\n"


def _defined(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _defined(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_defined(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def write_table(path: Path, outcomes: Sequence[Outcome], checkpoint: str) -> None:
    """Write the outcomes, as Markdown where the file ends in ``.md``, otherwise as JSON; the file appears whole.

    The JSON of one benchmark holds its numbers under their keys, as mmengine's tools write them; of several, what
    :class:`Outcome` holds by benchmark.
    """
    if path.suffix == ".md":
        text = f"Checkpoint: `{checkpoint}`\n\n{table(outcomes)}"
    elif len(outcomes) == 1:
        text = json_text(outcomes[0].metrics)
    else:
        content: dict[str, Any] = {outcome.name: asdict(outcome) for outcome in outcomes}
        text = json_text({"checkpoint": checkpoint, "benchmarks": content})
    with whole_file(path) as temporary:
        temporary.write_text(text)
