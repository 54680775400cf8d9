"""From an input's pixels to what the model gets, through the transforms of the test pipelines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omgseg.apis.inputs import Clip
from omgseg.apis.objects import GivenObjects
from omgseg.datasets.transforms import PackClip, Resize
from omgseg.structures import NO_CLASS

SOURCE = "input"


def pack_clip(
    clip: Clip, tasks: Sequence[str], resize: Resize, objects: GivenObjects | None = None
) -> dict[str, Any]:
    """Resize and pack.

    Args:
        clip: the input.
        tasks: values of :class:`~omgseg.structures.Task`.
        resize: the test size.
        objects: to follow, as the first frame shows them.

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
    if objects is not None:
        objects.check_size(clip.shape)
        results["gt_masks"] = objects.masks.astype(np.uint8)[:, None]
        results["gt_labels"] = np.full(len(objects.ids), NO_CLASS, np.int64)
        results["gt_instance_ids"] = objects.ids
    return PackClip().transform(resize.transform(results))
