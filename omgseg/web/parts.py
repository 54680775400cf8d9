"""Parts of the tabs: choices that fit the model, words, pieces of HTML, and errors as messages."""

from __future__ import annotations

import functools
import inspect
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from omgseg.inference import OMGSegInferencer, SegmentationResult, UnsupportedRequest
from omgseg.inference.interactive import prepare_names
from omgseg.inference.words import check_word_count, choose_names
from omgseg.protocols import MaskNamer, MissingWords
from omgseg.structures import NO_CLASS, Category, Task, Vocabulary
from omgseg.visualization import segment_color
from omgseg.web.uploads import Limits, Refused, Workspace, as_uploaded

LOGGER = logging.getLogger(__name__)
SECONDS_SHOWN = 12
TASK_NAMES = {
    "Everything (panoptic)": Task.PANOPTIC,
    "Objects (instance)": Task.INSTANCE,
    "Regions (semantic)": Task.SEMANTIC,
    "All masks": Task.EVERYTHING,
}
"""The tasks by their names on the page."""
VIDEO_TASKS = (Task.PANOPTIC, Task.INSTANCE, Task.SEMANTIC)
HOW_TO_WRITE = "things: dog, red car; stuff: sky, grass"
LONGEST_WORD = 80
MOST_ROWS, MOST_TRACKS = 200, 60
OBJECT = "object"
NOTHING = "Nothing found. Lower the score, or try other words."
HEADERS = ["Class", "Kind", "Score", "Area %", "Box (x, y, w, h)"]
_KINDS = {"things": True, "thing": True, "stuff": False}
_HEADING = re.compile(r"\s*(things?|stuff)\s*:", re.IGNORECASE)


@dataclass
class Site:
    """The data that all tabs share.

    Attributes:
        seg: the inferencer of the model.
        limits: limits of requests and uploads.
        workspace: folder of uploads and results.
        label_spaces: words from which clicked objects may get names, by their names on the page.
    """

    seg: OMGSegInferencer
    limits: Limits
    workspace: Workspace
    label_spaces: dict[str, Vocabulary] = field(default_factory=dict)

    def task_names(self, video: bool = False) -> list[str]:
        """The page's names of the tasks that the model offers, for pictures or for videos; it takes no examples."""
        offered = frozenset() if self.seg.abilities.needs_example else self.seg.abilities.tasks
        return [
            name
            for name, task in TASK_NAMES.items()
            if task in offered and (not video or task in VIDEO_TASKS)
        ]

    def task_of(self, name: str, video: bool = False) -> Task:
        """The task of a name. Raises Refused for a task that the page does not offer."""
        if name not in self.task_names(video):
            raise Refused(f"There is no task {name!r}.")
        return TASK_NAMES[name]

    def words_of(self, entry: str | Sequence[str] | None, task: Task) -> Vocabulary | None:
        """The words that a visitor typed or chose; None for the model's own words, or for masks without names.

        Raises:
            Refused: there are no words, or too many, or the model does not have a word.
        """
        words = self._chosen(entry) if isinstance(entry, list) else parse_words(entry, self.limits.words)
        if task is Task.EVERYTHING:
            return words if isinstance(self.seg.segmenter, MaskNamer) else None
        used = words or self.seg.vocabulary
        if used is None and self.seg.abilities.open_vocabulary:
            raise Refused("Type at least one word.")
        if used is not None:
            try:
                check_word_count(used, task)
            except ValueError as error:
                raise Refused(str(error)) from None
        return words

    def _chosen(self, names: Sequence[str]) -> Vocabulary | None:
        known = {category.name: category for category in self.seg.vocabulary or ()}
        if unknown := [name for name in names if name not in known]:
            raise Refused(f"The model has no word {unknown[0]!r}.")
        return Vocabulary([known[name] for name in dict.fromkeys(names)]) if names else None

    def check_work(self, task: Task, words: Vocabulary | None, height: int, width: int) -> None:
        """Raises Refused if a semantic request has too many words for the size (in pixels) of its picture."""
        count = len(words or self.seg.vocabulary or ())
        megapixels = height * width / 1e6
        if task is Task.SEMANTIC and count * megapixels > self.limits.word_megapixels:
            most = int(self.limits.word_megapixels / megapixels)
            raise Refused(
                f"{count} words are too many for regions in a picture of {megapixels:.1f} megapixels: at most {most} "
                "are accepted. Give fewer words, or make the picture smaller."
            )


def label_spaces_of(seg: OMGSegInferencer, names: Iterable[str]) -> dict[str, Vocabulary]:
    """Label spaces by their names on the page, ready for the model.

    Args:
        seg: the inferencer of the model.
        names: of known label spaces, or files, see :func:`~omgseg.inference.words.to_vocabulary`.

    Raises:
        UnsupportedRequest, FileNotFoundError, ValueError: the model cannot name masks by these words; a name is
            unknown, or a file wrong.
    """
    spaces = {}
    for name in names:
        words = choose_names(seg.segmenter, name)
        prepare_names(seg.segmenter, words)
        spaces[f"{Path(name).stem} ({len(words):,} words)"] = words
    return spaces


