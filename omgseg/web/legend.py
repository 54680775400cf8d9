"""Results as pieces of the page: the legend, the table of segments, the line that sums up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

import numpy as np

from omgseg.structures import Task
from omgseg.visualization import segment_color

MOST_ROWS, MOST_TRACKS = 200, 60
OBJECT = "object"
NOTHING = "Nothing found. Lower the score, or try other words."
HEADERS = ["Class", "Kind", "Score", "Area %", "Box (x, y, w, h)"]


def legend_html(result, palette: str, coverage: bool = True) -> str:
    """The classes of a result with their colours, the largest first.

    Args:
        result: a ``SegmentationResult``.
        palette: that of the picture.
        coverage: write how much of the image a class has.
    """
    if not len(result):
        return message_html(NOTHING)
    pixels = result.size[0] * result.size[1]
    entries = []
    for label in np.unique(result.labels).tolist():
        rows = np.flatnonzero(result.labels == label)
        share = 100 * min(result.areas[rows].sum() / pixels, 1)
        notes = [f"{len(rows)} x"] if len(rows) > 1 else []
        notes += [f"{share:.1f} %"] if coverage else []
        color = segment_color(result, rows[0], "class", palette)
        entries.append((share, _entry(color, result.names[rows[0]] or OBJECT, " &middot; ".join(notes))))
    entries.sort(key=lambda entry: -entry[0])
    return f'<ul class="legend" aria-label="Classes">{"".join(html for _, html in entries)}</ul>'


@dataclass
class Track:
    """What was seen of one identity of a video.

    Attributes:
        color: RGB, as it is drawn.
        name: of its class, with its number where objects are counted.
        frames: how many it is in.
    """

    color: tuple[int, int, int]
    name: str
    frames: int = 0


def tracks_html(tracks: Iterable[Track]) -> str:
    """The identities of a video with their colours, those that are seen for longest first."""
    longest = sorted(tracks, key=lambda track: -track.frames)[:MOST_TRACKS]
    if not longest:
        return message_html(NOTHING)
    entries = [
        _entry(each.color, each.name, f"{each.frames} frame{'' if each.frames == 1 else 's'}")
        for each in longest
    ]
    return f'<ul class="legend" aria-label="Objects">{"".join(entries)}</ul>'


def count_tracks(tracks: dict[int, Track], frame, palette: str) -> None:
    """Add the segments of the next frame, a ``SegmentationResult``, to `tracks`, by identity."""
    for index, identity in enumerate(frame.ids.tolist()):
        if identity not in tracks:
            name = frame.names[index] or OBJECT
            counted = frame.is_thing[index] and frame.task is not Task.SEMANTIC
            name = f"{name} #{identity}" if counted else name
            tracks[identity] = Track(segment_color(frame, index, "identity", palette), name)
        tracks[identity].frames += 1


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
                result.names[index] or OBJECT,
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
