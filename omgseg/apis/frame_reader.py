"""The frames of a video from any place, without keeping them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from omgseg.apis.frames import Frame
from omgseg.apis.inputs import list_images
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
        self.in_memory = isinstance(source, np.ndarray)
        self._source = opened
        self._images: Sequence | None = None
        if isinstance(source, (str, Path)) and opened.path is not None and opened.path.is_dir():
            self._images = list_images(opened.path)
        elif isinstance(source, np.ndarray) or (isinstance(source, Sequence) and not isinstance(source, str)):
            self._images = source
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
        if self._images is not None:
            yield from self._read_images(start, stop)
            return
        if start < self._next or self._next < 0:
            self._frames, self._next = iter(self._source), 0
        for frame in islice(self._frames, start - self._next, None if stop is None else stop - self._next):
            self._next = frame.index + 1
            yield frame

    def _read_images(self, start: int, stop: int | None) -> Iterator[Frame]:
        part = self._images[start:stop]
        if not len(part):
            return
        for index, frame in enumerate(open_source(part, as_video=True), start):
            name = frame.name if frame.path is not None else f"{index:05d}"
            yield Frame(frame.image, frame.path, name, index)
