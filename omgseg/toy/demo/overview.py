"""One picture of all tasks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from omgseg.structures.png import write_png
from omgseg.visualization import contact_sheet

_SHOWN = (
    "joint/coco_panoptic/panoptic",
    "joint/coco_panoptic/instance",
    "vipseg/vipseg/panoptic",
    "youtube_vis/youtube_vis/instance",
    "davis/davis/vos",
    "interactive/coco_prompts/interactive",
    "joint/coco_panoptic/semantic",
    "open_vocabulary/coco_panoptic/panoptic",
)
_FRAME = 2
"""Of a video, the frame that is shown: things have moved by then."""


def write_overview(folder: Path) -> None:
    """Write ``folder/overview.png``: one example for each task, from ``folder/pictures``, another image each time."""
    examples = []
    for number, task in enumerate(_SHOWN):
        pictures = sorted((folder / "pictures" / task).glob("*.png"))
        examples.append(_read(pictures[number % len(pictures)]))
    width = min(example.width for example in examples)
    resized = [
        np.asarray(example.resize((width, round(example.height * width / example.width))))
        for example in examples
    ]
    write_png(folder / "overview.png", contact_sheet(resized, columns=2))


def _read(picture: Path) -> Image.Image:
    """A picture; of a video, one frame of its animation."""
    animation = picture.with_suffix(".gif")
    if not animation.exists():
        return Image.open(picture).convert("RGB")
    with Image.open(animation) as frames:
        frames.seek(min(_FRAME, frames.n_frames - 1))
        return frames.convert("RGB")
