"""Segments of the frames of one video."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import numpy as np

from omgseg.structures.segments import Segments
from omgseg.structures.vocabulary import Vocabulary

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

_ALIKE = ("task", "size", "vocabulary")
S = TypeVar("S", bound=Segments)


class VideoSegments(Sequence[S], Generic[S]):
    """The segments of the frames of one video, in their order.

    It stays small: masks are run lengths, and frames that can be read from a file again do not keep their pixels.

    Args:
        frames: of the same task, size and vocabulary. An identity is the same object in all of them. Those without a
            number get that of their place.
        fps: frames per second; None if unknown.
        path: the video file, or the folder of frames; None for arrays and streams.
        name: default: that of the file or folder without its ending.

    Attributes:
        frames: the segments of each frame, a tuple.

    Raises:
        ValueError: the frames are not those of one video.
    """

    def __init__(
        self,
        frames: Iterable[S],
        fps: float | None = None,
        path: str | Path | None = None,
        name: str | None = None,
    ) -> None:
        self.path = None if path is None else Path(path)
        self.fps = None if fps is None else float(fps)
        self.name = name if name is not None else "" if self.path is None else self.path.stem
        self.frames = tuple(_slim(frame, index) for index, frame in enumerate(frames))
        for index, frame in enumerate(self.frames):
            for field in _ALIKE:
                found, first = getattr(frame, field), getattr(self.frames[0], field)
                if found != first:
                    raise ValueError(
                        f"the {field} of frame {index} is {found}, that of the first one {first}: these are not "
                        "frames of one video"
                    )

    @overload
    def __getitem__(self, index: int) -> S: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> S | Self:
        return self._with(self.frames[index]) if isinstance(index, slice) else self.frames[index]

    def __len__(self) -> int:
        return len(self.frames)

    def __eq__(self, other: object) -> bool:
        """The same content; the pixels do not matter."""
        if not isinstance(other, VideoSegments):
            return NotImplemented
        content = (self.fps, self.path, self.name, self.frames)
        return content == (other.fps, other.path, other.name, other.frames)

    __hash__ = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {len(self)} frames, {len(self.ids)} identities)"

    @property
    def ids(self) -> np.ndarray:
        """int64 (M,): the identities that occur, rising."""
        return np.unique(np.concatenate([np.zeros(0, np.int64), *(frame.ids for frame in self.frames)]))

    @property
    def vocabulary(self) -> Vocabulary:
        """What the labels of all frames mean; empty without frames."""
        return self.frames[0].vocabulary if self.frames else Vocabulary()

    def confident(self, min_score: float) -> Self:
        """The same video with the segments of at least this score."""
        return self._with(frame.confident(min_score) for frame in self.frames)

    def _with(self, frames: Iterable[S]) -> Self:
        return type(self)(frames, self.fps, self.path, self.name)


def _slim(frame: S, index: int) -> S:
    """Without pixels that can be read from a file again, and with a number."""
    changes: dict[str, Any] = {} if frame.path is None else {"image": None}
    if frame.frame_index is None:
        changes["frame_index"] = index
    return frame.replace(**changes) if changes else frame
