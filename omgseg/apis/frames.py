"""One frame of what is segmented."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Frame:
    """An image, or a frame of a video.

    Attributes:
        image: RGB uint8 (H, W, 3).
        path: the image file, or the video file; None for arrays, cameras and streams.
        name: the image's file name without its ending; of a frame of a video file its number.
        index: number in the video, from 0; a live stream counts the frames that were dropped, too. 0 for images.
        time: in seconds from the start of the video, where known.
    """

    image: np.ndarray
    path: Path | None
    name: str
    index: int = 0
    time: float | None = None
