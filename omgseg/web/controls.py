"""Controls that several tabs have, laid out inside the current block."""

from __future__ import annotations

import gradio as gr

from omgseg.web.legend import TASK_NAMES
from omgseg.web.workspace import Workspace, as_uploaded

HOW_TO_WRITE = "things: dog, red car; stuff: sky, grass"


def picture_input(workspace: Workspace, name: str, height: int) -> gr.Image:
    """Where a picture is uploaded or pasted; its value is the file.

    Args:
        workspace: where uploads are.
        name: id of the element.
        height: in pixels.
    """
    return as_uploaded(
        gr.Image(
            label="Picture", sources=["upload", "clipboard"], type="filepath", height=height, elem_id=name
        ),
        workspace,
    )


def question(name: str, hint: str) -> tuple[gr.Radio, gr.Textbox]:
    """The choice of a task, and the box for words.

    Args:
        name: id of the box.
        hint: what is said below its label.
    """
    task = gr.Radio(list(TASK_NAMES), value=next(iter(TASK_NAMES)), label="Task")
    words = gr.Textbox(
        label="Words",
        info=hint,
        placeholder=HOW_TO_WRITE,
        lines=2,
        max_lines=8,
        max_length=20_000,
        elem_id=name,
    )
    return task, words


def drawing() -> list[gr.Slider | gr.Checkbox]:
    """How results are drawn: least score, opacity, and whether the colours are for colour-blind people."""
    with gr.Accordion("Drawing", open=False):
        return [
            gr.Slider(0, 1, value=0.3, step=0.05, label="Least score"),
            gr.Slider(0, 1, value=0.5, step=0.05, label="Opacity"),
            gr.Checkbox(False, label="Colours for colour-blind people"),
        ]


def downloads(*names: str) -> list[gr.DownloadButton]:
    """Buttons in a row, which wait for their files."""
    with gr.Row():
        return [gr.DownloadButton(name, size="sm", min_width=90, interactive=False) for name in names]
