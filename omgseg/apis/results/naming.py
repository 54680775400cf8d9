"""Names of images in the files of other tools."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from omgseg.files import safe_name, safe_path, unique_name
from omgseg.structures.images import IMAGE_SUFFIXES
from omgseg.structures.segments import Segments

if TYPE_CHECKING:
    from omgseg.apis.results.video import VideoResult


def image_name(result: Segments, root: Path | None = None) -> str:
    """The image of a result: its file, below `root` where it lies there; frames of video files and images without a
    file are called by their names, frames in a folder ``<video>/<frame>``.
    """
    if result.path is None:
        return result.name
    if result.path.suffix.lower() not in IMAGE_SUFFIXES:
        return f"{result.path.stem}/{result.name or f'{result.frame_index or 0:06d}'}"
    if root is not None and result.path.is_relative_to(root):
        return result.path.relative_to(root).as_posix()
    return result.path.as_posix()


class FileNames:
    """Names of the files that a writer makes in its folder, one per image, each once and safe."""

    def __init__(self, suffix: str, root: Path | None) -> None:
        self._suffix = suffix
        self._root = root
        self._used: set[str] = set()

    def of(self, result: Segments | VideoResult) -> Iterator[tuple[Segments, str]]:
        """An image or a frame with its new name, or all frames of a video, which lie in a folder."""
        if isinstance(result, Segments):
            yield result, self._new(result)
        else:
            for frame in result:
                yield frame, self._new(frame, result.name)

    def _new(self, result: Segments, video: str | None = None) -> str:
        """A relative name with the suffix; with a number behind it where the name is taken.

        Args:
            video: the name of the video of this frame; its frames are named ``<video>/<frame>``.
        """
        if video is None:
            name = image_name(result, self._root)
            ending = PurePosixPath(name).suffix
            if ending.lower() in IMAGE_SUFFIXES:
                name = name.removesuffix(ending)
            path = safe_path(name, "image")
        else:
            frame = safe_name(result.name, f"{result.frame_index or 0:06d}")
            path = PurePosixPath(safe_name(video, "video"), frame)
        return unique_name(str(path), self._used) + self._suffix
