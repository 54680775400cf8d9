"""The pixels of a video's frames, read from where the video came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from omgseg.apis.inputs import VIDEO_SUFFIXES

if TYPE_CHECKING:
    from omgseg.apis.results.video import VideoResult


def read_frames(video: VideoResult) -> Iterator[np.ndarray | None]:
    """See :meth:`VideoResult.images`. A video file is decoded once, from its start, a frame at a time."""
    paths = [video.path, *(frame.path for frame in video.frames[:1])]
    files = [path for path in paths if path is not None and path.suffix.lower() in VIDEO_SUFFIXES]
    if not files:
        for frame in video.frames:
            yield frame.image
        return
    from omgseg.apis.sources import open_source  # PyAV, for the results of video files only

    decoded = iter(open_source(files[0]))
    for frame in video.frames:
        shown = next((each for each in decoded if each.index == frame.frame_index), None)
        if shown is None:
            raise ValueError(f"{files[0]} has no frame {frame.frame_index}; it is another file by now")
        if shown.image.shape[:2] != frame.size:
            raise ValueError(
                f"{files[0]}: frames of {shown.image.shape[:2]} pixels (H, W), the result was made of {frame.size}"
            )
        yield shown.image
