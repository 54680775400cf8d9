"""Results as pictures of the size of the input, without panels around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mmdet.structures import DetDataSample, TrackDataSample
from pycocotools import mask as coco_mask

from omgseg.apis.export import original_prompts
from omgseg.apis.inputs import Clip
from omgseg.structures import Task, Vocabulary
from omgseg.visualization import (
    draw_instances,
    draw_objects,
    draw_panoptic,
    draw_prompts,
    draw_semantic,
    write_png,
    write_video_gif,
)


def write_pictures(
    folder: str | Path,
    name: str,
    clip: Clip,
    sample: DetDataSample | TrackDataSample,
    vocabulary: Vocabulary,
    min_score: float = 0.3,
) -> list[Path]:
    """Draw a result over its input.

    Args:
        folder: gets ``<task>/<name>.png``; for a video ``<task>/<name>/<frame>.png`` and ``<task>/<name>.gif``.
        name: of the image or video.
        clip: the input of `sample`.
        sample: on the CPU, with predictions of any tasks.
        vocabulary: of the labels.
        min_score: instances below are not drawn.

    Returns:
        The files.
    """
    folder, files = Path(folder), []
    frames = sample.video_data_samples if clip.is_video else [sample]
    drawn: dict[Task, list[np.ndarray]] = {}
    for frame, image in zip(frames, clip.frames, strict=True):
        for task, picture in draw_frame(frame, image, vocabulary, min_score).items():
            drawn.setdefault(task, []).append(picture)
    stems = [f"{name}/{frame_name}" for frame_name in clip.frame_names] if clip.is_video else [name]
    for task, pictures in drawn.items():
        for stem, picture in zip(stems, pictures, strict=True):
            files.append(folder / task.value / f"{stem}.png")
            write_png(files[-1], picture)
        if clip.is_video:
            files.append(folder / task.value / f"{name}.gif")
            write_video_gif(files[-1], pictures)
    return files


def draw_frame(
    frame: DetDataSample, image: np.ndarray, vocabulary: Vocabulary, min_score: float = 0.3
) -> dict[Task, np.ndarray]:
    """One picture, uint8 RGB, for each task that was predicted. See :func:`write_pictures`."""
    drawn = {}
    if "pred_panoptic_seg" in frame:
        drawn[Task.PANOPTIC] = draw_panoptic(image, frame.pred_panoptic_seg.sem_seg[0].numpy(), vocabulary)
    if "pred_sem_seg" in frame:
        drawn[Task.SEMANTIC] = draw_semantic(image, frame.pred_sem_seg.sem_seg[0].numpy(), vocabulary)
    if "pred_vos_seg" in frame:
        drawn[Task.VOS] = draw_objects(image, frame.pred_vos_seg.sem_seg[0].numpy())
    if "prompts" in frame:
        kind, prompts = original_prompts(frame)
        drawn[Task.INTERACTIVE] = draw_prompts(
            image, frame.pred_instances.masks.numpy(), **{kind: prompts.numpy()}
        )
    elif "pred_instances" in frame:
        found = frame.pred_instances
        drawn[Task.INSTANCE] = draw_instances(
            image,
            found.masks.numpy(),
            found.labels.tolist(),
            vocabulary,
            found.scores.tolist(),
            min_score=min_score,
        )
    if "pred_track_instances" in frame:
        shown = frame.pred_track_instances.scores >= min_score
        found = frame.pred_track_instances[shown]
        drawn[Task.INSTANCE] = draw_instances(
            image,
            [coco_mask.decode(mask) for mask in found.masks],
            found.labels.tolist(),
            vocabulary,
            found.scores.tolist(),
            found.instances_id.tolist(),
            min_score,
        )
    return drawn
