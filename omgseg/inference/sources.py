"""Input sources: images, many images, videos, cameras and streams, read one frame at a time.

:func:`open_source` recognizes the kind of an input, :class:`Source` reads it from the start, and :class:`FrameReader`
reads any part of a video. A folder stands for its images and those of its sub-folders; as a video, only for the images
directly in it.
"""

from __future__ import annotations

import glob
import io
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import torch
from PIL import Image

from omgseg.inference.pixels import ImageInput, described, to_image, to_video
from omgseg.inference.video_files import (
    VIDEO_SUFFIXES,
    Frame,
    is_video_file,
    probe_video,
    read_camera,
    read_video,
    shown_address,
)
from omgseg.structures.images import IMAGE_SUFFIXES

OnError = Callable[[str, Exception], None]
SourceInput = ImageInput | int | Sequence[ImageInput] | Iterator[ImageInput]
LIVE_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "udp", "rtp", "srt")
"""URL schemes of streams that do not wait for the reader."""


@dataclass(frozen=True)
class Source:
    """One image, many images, or a video. Iterating reads it: the pixels of one frame at a time.

    Attributes:
        name: of the image, folder or video.
        read: opens the source and iterates its frames; gets the `on_error` of :meth:`frames`.
        is_video: whether the images are the frames of one video, all of one size.
        is_single: whether it is one image.
        path: the file or folder; None for arrays, generators, cameras and streams.
        fps: frames per second of a video, if known.
        length: number of images or frames, if known; for video files as the container states it, which may be wrong.
        is_live: whether frames arrive without being asked for.
        images: the images, which can be read in any order; None for video files, generators, cameras and streams.
    """

    read: Callable[[OnError | None], Iterator[Frame]]
    name: str
    is_video: bool = False
    is_single: bool = False
    path: Path | None = None
    fps: float | None = None
    length: int | None = None
    is_live: bool = False
    images: Sequence[ImageInput] | None = None

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(self, on_error: OnError | None = None) -> Iterator[Frame]:
        """Read from the start.

        Args:
            on_error: called with the name of an image that cannot be read, and the error; reading continues with the
                next image. None: the error is raised. A frame of a video that cannot be read always raises.

        Raises:
            OSError, ValueError: an image or frame cannot be read; the message names the file.
        """
        return self.read(on_error)


def open_source(source: SourceInput | Source, as_video: bool = False) -> Source:
    """Open any input of a user.

    Args:
        source: an image file; a video file; a folder of independent images, including its sub-folders, or with
            `as_video` of the frames of one video, without sub-folders; a glob (``"photos/**/*.jpg"``); an RGB image
            uint8 (H, W, 3); a video uint8 (T, H, W, 3); a PIL image; the number of a camera; the URL of a stream; a
            list of images; or a generator of images, which is read once, and as far as results are asked for. How
            other arrays and tensors are read says :mod:`omgseg.inference.pixels`. Whether a file is an image or a
            video is decided by its content, see :func:`~omgseg.inference.video_files.is_video_file`; which files of a
            folder or glob are either, by their endings.
        as_video: whether the images of a folder, list or generator are the frames of one video.

    Raises:
        FileNotFoundError: the file does not exist, or a folder or glob has no images.
        ValueError: an array has another type or shape, a name or list is empty, or a list holds a video.
        TypeError: the input has another type.
    """
    if isinstance(source, Source):
        return source
    if isinstance(source, np.ndarray) and source.ndim == 4:
        return _from_images(list(to_video(source)), "video", is_video=True)
    if isinstance(source, (np.ndarray, torch.Tensor)):
        return _from_images([to_image(source)], "image", is_single=True)
    if isinstance(source, Image.Image):
        return _from_images([source], "image", is_single=True)
    if isinstance(source, int) and not isinstance(source, bool):
        return Source(lambda _: read_camera(source), f"camera{source}", is_video=True, is_live=True)
    if isinstance(source, str) and "://" in source:
        return _from_url(source)
    if isinstance(source, (str, Path)):
        return _from_path(_to_path(source), as_video)
    if isinstance(source, Sequence):
        return _from_list(source, as_video)
    if isinstance(source, Iterator) and not isinstance(source, io.IOBase):
        return _from_iterator(source, as_video)
    raise TypeError(
        "a source is a path, a URL, a camera's number, an RGB array, a tensor, a PIL image, or a list or generator of "
        f"images, not {described(source)}"
    )


def open_images(images: Sequence[ImageInput], name: str = "list", first: int = 0) -> Source:
    """Independent images that :func:`expand` listed, without looking at the folders again.

    Args:
        images: files, arrays and pictures; no videos.
        name: of the source.
        first: number of the first image among all inputs of a call; images without a file are called by their number.
    """
    return _from_images(images, name, first=first)


