"""The frames of a video from any place, without keeping them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from omgseg.apis.frames import Frame
from omgseg.apis.sources import Source, SourceInput, open_source


class FrameReader:
    """Reads parts of one video.

    Folders, lists and arrays are read where they are asked for. Video files are decoded from their start, since
    their own index is not to be trusted; who goes on where the last part ended pays nothing for that.

    Args:
        source: a video file, a folder of frames, a video uint8 (T, H, W, 3), a list of frames.

    Attributes:
        in_memory: the pixels are the caller's, and stay there anyway.

    Raises:
        ValueError: a camera or another live stream, which has no frames to go back to.
    """

    def __init__(self, source: SourceInput | Source) -> None:
        opened = open_source(source, as_video=True)
        if opened.is_live:
            raise ValueError(
                f"{opened.name} is live: there is no going back in it; record it to a file first"
            )
        self.name, self.fps, self.path = opened.name, opened.fps, opened.path
        images = opened.images
        self.in_memory = images is not None and not any(isinstance(image, (str, Path)) for image in images)
        self._source = opened
        self._length = None if images is None else len(images)
        self._frames: Iterator[Frame] = iter(())
        self._next = -1

    def frame(self, index: int) -> Frame:
        """One frame.

        Raises:
            IndexError: the video has no such frame.
            OSError, ValueError: it cannot be read.
        """
        for frame in self.read(index, index + 1):
            return frame
        raise IndexError(f"{self.name} has no frame {index}")

    def read(self, start: int, stop: int | None = None) -> Iterator[Frame]:
        """Frames from `start` to before `stop`, or to the end.

        Raises:
            IndexError: `start` is negative.
            OSError, ValueError: a frame cannot be read.
        """
        if start < 0:
            raise IndexError(f"frames are counted from 0; there is no frame {start}")
        past_end = self._length is not None and start >= self._length
        if past_end or (stop is not None and stop <= start):
            return
        if self._source.images is not None:
            part = open_source(self._source.images[start:stop], as_video=True)
            for index, frame in enumerate(part, start):
                name = frame.name if frame.path is not None else f"{index:05d}"
                yield replace(frame, name=name, index=index)
            return
        if start < self._next or self._next < 0:
            self._frames, self._next = iter(self._source), 0
        try:
            for frame in self._frames:
                self._next = frame.index + 1
                if frame.index >= start:
                    yield frame
                if self._next == stop:
                    return
        except Exception:
            self._next = -1
            raise
        self._length, self._next = self._next, -1  # the iterator has no more to give
