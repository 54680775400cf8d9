"""The pixels of a video's frames, read from where the video came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from omgseg.apis.results.video import VideoResult


def read_frames(video: VideoResult) -> Iterator[np.ndarray | None]:
    """See :meth:`VideoResult.images`. A video file is decoded once, from its start, a frame at a time."""
    if video.path is None or not video.path.is_file():
        for frame in video.frames:
            yield frame.image
        return
    from omgseg.apis.sources import open_source

    decoded = iter(open_source(video.path))
    for frame in video.frames:
        shown = next((each for each in decoded if each.index == frame.frame_index), None)
        if shown is None:
            raise ValueError(f"{video.path} has no frame {frame.frame_index}; it is another file by now")
        if shown.image.shape[:2] != frame.size:
            raise ValueError(
                f"{video.path}: frames of {shown.image.shape[:2]} pixels (H, W), the result was made of {frame.size}"
            )
        yield shown.image