def expand(source: SourceInput | Source) -> list[ImageInput] | None:
    """List the elements of a list, a glob or a folder with its sub-folders; None for all other sources."""
    if isinstance(source, (str, Path)) and "://" not in str(source):
        path = _to_path(source)
        if path.is_dir():
            return list(list_images(path, recursive=True))
        return list(_matches(path)) if not path.exists() and glob.has_magic(str(path)) else None
    if isinstance(source, Sequence) and not isinstance(source, str):
        if not len(source):
            raise ValueError("the list of inputs is empty")
        return [part for element in source for part in (expand(element) or [element])]
    return None


def is_video_input(source: object) -> bool:
    """Whether an input is a video: an address, the file of a video, or an array (T, H, W, 3)."""
    if isinstance(source, np.ndarray):
        return source.ndim == 4
    if isinstance(source, str) and "://" in source:
        return True
    return isinstance(source, (str, Path)) and is_video_file(Path(source))


def _to_path(source: str | Path) -> Path:
    if not str(source):
        raise ValueError("the source is empty; '.' is the current folder")
    return Path(source).expanduser()


def _from_path(path: Path, as_video: bool) -> Source:
    if path.is_dir():
        images = list_images(path, recursive=not as_video)
        return _from_images(images, path.resolve().name, path, is_video=as_video)
    if not path.is_file():
        if glob.has_magic(str(path)):
            return _from_list(_matches(path), as_video, _folder_of(path).resolve().name)
        raise FileNotFoundError(
            f"{path} not found; a source is an image, a video, a folder of images or a glob"
        )
    if is_video_input(path):
        fps, length = probe_video(path)
        return Source(lambda _: read_video(path), path.stem, is_video=True, path=path, fps=fps, length=length)
    return _from_images([path], path.stem, path, is_video=as_video, is_single=not as_video)


def _folder_of(pattern: Path) -> Path:
    """The innermost folder of a glob without wildcards in its name."""
    return next(parent for parent in pattern.parents if not glob.has_magic(str(parent)))


def _matches(pattern: Path) -> list[Path]:
    """Image and video files that match a glob."""
    return match_files(pattern, IMAGE_SUFFIXES + VIDEO_SUFFIXES)


def _from_list(inputs: Sequence[ImageInput], as_video: bool, name: str = "list") -> Source:
    entries = expand(inputs)
    for entry in entries:
        if is_video_input(entry):
            if isinstance(entry, str) and "://" in entry:
                _from_url(entry)  # the address of an image has an error of its own
            which = "a video array" if isinstance(entry, np.ndarray) else shown_address(entry)
            raise ValueError(f"{which} is a video among several inputs; open each video by itself")
    return _from_images(entries, name, is_video=as_video)


def _from_url(url: str) -> Source:
    try:
        parts = urlparse(url)
    except ValueError as error:
        raise ValueError(f"{shown_address(url)} is not an address ({error})") from None
    path = Path(parts.path)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise ValueError(f"{shown_address(url)} is the address of an image; download it, then give the file")
    # the name must not hold the password of the address
    return Source(
        lambda _: read_video(url),
        path.stem or parts.hostname or "stream",
        is_video=True,
        is_live=parts.scheme in LIVE_SCHEMES,
    )


def _from_images(
    images: Sequence[ImageInput],
    name: str,
    path: Path | None = None,
    is_video: bool = False,
    is_single: bool = False,
    first: int = 0,
) -> Source:
    def read(on_error: OnError | None) -> Iterator[Frame]:
        return _read_images(images, name if is_single else None, first, is_video, on_error)

    return Source(read, name, is_video, is_single, path, length=len(images), images=images)


def _from_iterator(images: Iterator[ImageInput], as_video: bool) -> Source:
    name, unread = "generator", [images]

    def read(on_error: OnError | None) -> Iterator[Frame]:
        if not unread:
            raise ValueError("a generator gives its images once, and was read already; give a list of them")
        return _read_images(unread.pop(), None, 0, as_video, on_error)

    return Source(read, name, is_video=as_video)


def _read_images(
    images: Iterable[ImageInput], name: str | None, first: int, is_video: bool, on_error: OnError | None
) -> Iterator[Frame]:
    """The images as frames.

    Args:
        name: of images without a file; None: their numbers, the first of which is `first`.
        is_video, on_error: see :class:`Source`.
    """
    shape = None
    for index, image in enumerate(images, first):
        file = Path(image) if isinstance(image, (str, Path)) else None
        image_name = _image_name(image, f"{index:05d}" if name is None else name)
        try:
            pixels = to_image(image)
        except (OSError, ValueError, TypeError) as error:
            if on_error is None or is_video:
                raise
            on_error(str(file or f"input {index}"), error)
            continue
        if is_video:
            shape = shape or pixels.shape
            _check_size(str(file or f"frame {index}"), pixels.shape, shape)
        yield Frame(pixels, file, image_name, index if is_video else 0)


def _image_name(image: ImageInput, default: str) -> str:
    file = image if isinstance(image, (str, Path)) else getattr(image, "filename", "")
    return Path(file).stem if file else default


def _check_size(name: str, shape: tuple[int, ...], first: tuple[int, ...]) -> None:
    if shape != first:
        raise ValueError(
            f"{name} has {shape[1]}x{shape[0]} pixels, the first frame {first[1]}x{first[0]} (width x height): the "
            "frames of a video must agree; leave out as_video to segment the images one by one"
        )