def parse_words(text: str | None, most: int) -> Vocabulary | None:
    """Read ``things: dog, red car; stuff: sky``, or one word per line.

    Words are separated by commas, semicolons or new lines. They are things; after ``stuff:`` they are stuff, until
    ``things:``. A word that occurs twice counts once.

    Args:
        text: the text of the visitor.
        most: largest number of words.

    Returns:
        The vocabulary; None if there are no words.

    Raises:
        Refused: too many words, or a word that is too long.
    """
    categories: dict[tuple[str, bool], Category] = {}
    is_thing = True
    for part in re.split(r"[,;\n]", text or ""):
        while heading := _HEADING.match(part):
            is_thing = _KINDS[heading.group(1).lower()]
            part = part[heading.end() :]
        word = " ".join(part.split())
        if not word:
            continue
        if len(word) > LONGEST_WORD:
            raise Refused(f'"{word[:30]}..." is too long for a word; separate words by commas.')
        if not word.strip("_/"):
            raise Refused(f'"{word}" is not a word.')
        categories.setdefault((word.casefold(), is_thing), Category(word, is_thing))
        if len(categories) > most:
            raise Refused(f"There are more than {most} words, the limit of this page. Give fewer words.")
    return Vocabulary(categories.values()) if categories else None


# --- controls, laid out inside the current block ---


def picture_input(site: Site, name: str, height: int) -> gr.Image:
    """The input for a picture, uploaded or pasted; its value is the path of the file.

    Args:
        site: see :class:`Site`.
        name: id of the element.
        height: in pixels.
    """
    picture = gr.Image(
        label="Picture", sources=["upload", "clipboard"], type="filepath", height=height, elem_id=name
    )
    return as_uploaded(picture, site.workspace)


def task_input(site: Site, video: bool = False) -> gr.Radio:
    """The choice of a task; hidden if there is only one."""
    names = site.task_names(video)
    return gr.Radio(names, value=names[0], label="Task", visible=len(names) > 1)


def word_input(site: Site, name: str, label: str = "Words", hint: str = "") -> gr.components.Component:
    """The input for words: free text, a choice of the model's fixed words, or hidden for a model without words.

    Args:
        site: see :class:`Site`.
        name: id of the element.
        label: its label.
        hint: text below the label.
    """
    abilities, vocabulary = site.seg.abilities, site.seg.vocabulary
    if abilities.open_vocabulary:
        return gr.Textbox(
            label=label,
            info=hint,
            placeholder=HOW_TO_WRITE,
            lines=2,
            max_lines=8,
            max_length=20_000,
            elem_id=name,
        )
    if vocabulary:
        return gr.Dropdown(vocabulary.names, value=[], multiselect=True, label=label, info=hint, elem_id=name)
    return gr.State(None)


def word_hint(site: Site) -> str:
    """What an empty input for words means."""
    if not site.seg.abilities.open_vocabulary:
        return "Empty: all words of the model."
    if site.seg.vocabulary is None:
        return "Things are counted, stuff is not."
    return "Empty: the words of the model. Things are counted, stuff is not."


def drawing() -> list[gr.Slider | gr.Checkbox]:
    """The drawing options: lowest score, opacity, and the colour-blind palette."""
    with gr.Accordion("Drawing", open=False):
        return [
            gr.Slider(0, 1, value=0.3, step=0.05, label="Lowest score"),
            gr.Slider(0, 1, value=0.5, step=0.05, label="Opacity"),
            gr.Checkbox(False, label="Colours for colour-blind people"),
        ]


def palette_of(colorblind: bool) -> str:
    """The name of the palette, see :func:`omgseg.visualization.render`."""
    return "colorblind" if colorblind else "default"


def downloads(*names: str) -> list[gr.DownloadButton]:
    """A row of download buttons, disabled until they have files."""
    with gr.Row():
        return [gr.DownloadButton(name, size="sm", min_width=90, interactive=False) for name in names]


# --- results as pieces of the page ---


def legend_html(result: SegmentationResult, palette: str) -> str:
    """The classes of a result with their colours and their share of the image, the largest first.

    Args:
        result: the result.
        palette: the palette of the picture.
    """
    if not len(result):
        return message_html(NOTHING)
    pixels = result.size[0] * result.size[1]
    entries = []
    for label in np.unique(result.labels).tolist():
        rows = np.flatnonzero(result.labels == label)
        share = 100 * min(result.areas[rows].sum() / pixels, 1)
        notes = [f"{len(rows)} x"] if len(rows) > 1 else []
        notes.append(f"{share:.1f} %")
        color = None if label == NO_CLASS else segment_color(result, rows[0], "class", palette)
        entries.append((share, _entry(color, result.names[rows[0]] or OBJECT, " &middot; ".join(notes))))
    entries.sort(key=lambda entry: -entry[0])
    return f'<ul class="legend" aria-label="Classes">{"".join(html for _, html in entries)}</ul>'


