"""Results as pictures of the size of the input, without panels around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mmdet.structures import DetDataSample, TrackDataSample

from omgseg.apis.inputs import Clip
from omgseg.structures import Task, Vocabulary
from omgseg.visualization import draw_predictions, write_png, write_video_gif


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
        for task, picture in draw_predictions(frame, image, vocabulary, min_score).items():
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
