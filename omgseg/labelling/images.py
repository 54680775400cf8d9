"""The images and videos to label, their names, and their division into shards."""

from __future__ import annotations

import glob
import os
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from omgseg.inference.sources import is_video_input, list_images, list_videos, match_files, natural_key
from omgseg.inference.video_files import VIDEO_SUFFIXES
from omgseg.structures.images import IMAGE_SUFFIXES


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of the images, numbered from 1."""

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read a text such as "2/8".

        Raises:
            ValueError: the text is not a shard.
        """
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        shard = cls(*map(int, match.groups())) if match else cls(0, 0)
        if not 1 <= shard.number <= shard.count:
            raise ValueError(f"a shard must be i/n with 1 <= i <= n, for example 2/8, not {text!r}")
        return shard

    def has(self, name: str) -> bool:
        """Whether the image of this name is in this shard.

        This depends on the name alone, so images that are added later move no image to another shard.
        """
        return zlib.crc32(name.encode()) % self.count == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def collect_images(sources: Sequence[str]) -> dict[str, Path]:
    """Find the images of files, folders (with their sub-folders) and globs.

    Returns:
        Paths by name, in the order of the names. For a single folder the names are relative to it, as COCO's
        ``file_name`` is to a dataset's image folder; for several sources they are the paths as given.

    Raises:
        FileNotFoundError: a source does not exist, or has no images.
        ValueError: a source is an empty text.
    """
    return _collect(sources, _expand_images)


def collect_videos(sources: Sequence[str]) -> dict[str, Path]:
    """Find the videos of files, globs of files, and folders with their sub-folders; a folder with images is one, too.

    Returns:
        Paths by name, as :func:`collect_images` names them.

    Raises:
        FileNotFoundError: a source does not exist, or has no videos.
        ValueError: a source is an empty text.
    """
    return _collect(sources, _expand_videos)


def _collect(sources: Sequence[str], expand: Callable[[Path], list[Path]]) -> dict[str, Path]:
    alone = len(sources) == 1 and Path(sources[0]).expanduser().is_dir()
    found: dict[str, Path] = {}
    for source in sources:
        if not source:
            raise ValueError("a source is empty; '.' is the current folder")
        root = Path(source).expanduser()
        for path in expand(root):
            name = path.relative_to(root) if alone and path != root else path
            found.setdefault(_shown(name.as_posix()), path)
    return {name: found[name] for name in in_order(found)}


def in_order(names: Iterable[str]) -> list[str]:
    """Names sorted so that numbers are compared by their value: 2 before 10."""
    return sorted(names, key=natural_key)


def _shown(name: str) -> str:
    """A file name as UTF-8 text; bytes that are not UTF-8 are escaped as ``\\xe9``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _expand_images(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if path.is_dir():
        return list_images(path, recursive=True)
    if glob.has_magic(str(path)):
        return match_files(path, IMAGE_SUFFIXES)
    raise FileNotFoundError(f"{path} not found; a source is an image, a folder of images, or a glob")


def _expand_videos(path: Path) -> list[Path]:
    if path.is_dir():
        return list_videos(path)
    if path.is_file() and is_video_input(path):
        return [path]
    if glob.has_magic(str(path)):
        return match_files(path, VIDEO_SUFFIXES)
    found = "is not a video" if path.exists() else "not found"
    raise FileNotFoundError(
        f"{path} {found}; a source is a video, a folder of videos or of frames, or a glob"
    )