class FrameReader:
    """Reads parts of one video.

    Frames of folders, lists and arrays are read directly. Video files are decoded from their start, as the indexes of
    containers are unreliable; reading on from the last position needs no decoding of earlier frames.

    Args:
        source: a video file, a folder of frames, a video uint8 (T, H, W, 3), a list of frames.

    Attributes:
        in_memory: whether the pixels come from arrays or PIL images of the caller.
        name, fps, path: see :class:`Source`.

    Raises:
        ValueError: the source is live (a camera or stream), so earlier frames cannot be read again.
    """

    def __init__(self, source: SourceInput | Source) -> None:
        opened = open_source(source, as_video=True)
        if opened.is_live:
            raise ValueError(
                f"{opened.name} is live, so earlier frames cannot be read again; record it to a file first"
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
            raise IndexError(f"frames are counted from 0; {self.name} has no frame {start}")
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
        self._length, self._next = self._next, -1  # the iterator is exhausted


def list_images(folder: str | Path, recursive: bool = False) -> list[Path]:
    """The images of a folder in natural order (2 before 10), without hidden files such as ``._a.jpg`` of macOS.

    Args:
        folder: the folder.
        recursive: whether to include its sub-folders. Links are followed, each folder is read once, and hidden folders
            are left out.

    Raises:
        FileNotFoundError: the folder has no images; the message counts its videos.
    """
    folder = Path(folder)
    folders = _walk(folder) if recursive else [folder]
    files = [
        path
        for place in folders
        for path in place.iterdir()
        if not path.name.startswith(".") and path.suffix.lower() in IMAGE_SUFFIXES + VIDEO_SUFFIXES
        if path.is_file()
    ]
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        videos = len(files)
        hint = f"; for its {videos} video files give {folder}/*" if videos else ""
        raise FileNotFoundError(f"folder {folder} has no images ({', '.join(IMAGE_SUFFIXES)}){hint}")
    return natural_order(images)


def list_videos(folder: str | Path) -> list[Path]:
    """The videos of a folder and its sub-folders, in natural order: video files, and folders with images, which are
    frames. Hidden ones are left out.

    Raises:
        FileNotFoundError: there is none.
    """
    videos: set[Path] = set()
    for place in _walk(Path(folder)):
        suffixes = {path: path.suffix.lower() for path in place.iterdir() if not path.name.startswith(".")}
        videos |= {path for path, suffix in suffixes.items() if suffix in VIDEO_SUFFIXES and path.is_file()}
        if any(suffix in IMAGE_SUFFIXES and path.is_file() for path, suffix in suffixes.items()):
            videos.add(place)
    if not videos:
        raise FileNotFoundError(f"folder {folder} has no videos ({', '.join(VIDEO_SUFFIXES)}), and no images")
    return natural_order(videos)


def match_files(pattern: str | Path, suffixes: Sequence[str]) -> list[Path]:
    """Files with certain suffixes that match a glob, in natural order; ``**`` stands for all sub-folders.

    Raises:
        FileNotFoundError: no file matches.
    """
    matches = dict.fromkeys(_expand_glob(Path(pattern)))
    files = [path for path in matches if path.suffix.lower() in suffixes and path.is_file()]
    if not files:
        kind = "image or video" if set(VIDEO_SUFFIXES) <= set(suffixes) else "image"
        raise FileNotFoundError(f"no {kind} matches {pattern}")
    return natural_order(files)


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Sorted by :func:`natural_key`."""
    return sorted(paths, key=lambda path: natural_key(path.as_posix()))


def natural_key(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """Sort key of a name that compares numbers by their value: 2 before 10."""
    parts = re.findall(r"\d+|\D+", name)
    return [(False, int(part), "") if part.isdecimal() else (True, 0, part) for part in parts], name


def _expand_glob(pattern: Path) -> Iterator[Path]:
    # glob.glob follows a link to a parent folder 40 times, and does not end where there are two such links
    if "**" not in pattern.parts:
        yield from map(Path, glob.glob(str(pattern)))
        return
    place = pattern.parts.index("**")
    tail = pattern.parts[place + 1 :] or ("*",)
    for start in map(Path, glob.glob(str(Path(*pattern.parts[:place])))):
        for folder in _walk(start):
            yield from _expand_glob(Path(glob.escape(str(folder)), *tail))


def _walk(folder: Path) -> Iterator[Path]:
    """A folder and all its sub-folders, each once, without hidden ones."""
    seen: set[str] = set()
    waiting = deque([folder])
    while waiting:
        folder = waiting.popleft()
        if os.path.realpath(folder) in seen or not folder.is_dir():
            continue
        seen.add(os.path.realpath(folder))
        yield folder
        with os.scandir(folder) as entries:
            sub_folders = [
                entry.path for entry in entries if entry.is_dir() and not entry.name.startswith(".")
            ]
        waiting.extend(map(Path, sorted(sub_folders)))
