"""What a model found in a video."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from omgseg.apis.results import json_file, pictures, tables
from omgseg.apis.results.categories import CategoryTable
from omgseg.apis.results.coco import coco_content
from omgseg.apis.results.frames import read_frames
from omgseg.apis.results.panoptic import write_panoptic
from omgseg.apis.results.result import SegmentationResult
from omgseg.apis.results.youtube_vis import tracks_of
from omgseg.structures import Vocabulary

if TYPE_CHECKING:
    import pandas

_ALIKE = ("task", "size", "vocabulary")


class VideoResult(Sequence[SegmentationResult]):
    """The results of the frames of one video, in their order.

    It stays small: masks are run lengths, and frames that can be read from a file again do not keep their pixels.

    Args:
        frames: of the same task, size and vocabulary. An identity is the same object in all of them. Those without a
            number get that of their place.
        fps: frames a second; None if unknown.
        path: the video file, or the folder of frames; None for arrays and streams.
        name: default: that of the file or folder without its ending.

    Attributes:
        frames: the results, a tuple.

    Raises:
        ValueError: the frames are not those of one video.
    """

    def __init__(
        self,
        frames: Iterable[SegmentationResult],
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
                own, first = getattr(frame, field), getattr(self.frames[0], field)
                if own != first:
                    raise ValueError(
                        f"the {field} of frame {index} is {own}, that of the first one {first}: these are not "
                        "frames of one video"
                    )

    @overload
    def __getitem__(self, index: int) -> SegmentationResult: ...
    @overload
    def __getitem__(self, index: slice) -> VideoResult: ...
    def __getitem__(self, index: int | slice) -> SegmentationResult | VideoResult:
        if isinstance(index, slice):
            return VideoResult(self.frames[index], self.fps, self.path, self.name)
        return self.frames[index]

    def __len__(self) -> int:
        return len(self.frames)

    def __eq__(self, other: object) -> bool:
        """The same content; the pixels do not matter."""
        if not isinstance(other, VideoResult):
            return NotImplemented
        own = (self.fps, self.path, self.name, self.frames)
        return own == (other.fps, other.path, other.name, other.frames)

    __hash__ = None

    def __repr__(self) -> str:
        return f"VideoResult({self.name!r}, {len(self)} frames, {len(self.ids)} identities)"

    @property
    def ids(self) -> np.ndarray:
        """int64 (M,): the identities that occur, rising."""
        return np.unique(np.concatenate([np.zeros(0, np.int64), *(frame.ids for frame in self.frames)]))

    @property
    def vocabulary(self) -> Vocabulary:
        """What the labels of all frames mean; empty without frames."""
        return self.frames[0].vocabulary if self.frames else Vocabulary()

    def confident(self, min_score: float) -> VideoResult:
        """A result of the segments with at least this score."""
        frames = [frame.confident(min_score) for frame in self.frames]
        return VideoResult(frames, self.fps, self.path, self.name)

    def images(self) -> Iterator[np.ndarray | None]:
        """The pixels of each frame, RGB uint8 (H, W, 3), read from the files again; None where there are none.

        Raises:
            OSError, ValueError: the files are gone, broken, or others by now.
        """
        return read_frames(self)

    def draw(self, **style: Any) -> Iterator[np.ndarray]:
        """Draw the segments over each frame.

        Args:
            style: see :func:`omgseg.visualization.render`.

        Yields:
            RGB uint8 (H, W, 3), one a frame.
        """
        for frame, image in zip(self.frames, self.images(), strict=True):
            yield frame.draw(image, **style)

    def save(self, path: str | Path, **style: Any) -> Path:
        """Write a film (``.mp4``, ``.gif``), a folder of PNGs (no ending), or everything but the pixels (``.json``).

        Args:
            path: missing folders are created; files appear complete or not at all.
            style: of the pictures, see :func:`omgseg.visualization.render`.

        Returns:
            The path.

        Raises:
            ValueError: another ending, or a film without frames.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix == ".json":
            json_file.write_video(path, self)
        elif suffix in pictures.FILM_SUFFIXES:
            if not len(self):
                raise ValueError(f"{path}: a video without frames cannot be a film")
            pictures.write_film(path, self.draw(**style), self.fps)
        elif not suffix or path.is_dir():
            pictures.write_folder(path, self.frames, self.draw(**style))
        else:
            endings = ", ".join([*pictures.FILM_SUFFIXES, ".json"])
            raise ValueError(f"{path}: a video's result is saved as {endings} or a folder, not as {suffix!r}")
        return path

    @classmethod
    def load(cls, path: str | Path) -> VideoResult:
        """Read what :meth:`save` wrote as ``.json``; equal to the saved result.

        Raises:
            FileNotFoundError: no such file.
            ValueError: it holds something else; names the field.
        """
        return json_file.read_video(path, cls)

    def to_coco(self) -> dict[str, Any]:
        """The content of a COCO file whose images are the frames; see :meth:`SegmentationResult.to_coco`."""
        return coco_content(self, self.vocabulary)

    def to_coco_panoptic(self, folder: str | Path) -> Path:
        """Write ``panoptic.json`` and ``panoptic/<name>/<frame>.png`` into a folder; returns the JSON file."""
        return write_panoptic(folder, self, self.vocabulary)

    def to_youtube_vis(self, video_id: int = 1) -> list[dict[str, Any]]:
        """A result list as the YouTube-VIS servers take it, by falling score.

        Args:
            video_id: of this video in the dataset.

        Returns:
            ``video_id``, ``category_id``, ``score`` and ``segmentations`` (one a frame, None where not seen) of each
            track. Category ids are those of the vocabulary, or positions + 1 where it has none.
        """
        return list(tracks_of(self, video_id, CategoryTable(self.vocabulary)))

    def to_dataframe(self) -> pandas.DataFrame:
        """One row a segment and frame; see :meth:`SegmentationResult.to_dataframe`."""
        return tables.to_dataframe(self)


def _slim(frame: SegmentationResult, index: int) -> SegmentationResult:
    """Without pixels, which :meth:`VideoResult.images` can read again, and with a number."""
    changes: dict[str, Any] = {} if frame.path is None else {"image": None}
    if frame.frame_index is None:
        changes["frame_index"] = index
    return frame.replace(**changes) if changes else frame
