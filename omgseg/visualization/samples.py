"""A data sample's predictions as pictures: every task that was predicted, frame by frame, beside the ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmdet.evaluation.functional import INSTANCE_OFFSET
from mmdet.structures import DetDataSample, TrackDataSample
from pycocotools import mask as coco_mask

from omgseg.structures import Task, Vocabulary
from omgseg.structures.png import write_png
from omgseg.visualization.files import write_video_gif
from omgseg.visualization.maps import draw_objects, draw_panoptic, draw_semantic
from omgseg.visualization.masks import draw_instances, draw_prompts
from omgseg.visualization.panels import contact_sheet, panels

_GIF_WIDTH = 1200  # pixels; wider animations are shrunk


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
) -> dict[str, list[np.ndarray]]:
    """Draw input, ground truth and prediction side by side.

    Args:
        sample: with predictions of any tasks.
        images: its T frames as stored, uint8 RGB (H, W, 3); T is 1 for an image.
        vocabulary: of the labels.
        truth: the panel is left out if None.

    Returns:
        Task name to T pictures, uint8 RGB.
    """
    frames = getattr(sample, "video_data_samples", None) or [sample]
    drawn: dict[str, list[np.ndarray]] = {}
    for t, (frame, image) in enumerate(zip(frames, images, strict=True)):
        for task, prediction in draw_predictions(frame, image, vocabulary).items():
            columns = [("input", _draw_input(frame, image, task))]
            if truth is not None:
                columns.append(("ground truth", _draw_truth(task, frame, image, vocabulary, truth, t)))
            columns.append((f"prediction: {task.value}", prediction))
            drawn.setdefault(task.value, []).append(panels(columns))
    return drawn


def write_sample(drawn: dict[str, list[np.ndarray]], folder: str | Path, name: str) -> list[Path]:
    """Write what :func:`draw_sample` drew as ``folder/<task>/<name>.png``; a video also gets a ``.gif``.

    Args:
        drawn: task name to pictures; of a video the PNG shows up to nine frames.
        folder: created if missing.
        name: file name without ending.

    Returns:
        The files.
    """
    files = []
    for task, pictures in drawn.items():
        file = Path(folder) / task / f"{name}.png"
        write_png(file, contact_sheet(pictures, columns=1))
        files.append(file)
        if len(pictures) > 1:
            files.append(file.with_suffix(".gif"))
            write_video_gif(files[-1], [_shrink(picture, _GIF_WIDTH) for picture in pictures])
    return files


def draw_predictions(
    frame: DetDataSample, image: np.ndarray, vocabulary: Vocabulary, min_score: float = 0.3
) -> dict[Task, np.ndarray]:
    """Draw each task that was predicted over the image.

    Args:
        frame: an image's sample, or that of a video's frame.
        image: as stored, uint8 RGB (H, W, 3).
        vocabulary: of the labels.
        min_score: instances below are left out.

    Returns:
        One picture a task, uint8 RGB.
    """
    drawn = {}
    if "pred_panoptic_seg" in frame:
        drawn[Task.PANOPTIC] = draw_panoptic(image, _map(frame.pred_panoptic_seg), vocabulary)
    if "pred_sem_seg" in frame:
        drawn[Task.SEMANTIC] = draw_semantic(image, _map(frame.pred_sem_seg), vocabulary)
    if "pred_vos_seg" in frame:
        drawn[Task.VOS] = draw_objects(image, _map(frame.pred_vos_seg))
    if "prompts" in frame:
        drawn[Task.INTERACTIVE] = draw_prompts(
            image, frame.pred_instances.masks.cpu().numpy(), **_prompts(frame)
        )
    elif "pred_instances" in frame:
        found = frame.pred_instances
        masks = found.masks.cpu().numpy()
        labels, scores = found.labels.cpu().numpy(), found.scores.cpu().numpy()
        drawn[Task.INSTANCE] = draw_instances(image, masks, labels, vocabulary, scores, min_score=min_score)
    if "pred_track_instances" in frame:
        found = frame.pred_track_instances
        drawn[Task.INSTANCE] = draw_instances(
            image,
            [coco_mask.decode(run_lengths) for run_lengths in found.masks],
            found.labels.cpu().numpy(),
            vocabulary,
            found.scores.cpu().numpy(),
            found.instances_id.cpu().numpy(),
            min_score,
        )
    return drawn


def _draw_input(frame: Any, image: np.ndarray, task: Task) -> np.ndarray:
    if task is Task.INTERACTIVE:
        return draw_prompts(image, np.zeros((0, *image.shape[:2]), bool), **_prompts(frame))
    return image


def _draw_truth(
    task: Task, frame: Any, image: np.ndarray, vocabulary: Vocabulary, truth: GroundTruth, t: int
) -> np.ndarray:
    masks, labels = truth.masks[:, t].astype(bool), truth.labels
    numbers = np.arange(1, len(masks) + 1)
    if task is Task.PANOPTIC:
        things = np.isin(labels, np.arange(vocabulary.num_things))
        values = labels + INSTANCE_OFFSET * np.where(things, numbers, 0)
        return draw_panoptic(image, _flatten(masks, values, len(vocabulary)), vocabulary)
    if task is Task.SEMANTIC:
        return draw_semantic(image, _flatten(masks, labels, -1), vocabulary)
    if task is Task.INSTANCE:
        things = np.flatnonzero(labels < vocabulary.num_things)
        return draw_instances(image, masks[things], labels[things], vocabulary, identities=numbers[things])
    if task is Task.VOS:
        return draw_objects(image, _flatten(masks, numbers, 0))
    return draw_prompts(image, masks, **_prompts(frame))


def _flatten(masks: np.ndarray, values: np.ndarray, background: int) -> np.ndarray:
    """One map (H, W) with `values[i]` under `masks[i]`."""
    flat = np.full(masks.shape[1:], background, np.int64)
    for mask, value in zip(masks, values, strict=True):
        flat[mask] = value
    return flat


def _prompts(frame: Any) -> dict[str, np.ndarray]:
    """Points or boxes in pixels of the stored image; the sample has them in those of the resized one."""
    scale = np.asarray(frame.metainfo.get("scale_factor", (1.0, 1.0)), np.float32)
    return {
        kind: value.cpu().numpy() / np.tile(scale, value.shape[1] // 2)
        for kind, value in frame.prompts.items()
        if kind in ("points", "boxes")
    }


def _map(data: Any) -> np.ndarray:
    return data.sem_seg[0].cpu().numpy()


def _shrink(image: np.ndarray, width: int) -> np.ndarray:
    if image.shape[1] <= width:
        return image
    height = round(image.shape[0] * width / image.shape[1])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
