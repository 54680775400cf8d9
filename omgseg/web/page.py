"""The page: its tabs, and what they share."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from omgseg.web.click_tab import ClickTab
from omgseg.web.image_tab import ImageTab
from omgseg.web.limits import Limits
from omgseg.web.video_tab import VideoTab
from omgseg.web.workspace import Workspace


@dataclass
class Site:
    """What the tabs share.

    Attributes:
        seg: an ``OMGSegInferencer``.
        limits: what is accepted.
        workspace: where files go.
    """

    seg: object
    limits: Limits
    workspace: Workspace


def build_app(seg, limits: Limits | None = None, workspace: Workspace | None = None) -> gr.Blocks:
    """The page of a model, ready for ``queue`` and ``launch``; :func:`omgseg.web.serve` does both.

    Args:
        seg: an ``OMGSegInferencer``.
        limits: what is accepted.
        workspace: where uploads and results go; a new one by default.
    """
    limits = limits or Limits()
    site = Site(seg, limits, workspace or Workspace(limits))
    with gr.Blocks(title="omgseg", analytics_enabled=False) as app:
        gr.HTML(
            "<h1>omgseg</h1><p>Segment pictures and videos with your own words, or with clicks.</p>",
            elem_id="title",
        )
        with gr.Tabs():
            with gr.Tab("Picture"):
                ImageTab(site).build()
            with gr.Tab("Clicks"):
                ClickTab(site).build()
            with gr.Tab("Video"):
                video = VideoTab(site)
                video.build()
        app.unload(video.leave)
    app.omgseg_site = site
    return app
