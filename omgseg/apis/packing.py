"""From an input's pixels to what the model gets, through the transforms of the test pipelines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omgseg.apis.inputs import Clip
from omgseg.datasets.transforms import PackClip, Resize
from omgseg.structures import NO_CLASS

SOURCE = "input"


def pack_clip(
    clip: Clip, tasks: Sequence[str], resize: Resize, first_masks: np.ndarray | None = None
) -> dict[str, Any]:
    """Resize and pack.

    Args:
        clip: the input.
        tasks: values of :class:`~omgseg.structures.Task`.
        resize: the test size.
        first_masks: integers (H, W), numbers of the objects to follow in the first frame, 0 is background.

    Returns:
        ``inputs``, uint8 (T, 3, h, w), and ``data_samples``, a DetDataSample or, for a video, a TrackDataSample.
    """
    frames = [{"frame_id": index, "img_id": index} for index in range(len(clip.frames))]
    for frame, path in zip(frames, clip.paths):
        frame["img_path"] = str(path)
    results: dict[str, Any] = dict(
        imgs=clip.frames,
        frames=frames,
        is_video=clip.is_video,
        video_id=clip.name,
        video_length=len(clip.frames),
        ori_shape=clip.shape,
        img_shape=clip.shape,
        scale_factor=(1.0, 1.0),
        flip=False,
        tasks=tuple(tasks),
        source=SOURCE,
    )
    if first_masks is not None:
        results.update(_objects(first_masks, clip))
    return PackClip().transform(resize.transform(results))


def _objects(object_map: np.ndarray, clip: Clip) -> dict[str, np.ndarray]:
    if object_map.shape != clip.shape:
        raise ValueError(
            f"the first frame's mask is {object_map.shape[1]}x{object_map.shape[0]}, the frames of {clip.name} are "
            f"{clip.shape[1]}x{clip.shape[0]} (width x height)"
        )
    numbers = np.unique(object_map)
    numbers = numbers[numbers > 0].astype(np.int64)
    if not len(numbers):
        raise ValueError("the first frame's mask is empty: it has no number above 0")
    return {
        "gt_masks": (object_map == numbers[:, None, None]).astype(np.uint8)[:, None],
        "gt_labels": np.full(len(numbers), NO_CLASS, np.int64),
        "gt_instance_ids": numbers,
    }
