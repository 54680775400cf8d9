"""What the demo measures, what it must reach, and its results as JSON, as a page and as a picture."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from PIL import Image

from omgseg import recipes
from omgseg.files import whole_file
from omgseg.inference.inferencer import OMGSegInferencer
from omgseg.registry import DATASETS
from omgseg.structures import Task
from omgseg.structures.label_png import write_png
from omgseg.tables import markdown_table
from omgseg.visualization import contact_sheet, render, side_by_side
from omgseg.visualization.samples import enlarge, enlarge_segments, truth_of, zoom_for


@dataclass(frozen=True)
class Metric:
    """One number of the report.

    Attributes:
        key: name in ``metrics.json``.
        task: what it says, for people.
        required: the least acceptable value in percent; None for a control.
        source: the evaluator's own name where that differs from `key`.
    """

    key: str
    task: str
    required: float | None = None
    source: str | None = None


@dataclass(frozen=True)
class Evaluation:
    """One run over test data: a config of ``configs/toy`` and the numbers taken from it."""

    config: str
    metrics: tuple[Metric, ...]


EVALUATIONS = (
    Evaluation(
        "joint",
        (
            Metric("coco_panoptic/PQ", "panoptic segmentation of images", 60),
            Metric("coco_instance/AP", "instance segmentation of images (mask AP)", 40),
            Metric("semantic/mIoU", "semantic segmentation of images", 70),
        ),
    ),
    Evaluation("vipseg", (Metric("vipseg/VPQ", "panoptic segmentation of videos", 50),)),
    Evaluation("youtube_vis", (Metric("youtube_vis/AP", "instance segmentation of videos", 40),)),
    Evaluation("davis", (Metric("davis/J&F", "video object segmentation", 60),)),
    Evaluation("interactive", (Metric("interactive/mIoU", "one click for each mask", 70),)),
    Evaluation(
        "open_vocabulary",
        (Metric("open_vocabulary/PQ_novel", "panoptic segmentation of categories never trained", 25),),
    ),
    Evaluation(
        "open_vocabulary_permuted",
        (
            Metric(
                "open_vocabulary/PQ_novel_permuted",
                "the same with the novel words exchanged (a control: lower is right)",
                source="open_vocabulary/PQ_novel",
            ),
        ),
    ),
)

NOVEL_OVER_PERMUTED = 4.0
"""Novel categories must score this many times what they score under exchanged words."""


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
        "ground truth": render(image, enlarge_segments(true, zoom), zoom=zoom),
        "prediction: instance": render(image, enlarge_segments(predicted, zoom), zoom=zoom),
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


def shortfalls(metrics: dict[str, Any]) -> list[str]:
    """The requirements that were not met, one line for each."""
    lines = [
        f"{metric.key} is {metrics[metric.key]:.1f}, required {metric.required:g}"
        for evaluation in EVALUATIONS
        for metric in evaluation.metrics
        if metric.required is not None and not metrics[metric.key] >= metric.required
    ]
    novel, permuted = metrics["open_vocabulary/PQ_novel"], metrics["open_vocabulary/PQ_novel_permuted"]
    if not novel >= NOVEL_OVER_PERMUTED * permuted:
        lines.append(
            f"novel categories: {novel:.1f} is less than {NOVEL_OVER_PERMUTED:g} times {permuted:.1f}"
        )
    return lines


def write_report(folder: Path, metrics: dict[str, Any], seconds: dict[str, float]) -> None:
    """Write ``metrics.json`` and ``report.md``; each appears whole.

    Args:
        folder: of the demo.
        metrics: by key, in percent, and what else belongs to the run.
        seconds: by stage, in order.
    """
    _write(folder / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    _write(folder / "report.md", _page(folder, metrics, seconds))


def _page(folder: Path, metrics: dict[str, Any], seconds: dict[str, float]) -> str:
    lines = [
        "# One model, one set of weights, every task",
        "",
        f"Checkpoint: `{metrics['checkpoint']}`",
        "",
    ]
    rows = []
    for evaluation in EVALUATIONS:
        time = f"{seconds[f'evaluate {evaluation.config}']:.0f}"
        for metric in evaluation.metrics:
            required = "" if metric.required is None else f"{metric.required:g}"
            rows.append((metric.task, metric.key, f"{metrics[metric.key]:.1f}", required, time))
            time = ""
    lines.append(markdown_table(("task", "metric", "value", "required", "seconds"), rows, right=(2, 3, 4)))
    missed = shortfalls(metrics)
    lines += ["", "All requirements are met." if not missed else "Not met: " + "; ".join(missed) + "."]
    stages = [(stage, f"{value:.0f}") for stage, value in seconds.items()]
    stages.append(("together", f"{sum(seconds.values()):.0f}"))
    lines += ["", markdown_table(("stage", "seconds"), stages, right=(1,)), "", "## Pictures", ""]
    lines += ["![one example of each task](overview.png)", ""]
    lines += ["Input, ground truth and prediction. Colours of videos are identities.", ""]
    for picture in sorted((folder / "pictures").rglob("*.png")):
        name = picture.relative_to(folder)
        animation = picture.with_suffix(".gif")
        shown = animation.relative_to(folder) if animation.exists() else name
        lines += [f"{' / '.join(name.with_suffix('').parts[1:])}", "", f"![{name.stem}]({shown})", ""]
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text)
