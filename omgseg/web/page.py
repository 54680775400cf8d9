"""The page: the tabs that fit the model, and their look."""

from __future__ import annotations

from collections.abc import Mapping

import gradio as gr

from omgseg.inference import OMGSegInferencer, describe
from omgseg.structures import Task, Vocabulary
from omgseg.web.click_tab import ClickTab
from omgseg.web.image_tab import ImageTab
from omgseg.web.parts import Site
from omgseg.web.uploads import Limits, Workspace
from omgseg.web.video_tab import VideoTab

SANS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif"]
MONO = ["ui-monospace", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace"]
"""Fonts of the visitor's system, so nothing is loaded from other hosts."""

CSS = """
.gradio-container { width: 100% !important; max-width: 1320px !important; margin: 0 auto !important; }
#title h1 { margin: 0; font-size: 1.6rem; font-weight: 700; letter-spacing: -0.01em; }
#title p { margin: 0.15rem 0 0; color: var(--body-text-color-subdued); }
.legend { display: flex; flex-wrap: wrap; gap: 0.45rem; margin: 0; padding: 0; list-style: none; }
.legend li {
  display: inline-flex; align-items: center; gap: 0.45rem; margin: 0; padding: 0.25rem 0.65rem 0.25rem 0.45rem;
  border: 1px solid var(--border-color-primary); border-radius: 999px; background: var(--background-fill-primary);
  color: var(--body-text-color); font-size: 0.9rem; line-height: 1.3; max-width: 100%;
}
.legend .swatch {
  flex: none; width: 0.95rem; height: 0.95rem; border-radius: 50%; box-shadow: inset 0 0 0 1px rgb(0 0 0 / 25%);
}
.legend .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-weight: 600; }
.legend .notes { white-space: nowrap; color: var(--body-text-color-subdued); font-variant-numeric: tabular-nums; }
.hint { margin: 0.2rem 0; color: var(--body-text-color-subdued); }
.bar { height: 0.55rem; border-radius: 999px; overflow: hidden; background: var(--border-color-primary); }
.bar div { height: 100%; border-radius: inherit; background: var(--primary-600); transition: width 0.2s; }
#title .html-container, .flush .html-container { padding: 0; }
#image-out img, #image-in img { width: 100%; height: 100%; object-fit: contain; }
#click-picture img { cursor: crosshair; }
@media (max-width: 700px) { .gradio-container { padding: 0.5rem !important; } }
"""


def build_app(
    seg: OMGSegInferencer,
    limits: Limits | None = None,
    workspace: Workspace | None = None,
    label_spaces: Mapping[str, Vocabulary] | None = None,
) -> gr.Blocks:
    """The page of a model, ready for ``queue`` and ``launch``; :func:`omgseg.web.serve` does both.

    The page has tabs for pictures and videos if the model offers a task without prompts, and a tab for clicks if it
    takes prompts. Tasks, words and kinds of clicks are those of the model's abilities.

    Args:
        seg: the inferencer of the model.
        limits: limits of requests and uploads.
        workspace: folder of uploads and results; default: a new one.
        label_spaces: words from which clicked objects may get names, by their names on the page.

    Raises:
        ValueError: the model offers nothing that the page can show.
    """
    limits = limits or Limits()
    site = Site(seg, limits, workspace or Workspace(limits), dict(label_spaces or {}))
    tabs: dict[str, ImageTab | ClickTab | VideoTab] = {}
    if site.task_names():
        tabs["Picture"] = ImageTab(site)
    if Task.INTERACTIVE in seg.abilities.tasks and ClickTab.modes_of(seg):
        tabs["Clicks"] = ClickTab(site)
    if site.task_names(video=True):
        tabs["Video"] = VideoTab(site)
    if not tabs:
        raise ValueError(f"the page has nothing to show: the model offers {describe(seg.segmenter)}")
    with gr.Blocks(title="omgseg", analytics_enabled=False) as app:
        gr.HTML(f"<h1>omgseg</h1><p>{_summary(site, tabs)}</p>", elem_id="title")
        with gr.Tabs():
            for name, tab in tabs.items():
                with gr.Tab(name):
                    tab.build()
        for tab in tabs.values():
            if not isinstance(tab, ImageTab):
                app.unload(tab.leave)
    app.omgseg_site = site
    return app


def _summary(site: Site, tabs: dict[str, ImageTab | ClickTab | VideoTab]) -> str:
    """The purpose of the page in one sentence."""
    if "Picture" not in tabs:
        return "Choose objects in pictures with clicks."
    kinds = "pictures and videos" if "Video" in tabs else "pictures"
    ways = []
    if site.seg.abilities.open_vocabulary:
        ways.append("with your own words")
    elif site.seg.vocabulary:
        ways.append(f"with the {len(site.seg.vocabulary)} words of the model")
    if "Clicks" in tabs:
        ways.append("with clicks")
    return f"Segment {' '.join([kinds, ', or '.join(ways)])}.".replace(" .", ".")


def theme() -> gr.themes.Base:
    """The colours and fonts of the page."""
    base = gr.themes.Default(
        primary_hue="indigo", secondary_hue="indigo", neutral_hue="slate", font=SANS, font_mono=MONO
    )
    # Gradio's shades of these are below the contrast of 4.5 that WCAG 2.2 requires.
    return base.set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
    )
