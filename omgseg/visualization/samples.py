"""A data sample's predictions as pictures: every task that was predicted, frame by frame, beside the ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmdet.structures import DetDataSample, TrackDataSample

from omgseg.files import safe_name
from omgseg.structures import Task, Vocabulary
from omgseg.structures.png import write_png
from omgseg.structures.segments import Segments
from omgseg.visualization.drawing import (
    enlarge,
    enlarge_segments,
    predictions_of,
    truth_of,
    zoom_for,
)
from omgseg.visualization.marks import draw_boxes, draw_clicks
from omgseg.visualization.render import render
from omgseg.visualization.sheets import contact_sheet, side_by_side
from omgseg.visualization.video import VideoWriter

_GIF_WIDTH = 1200  # pixels; wider animations are shrunk
_GIF_FPS = 6.0


@dataclass(frozen=True)
class GroundTruth:
    """The true objects of T frames.

    Attributes:
        masks: bool (N, T, H, W), at the size of the stored frames; a row is one object.
        labels: (N,) labels of the vocabulary, -1 without a class.
    """

    masks: np.ndarray
    labels: np.ndarray


def draw_sample(
    sample: DetDataSample | TrackDataSample,
    images: Sequence[np.ndarray],
    vocabulary: Vocabulary,
    truth: GroundTruth | None = None,
    min_score: float = 0.3,
    palette: str = "default",
) -> dict[str, list[np.ndarray]]:
    """Draw input, ground truth and prediction side by side; small images are enlarged.

    Args:
        sample: with predictions of any tasks.
        images: its T frames as stored, uint8 RGB (H, W, 3); T is 1 for an image.
        vocabulary: of the labels.
        truth: the panel is left out if None.
        min_score: instances below are left out.
        palette: "default" or "colorblind".

    Returns:
        Task name to T pictures, uint8 RGB.
    """
    is_video = "video_data_samples" in sample
    frames = sample.video_data_samples if is_video else [sample]
    drawn: dict[str, list[np.ndarray]] = {}
    for t, (frame, image) in enumerate(zip(frames, images, strict=True)):
        pen = _Pen(frame, image, palette)
        number = t if is_video else None
        for prediction in predictions_of(frame, vocabulary, number):
            task = prediction.task
            columns = {"input": pen.draw(None, task)}
            if truth is not None:
                true = truth_of(task, truth.masks[:, t].astype(bool), truth.labels, vocabulary, number)
                columns["ground truth"] = pen.draw(true, task)
            least = min_score if task is Task.INSTANCE else 0.0
            columns[f"prediction: {task.value}"] = pen.draw(prediction, task, least)
            drawn.setdefault(task.value, []).append(side_by_side(columns.values(), columns))
    return drawn


class _Pen:
    """Draws on one frame."""

    def __init__(self, frame: DetDataSample, image: np.ndarray, palette: str) -> None:
        self.zoom = zoom_for(*image.shape[:2])
        self.image = enlarge(image, self.zoom)
        self.prompts = _prompts(frame, self.zoom)
        self.palette = palette

    def draw(self, segments: Segments | None, task: Task, min_score: float = 0.0) -> np.ndarray:
        """The frame with masks, and with the prompts where the task has them; None shows the frame without masks."""
        picture = self.image
        if segments is not None:
            picture = render(
                picture,
                enlarge_segments(segments, self.zoom),
                min_score=min_score,
                palette=self.palette,
                labels=task is not Task.INTERACTIVE,
            )
        if task is Task.INTERACTIVE:
            if "boxes" in self.prompts:
                picture = draw_boxes(picture, self.prompts["boxes"], self.palette)
            if "points" in self.prompts:
                picture = draw_clicks(picture, self.prompts["points"], palette=self.palette)
        return picture


def write_sample(drawn: dict[str, list[np.ndarray]], folder: str | Path, name: str) -> list[Path]:
    """Write what :func:`draw_sample` drew as ``folder/<task>/<name>.png``; a video also gets a ``.gif``.

    Args:
        drawn: task name to pictures; of a video the PNG shows up to nine frames.
        folder: created if missing.
        name: file name without ending; made safe, as it may come from an annotation.

    Returns:
        The files.
    """
    files = []
    for task, pictures in drawn.items():
        file = Path(folder) / task / f"{safe_name(name)}.png"
        write_png(file, contact_sheet(pictures, columns=1))
        files.append(file)
        if len(pictures) > 1:
            files.append(file.with_suffix(".gif"))
            with VideoWriter(files[-1], _GIF_FPS) as writer:
                for picture in pictures:
                    writer.add(_shrink(picture, _GIF_WIDTH))
    return files


def _prompts(frame: Any, zoom: int) -> dict[str, np.ndarray]:
    """Points or boxes in pixels of the enlarged image; the sample has them in those of the model's input."""
    if "prompts" not in frame:
        return {}
    scale = np.asarray(frame.metainfo.get("scale_factor", (1.0, 1.0)), np.float32) / zoom
    return {
        kind: value.cpu().numpy() / np.tile(scale, value.shape[1] // 2)
        for kind, value in frame.prompts.items()
        if kind in ("points", "boxes")
    }


def _shrink(image: np.ndarray, width: int) -> np.ndarray:
    if image.shape[1] <= width:
        return image
    height = round(image.shape[0] * width / image.shape[1])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
