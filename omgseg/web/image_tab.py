"""The tab of pictures: upload, words, overlay, legend, table, downloads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from omgseg.files import safe_name
from omgseg.inference import SegmentationResult
from omgseg.visualization.samples import enlarge, enlarge_segments, zoom_for
from omgseg.web import parts
from omgseg.web.parts import Site, guarded
from omgseg.web.uploads import read_picture


class ImageTab:
    """Segments one picture. Changes of the drawing options do not run the model again.

    Args:
        site: the inferencer, limits and workspace of the page.
    """

    def __init__(self, site: Site) -> None:
        self.site = site

    def build(self) -> None:
        """Lay out the tab inside the current ``gr.Blocks``."""
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300):
                picture = parts.picture_input(self.site, "image-in", height=280)
                task = parts.task_input(self.site)
                words = parts.word_input(self.site, "image-words", hint=parts.word_hint(self.site))
                start = gr.Button("Segment", variant="primary", elem_id="image-start")
                style = parts.drawing()
            with gr.Column(scale=3, min_width=320):
                overlay = gr.Image(
                    label="Result", interactive=False, height=460, elem_id="image-out", buttons=["fullscreen"]
                )
                legend = gr.HTML(
                    parts.message_html("The classes appear here."),
                    elem_id="image-legend",
                    elem_classes="flush",
                )
                files = parts.downloads("PNG", "JSON", "COCO")
                with gr.Accordion("Segments", open=True):
                    table = gr.Dataframe(
                        headers=parts.HEADERS,
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
        self,
        path: str | None,
        task_name: str,
        words: str | list[str] | None,
        score: float,
        opacity: float,
        colorblind: bool,
    ) -> list[Any]:
        """Run the model; returns the state to keep, and the values of the outputs."""
        image = read_picture(path, self.site.limits)
        task = self.site.task_of(task_name)
        vocabulary = self.site.words_of(words, task)
        self.site.check_work(task, vocabulary, *image.shape[:2])
        result = self.site.seg(image, task=task.value, vocabulary=vocabulary)
        kept = (result.replace(image=None), path)
        return [kept, *self._show(result, path, image, score, opacity, colorblind)]

    def redraw(self, kept: tuple | None, score: float, opacity: float, colorblind: bool) -> list[Any]:
        """Show the last result in another style."""
        if kept is None:
            return [gr.skip()] * 6
        result, path = kept
        return self._show(result, path, read_picture(path, self.site.limits), score, opacity, colorblind)

    def _show(
        self,
        result: SegmentationResult,
        path: str,
        image: np.ndarray,
        score: float,
        opacity: float,
        colorblind: bool,
    ) -> list[Any]:
        result, palette = result.confident(score), parts.palette_of(colorblind)
        folder, name = self.site.workspace.new_folder(), safe_name(Path(path).stem)
        drawn = shown = folder / f"{name}_segments.png"
        style = {"opacity": opacity, "palette": palette}
        Image.fromarray(result.draw(image, **style)).save(drawn, compress_level=1)
        if (zoom := zoom_for(*result.size)) > 1:  # the browser would enlarge the labels, too
            shown = folder / "view.png"
            large = enlarge_segments(result, zoom).draw(enlarge(image, zoom), zoom=zoom, **style)
            Image.fromarray(large).save(shown, compress_level=1)
        content = result.save(folder / f"{name}_segments.json")
        coco = folder / f"{name}_coco.json"
        coco.write_text(json.dumps(result.to_coco()))
        buttons = [gr.DownloadButton(value=str(file), interactive=True) for file in (drawn, content, coco)]
        return [str(shown), parts.legend_html(result, palette), parts.table_rows(result), *buttons]