def table_rows(result: SegmentationResult) -> list[list[object]]:
    """Table rows of a result's segments by falling score, at most :data:`MOST_ROWS`; see :data:`HEADERS`."""
    pixels = result.size[0] * result.size[1]
    rows = []
    for index in np.argsort(-result.scores, kind="stable")[:MOST_ROWS].tolist():
        left, top, right, bottom = result.boxes[index].round().astype(int).tolist()
        kind = "" if result.labels[index] == NO_CLASS else "thing" if result.is_thing[index] else "stuff"
        rows.append(
            [
                result.names[index] or OBJECT,
                kind,
                f"{result.scores[index]:.2f}",
                f"{100 * result.areas[index] / pixels:.1f}",
                f"{left}, {top}, {right - left}, {bottom - top}",
            ]
        )
    return rows


@dataclass
class Track:
    """One object of a video.

    Attributes:
        color: RGB colour in the video.
        name: name of its class, with its id for things.
        frames: number of frames that show it.
    """

    color: tuple[int, int, int]
    name: str
    frames: int = 0


def count_tracks(tracks: dict[int, Track], frame: SegmentationResult, palette: str) -> None:
    """Add the segments of the next frame to `tracks`, by id."""
    for index, identity in enumerate(frame.ids.tolist()):
        if identity not in tracks:
            name = frame.names[index] or OBJECT
            counted = frame.is_thing[index] and frame.task is not Task.SEMANTIC
            name = f"{name} #{identity}" if counted else name
            tracks[identity] = Track(segment_color(frame, index, "identity", palette), name)
        tracks[identity].frames += 1


def tracks_html(tracks: Iterable[Track]) -> str:
    """The objects of a video with their colours, those in most frames first."""
    longest = sorted(tracks, key=lambda track: -track.frames)[:MOST_TRACKS]
    if not longest:
        return message_html(NOTHING)
    entries = [
        _entry(track.color, track.name, f"{track.frames} frame{'' if track.frames == 1 else 's'}")
        for track in longest
    ]
    return f'<ul class="legend" aria-label="Objects">{"".join(entries)}</ul>'


def _entry(color: tuple[int, int, int] | None, name: str, notes: str) -> str:
    """An entry of a legend; without a colour if each segment has its own."""
    swatch = ""
    if color is not None:
        red, green, blue = color
        swatch = f'<span class="swatch" style="background: rgb({red}, {green}, {blue})"></span>'
    return f'<li>{swatch}<span class="name">{escape(name)}</span><span class="notes">{notes}</span></li>'


def names_html(names: Sequence[tuple[str, float]]) -> str:
    """Names of an object with their probabilities, the best first."""
    entries = (_entry(None, name, f"{100 * score:.1f} %") for name, score in names)
    return f'<ul class="legend" aria-label="Names">{"".join(entries)}</ul>'


def message_html(text: str) -> str:
    """A line of text in place of a result."""
    return f'<p class="hint">{escape(text)}</p>'


def progress_html(done: int, total: int | None, text: str) -> str:
    """A progress bar; without `total` only the text."""
    bar = ""
    if total:
        percent = 100 * min(done / total, 1)
        bar = (
            f'<div class="bar" role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{percent:.0f}">'
            f'<div style="width: {percent:.1f}%"></div></div>'
        )
    return f'<div class="progress-line">{bar}<p class="hint">{escape(text)}</p></div>'


# --- errors as messages on the page ---


def guarded(handler: Callable[..., Any]) -> Callable[..., Any]:
    """A handler (a function or a generator) whose errors become messages on the page.

    Errors that the visitor can correct are shown with their message. Other errors are logged with their traceback, and
    the visitor sees only their type, as the message may name files of the server.
    """
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def generate(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with _messages():
                yield from handler(*args, **kwargs)

        return generate

    @functools.wraps(handler)
    def call(*args: Any, **kwargs: Any) -> Any:
        with _messages():
            return handler(*args, **kwargs)

    return call


@contextmanager
def _messages() -> Iterator[None]:
    try:
        yield
    except gr.Error:
        raise
    except (Refused, UnsupportedRequest) as error:
        raise _shown(str(error), "Not accepted") from None
    except MissingWords as error:
        LOGGER.error("%s", error)
        message = (
            f"The model cannot read {error.shown}: the server lacks a file for other words than it has met."
        )
        raise _shown(message, "Not possible") from None
    except MemoryError:
        LOGGER.exception("out of memory")
        raise _shown("There is not enough memory for this. Try a smaller one.", "Not possible") from None
    except Exception as error:
        LOGGER.exception("a request failed")
        kind = type(error).__name__
        raise _shown(f"This did not work ({kind}). The log of the server says more.", "Error") from None


def _shown(message: str, title: str) -> gr.Error:
    return gr.Error(message, duration=SECONDS_SHOWN, title=title, print_exception=False)
