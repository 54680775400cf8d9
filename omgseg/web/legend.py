"""Results as pieces of the page: the legend, the table of segments, the line that sums up."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import numpy as np

from omgseg.structures import Task
from omgseg.visualization.palette import category_color, identity_color

MOST_ROWS = 200
HEADERS = ["Class", "Kind", "Score", "Area %", "Box (x, y, w, h)"]


def legend_html(result, palette: str, coverage: bool = True) -> str:
    """The classes of a result with their colours, the largest first.

    Args:
        result: a ``SegmentationResult``.
        palette: that of the picture.
        coverage: write how much of the image a class has.
    """
    if not len(result):
        return message_html("Nothing found. Lower the score, or try other words.")
    share: dict[int, float] = {}
    for label, area in zip(result.labels.tolist(), result.areas.tolist(), strict=True):
        share[label] = share.get(label, 0) + area / (result.size[0] * result.size[1])
    counts = np.bincount(result.labels[result.labels >= 0], minlength=len(result.vocabulary))
    entries = []
    for label in sorted(share, key=share.get, reverse=True):
        if label < 0:
            entries.append(_entry(identity_color(1, palette), "object", ""))
            continue
        category = result.vocabulary[label]
        number = f"{counts[label]} x" if category.is_thing and counts[label] > 1 else ""
        covered = f"{100 * min(share[label], 1):.1f} %" if coverage else ""
        notes = " &middot; ".join(note for note in (number, covered) if note)
        entries.append(_entry(category_color(result.vocabulary, label, palette), category.name, notes))
    return f'<ul class="legend" aria-label="Classes">{"".join(entries)}</ul>'


def tracks_html(tracks: Iterable[tuple[int, str, int]], palette: str) -> str:
    """The objects of a video with their colours.

    Args:
        tracks: identity, name of the class, and number of frames it was seen in.
        palette: that of the video.
    """
    entries = [
        _entry(identity_color(identity, palette), f"{name or 'object'} #{identity}", f"{frames} frames")
        for identity, name, frames in tracks
    ]
    if not entries:
        return message_html("Nothing found. Lower the score, or try other words.")
    return f'<ul class="legend" aria-label="Objects">{"".join(entries)}</ul>'


def _entry(color: tuple[int, int, int], name: str, notes: str) -> str:
    red, green, blue = color
    return (
        f'<li><span class="swatch" style="background: rgb({red}, {green}, {blue})"></span>'
        f'<span class="name">{escape(name)}</span><span class="notes">{notes}</span></li>'
    )


def message_html(text: str) -> str:
    """A quiet line where a result will be."""
    return f'<p class="hint">{escape(text)}</p>'


def progress_html(done: int, total: int | None, text: str) -> str:
    """A bar of the frames that are done; without `total` only the text."""
    bar = ""
    if total:
        percent = 100 * min(done / total, 1)
        bar = (
            f'<div class="bar" role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{percent:.0f}">'
            f'<div style="width: {percent:.1f}%"></div></div>'
        )
    return f'<div class="progress-line">{bar}<p class="hint">{escape(text)}</p></div>'


def table_rows(result) -> list[list[object]]:
    """The segments of a ``SegmentationResult``, the best first, at most :data:`MOST_ROWS`; see :data:`HEADERS`."""
    pixels = result.size[0] * result.size[1]
    order = np.argsort(-result.scores, kind="stable")[:MOST_ROWS].tolist()
    rows = []
    for index in order:
        left, top, right, bottom = result.boxes[index].round().astype(int).tolist()
        rows.append(
            [
                result.names[index] or "object",
                "thing" if result.is_thing[index] else "stuff",
                f"{result.scores[index]:.2f}",
                f"{100 * result.areas[index] / pixels:.1f}",
                f"{left}, {top}, {right - left}, {bottom - top}",
            ]
        )
    return rows


TASK_NAMES = {
    "Everything (panoptic)": Task.PANOPTIC.value,
    "Objects (instance)": Task.INSTANCE.value,
    "Regions (semantic)": Task.SEMANTIC.value,
}
"""The tasks of the page, as they are called on it."""
