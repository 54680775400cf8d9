"""One picture of all tasks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mmengine.config import Config
from PIL import Image

from omgseg import recipes
from omgseg.apis.inferencer import OMGSegInferencer
from omgseg.registry import DATASETS
from omgseg.structures import Task
from omgseg.structures.png import write_png
from omgseg.visualization import contact_sheet, render, side_by_side
from omgseg.visualization.drawing import enlarge, enlarge_segments, truth_of, zoom_for

CONFIGS = Path(__file__).parents[3] / "configs" / "toy"

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
    """Write ``folder/overview.png``: one example for each task, another image each time.

    Instances are those that a user is shown. The evaluation keeps every guess, as its metric ranks them, and its
    vocabulary has no word for stuff, which then counts as some thing. Other examples are from ``folder/pictures``.
    """
    examples = []
    for number, task in enumerate(_SHOWN):
        pictures = sorted((folder / "pictures" / task).glob("*.png"))
        number %= len(pictures)
        if task.endswith(Task.INSTANCE.value):
            examples.append(_instances(folder, task.split("/")[0], number))
        else:
            examples.append(_read(pictures[number]))
    width = min(example.width for example in examples)
    resized = [
        np.asarray(example.resize((width, round(example.height * width / example.width))))
        for example in examples
    ]
    write_png(folder / "overview.png", contact_sheet(resized, columns=2))


def _instances(folder: Path, config: str, number: int) -> Image.Image:
    """Input, ground truth and prediction of a test sample, as the inferencer shows them by default."""
    loader = Config.fromfile(CONFIGS / f"{config}.py").test_dataloader
    dataset = DATASETS.build({**loader.dataset, "pipeline": recipes.LOAD})
    stored = dataset.prepare_data(number)
    is_video, t = stored["is_video"], min(_FRAME, len(stored["imgs"]) - 1)
    seg = OMGSegInferencer(folder / "train")
    if is_video:
        predicted = seg(stored["imgs"], task=Task.INSTANCE, as_video=True).frames[t]
    else:
        predicted = seg(stored["imgs"][t], task=Task.INSTANCE)
    masks, labels = stored["gt_masks"][:, t].astype(bool), stored["gt_labels"]
    true = truth_of(Task.INSTANCE, masks, labels, dataset.vocabulary, t if is_video else None)
    zoom = zoom_for(*masks.shape[1:])
    image = enlarge(stored["imgs"][t], zoom)
    columns = {
        "input": image,
        "ground truth": render(image, enlarge_segments(true, zoom)),
        "prediction: instance": render(image, enlarge_segments(predicted, zoom)),
    }
    return Image.fromarray(side_by_side(columns.values(), columns))


def _read(picture: Path) -> Image.Image:
    """A picture; of a video, one frame of its animation."""
    animation = picture.with_suffix(".gif")
    if not animation.exists():
        return Image.open(picture).convert("RGB")
    with Image.open(animation) as frames:
        frames.seek(min(_FRAME, frames.n_frames - 1))
        return frames.convert("RGB")
