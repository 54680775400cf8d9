"""Draws the predictions of a data sample for every task beside the ground truth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmdet.structures import DetDataSample, TrackDataSample
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask

from omgseg.files import safe_name
from omgseg.structures import NO_CLASS, Task, Vocabulary
from omgseg.structures.label_png import write_png
from omgseg.structures.predictions import predicted_tasks, segments_of
from omgseg.structures.run_lengths import encode_masks
from omgseg.structures.segments import Segments
from omgseg.visualization.labels import load_font, shorten
from omgseg.visualization.paint import draw_boxes, draw_clicks
from omgseg.visualization.render import render
from omgseg.visualization.video import VideoWriter

_GAP = 6
_PAPER, _INK = 255, (30, 30, 30)


def side_by_side(images: Iterable[np.ndarray], titles: Iterable[str]) -> np.ndarray:
    """Pictures in a row, each under its title.

    Args:
        images: uint8 RGB (H, W, 3), of any sizes; they are aligned at the top.
        titles: one per image; titles that are wider than the image are cut.

    Returns:
        uint8 RGB.

    Raises:
        ValueError: there are no images, or another number of titles.
    """
    images, titles = list(images), list(titles)
    if not images:
        raise ValueError("no images to put side by side")
    if len(images) != len(titles):
        raise ValueError(f"{len(images)} images with {len(titles)} titles; give one title per image")
    tallest = max(image.shape[0] for image in images)
    bar = max(22, tallest // 20)
    letters = round(0.6 * bar)
    width = sum(image.shape[1] for image in images) + _GAP * (len(images) - 1)
    sheet = np.full((bar + tallest, width, 3), _PAPER, np.uint8)
    starts = np.cumsum([0] + [image.shape[1] + _GAP for image in images])
    for x, image in zip(starts, images, strict=False):
        sheet[bar : bar + image.shape[0], x : x + image.shape[1]] = image
    picture = Image.fromarray(sheet)
    draw = ImageDraw.Draw(picture)
    for x, image, title in zip(starts, images, titles, strict=False):
        title = shorten(title, letters, image.shape[1])
        draw.text((int(x) + 4, bar // 2), title, font=load_font(letters), fill=_INK, anchor="lm")
    return np.array(picture)


def contact_sheet(frames: Sequence[np.ndarray], columns: int = 3, max_frames: int = 9) -> np.ndarray:
    """Frames of a video on one sheet, row by row.

    Args:
        frames: uint8 RGB images of one size.
        columns: pictures per row.
        max_frames: largest number of pictures; of more frames, this many at equal distances are shown, including the
            first and the last.

    Returns:
        uint8 RGB.

    Raises:
        ValueError: there are no frames.
    """
    if not len(frames):
        raise ValueError("no frames to show")
    chosen = np.linspace(0, len(frames) - 1, min(max_frames, len(frames))).round().astype(int)
    columns = min(columns, len(chosen))
    rows = -(-len(chosen) // columns)
    height, width = frames[0].shape[:2]
    size = (rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3)
    sheet = np.full(size, _PAPER, np.uint8)
    for place, index in enumerate(chosen):
        y, x = (place // columns) * (height + _GAP), (place % columns) * (width + _GAP)
        sheet[y : y + height, x : x + width] = frames[index]
    return sheet


_READABLE_SIDE = 320  # pictures with a smaller shorter side, in pixels, are enlarged for their labels


def predictions_of(frame: DetDataSample, vocabulary: Vocabulary, frame_index: int | None) -> list[Segments]:
    """The predictions for an image or frame, one result per task.

    Args:
        frame: a data sample with predictions of any tasks, at the size of the stored image.
        vocabulary: the words that the labels index. Labels of prompted masks are left out, as only the masks matter.
        frame_index: None for an image.
    """
    return [
        segments_of(
            Segments, frame, task, None if task is Task.INTERACTIVE else vocabulary, frame_index=frame_index
        )
        for task in predicted_tasks(frame)
    ]


def truth_of(
    task: Task, masks: np.ndarray, labels: np.ndarray, vocabulary: Vocabulary, frame_index: int | None
) -> Segments:
    """The ground truth as a result of a task.

    Args:
        task: ``instance`` gives things only, ``semantic`` one mask per class.
        masks: bool (N, H, W).
        labels: (N,), -1 without a class.
        vocabulary: the words that the labels index.
        frame_index: None for an image.
    """
    ids = np.arange(1, len(masks) + 1)
    if task is Task.SEMANTIC:
        present = [label for label in np.unique(labels) if label != NO_CLASS]
        masks = np.stack([masks[labels == label].any(0) for label in present]) if present else masks[:0]
        labels, ids = np.array(present, int), np.arange(1, len(present) + 1)
    elif task is Task.INSTANCE:
        things = labels < vocabulary.num_things
        masks, labels, ids = masks[things], labels[things], ids[things]
    elif task in (Task.VOS, Task.INTERACTIVE):
        labels = np.full(len(masks), NO_CLASS)
    scores = np.ones(len(masks), np.float32)
    return Segments(
        task, masks.shape[1:], encode_masks(masks), labels, scores, ids, vocabulary, frame_index=frame_index
    )


def zoom_for(height: int, width: int) -> int:
    """The integer factor by which an image (H, W) is enlarged, so that its labels are readable."""
    return max(1, -(-_READABLE_SIDE // min(height, width)))


def enlarge(image: np.ndarray, zoom: int) -> np.ndarray:
    """An image (H, W, 3), enlarged by an integer factor."""
    if zoom == 1:
        return image
    return cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR)


def enlarge_segments(segments: Segments, zoom: int) -> Segments:
    """Segments with masks that are enlarged by an integer factor and have smooth edges; without pixels."""
    if zoom == 1:
        return segments
    height, width = segments.size
    large = [_enlarge_mask(run_lengths, zoom) for run_lengths in segments.rles]
    return segments.replace(size=(height * zoom, width * zoom), rles=encode_masks(large), image=None)


def _enlarge_mask(run_lengths: dict, zoom: int) -> np.ndarray:
    mask = 255 * coco_mask.decode(run_lengths)
    return cv2.resize(mask, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR) > 127


_GIF_WIDTH = 1200  # largest width of an animation in pixels
_GIF_FPS = 6.0


@dataclass(frozen=True)
class GroundTruth:
    """The ground truth of T frames.

    Attributes:
        masks: bool (N, T, H, W), of N objects at the size of the stored frames.
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
        sample: a data sample with predictions of any tasks.
        images: its T stored frames, uint8 RGB (H, W, 3); T is 1 for an image.
        vocabulary: the words that the labels index.
        truth: the ground truth; None: without this panel.
        min_score: instances with a lower score are left out.
        palette: "default" or "colorblind".

    Returns:
        T pictures, uint8 RGB, by task name.
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
        """The frame with masks, and with the prompts of an interactive task; None: the frame without masks."""
        picture = self.image
        if segments is not None:
            picture = render(
                picture,
                enlarge_segments(segments, self.zoom),
                min_score=min_score,
                palette=self.palette,
                labels=task is not Task.INTERACTIVE,
                zoom=self.zoom,
            )
        if task is Task.INTERACTIVE:
            if "boxes" in self.prompts:
                picture = draw_boxes(picture, self.prompts["boxes"], self.palette)
            if "points" in self.prompts:
                picture = draw_clicks(picture, self.prompts["points"], palette=self.palette)
        return picture


def write_sample(drawn: dict[str, list[np.ndarray]], folder: str | Path, name: str) -> list[Path]:
    """Write the pictures of :func:`draw_sample` to ``folder/<task>/<name>.png``, and for a video also to a ``.gif``.

    Args:
        drawn: pictures by task name; for a video the PNG shows up to nine frames.
        folder: created if missing.
        name: file name without suffix; made safe, as it may come from an annotation.

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
    """Points and boxes in pixels of the enlarged image; the sample has them in pixels of the model's input."""
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
