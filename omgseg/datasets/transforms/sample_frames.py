"""Choosing the frames of a training clip."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from omgseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SampleFrames(BaseTransform):
    """Pick a clip out of a video: frames in order of time, at a random start and a random equal distance.

    A video too short for the distance takes a smaller one; one with fewer frames than the clip repeats its
    last.

    Args:
        num_frames: frames of a clip.
        interval: the largest distance between consecutive frames of a clip.
    """

    def __init__(self, num_frames: int = 2, interval: int = 1) -> None:
        if num_frames < 1 or interval < 1:
            raise ValueError(
                f"SampleFrames: num_frames {num_frames} and interval {interval} must be at least 1"
            )
        self.num_frames = num_frames
        self.interval = interval

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        frames = results["frames"]
        steps = max(self.num_frames - 1, 1)
        step = np.random.randint(1, self.interval + 1)
        step = max(min(step, (len(frames) - 1) // steps), 1)
        start = np.random.randint(max(len(frames) - step * steps, 1))
        indices = np.minimum(start + step * np.arange(self.num_frames), len(frames) - 1)
        results["frames"] = [frames[index] for index in indices]
        return results
