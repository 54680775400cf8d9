"""The tab of pictures: upload, words, overlay, legend, table, downloads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from omgseg.visualization.samples import enlarge, enlarge_segments, zoom_for
from omgseg.web import controls
from omgseg.web.guard import guarded
from omgseg.web.legend import HEADERS, TASK_NAMES, legend_html, message_html, table_rows
from omgseg.web.limits import Refused
from omgseg.web.uploads import read_picture
from omgseg.web.words import parse_words


def palette_of(colorblind: bool) -> str:
    return "colorblind" if colorblind else "default"


def save_coco(content: dict[str, Any], path: Path) -> str:
    path.write_text(json.dumps(content))
    return str(path)


class ImageTab:
    """Segments one picture. Sliders change what is drawn, without the model.

    Args:
        site: what the tabs share, see :class:`omgseg.web.page.Site`.
    """

    def __init__(self, site) -> None:
        self.site = site

    def build(self) -> None:
        """Lay out the tab inside the current ``gr.Blocks``."""
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300):
                picture = controls.picture_input(self.site.workspace, "image-in", height=280)
                task, words = controls.question(
                    "image-words",
                    "Empty: the words of the model. Things are counted, stuff is not. One a line works, too.",
                )
                start = gr.Button("Segment", variant="primary", elem_id="image-start")
                style = controls.drawing()
            with gr.Column(scale=3, min_width=320):
                overlay = gr.Image(
                    label="Result", interactive=False, height=460, elem_id="image-out", buttons=["fullscreen"]
                )
                legend = gr.HTML(
                    message_html("The classes appear here."), elem_id="image-legend", elem_classes="flush"
                )
                files = controls.downloads("PNG", "JSON", "COCO")
                with gr.Accordion("Segments", open=True):
                    table = gr.Dataframe(
                        headers=HEADERS,
                        interactive=False,
                        show_label=False,
                        max_height=280,
                        elem_id="image-table",
                        buttons=["copy"],
                    )
        kept = gr.State(None, time_to_live=self.site.limits.keep_seconds)
        shown = [overlay, legend, table, *files]
        start.click(
            guarded(self.segment),
            [picture, task, words, *style],
            [kept, *shown],
            concurrency_id="pictures",
            concurrency_limit=1,
            api_visibility="private",
            show_progress_on=[overlay],
        )
        for control, event in zip(style, ("release", "release", "change"), strict=True):
            getattr(control, event)(
                guarded(self.redraw),
                [kept, *style],
                shown,
                api_visibility="private",
                show_progress="hidden",
                trigger_mode="always_last",
            )

    def segment(
        self, path: str | None, task: str, words: str, score: float, opacity: float, colorblind: bool
    ) -> list[Any]:
        """Run the model: what to keep, and what to show."""
        image = read_picture(path, self.site.limits)
        vocabulary = parse_words(words, self.site.limits.words)
        if task not in TASK_NAMES:
            raise Refused(f"There is no task {task!r}.")
        result = self.site.seg(image, task=TASK_NAMES[task], vocabulary=vocabulary)
        kept = (result.replace(image=None), path)
        return [kept, *self._show(result, image, score, opacity, colorblind)]

    def redraw(self, kept: tuple | None, score: float, opacity: float, colorblind: bool) -> list[Any]:
        """Show the last result in another style."""
        if kept is None:
            return [gr.skip()] * 6
        result, path = kept
        return self._show(result, read_picture(path, self.site.limits), score, opacity, colorblind)

    def _show(self, result, image, score: float, opacity: float, colorblind: bool) -> list[Any]:
        result, palette = result.confident(score), palette_of(colorblind)
        folder = self.site.workspace.new_folder()
        drawn = shown = folder / "segments.png"
        style = {"opacity": opacity, "palette": palette}
        Image.fromarray(result.draw(image, **style)).save(drawn, compress_level=1)
        if (zoom := zoom_for(*result.size)) > 1:  # the browser would enlarge the letters, too
            shown = folder / "view.png"
            large = enlarge_segments(result, zoom).draw(enlarge(image, zoom), **style)
            Image.fromarray(large).save(shown, compress_level=1)
        content = result.save(folder / "segments.json")
        coco = save_coco(result.to_coco(), folder / "segments_coco.json")
        buttons = [gr.DownloadButton(value=str(file), interactive=True) for file in (drawn, content, coco)]
        return [str(shown), legend_html(result, palette), table_rows(result), *buttons]
