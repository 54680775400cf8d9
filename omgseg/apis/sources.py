"""What can be segmented: images, many images, videos, cameras and streams, read one frame at a time."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
from PIL import Image

from omgseg.apis.decoding import probe_video, read_camera, read_video, shown_address
from omgseg.apis.frames import Frame
from omgseg.apis.inputs import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    ImageInput,
    check_array,
    described,
    list_images,
    match_files,
    to_image,
)

OnError = Callable[[str, Exception], None]
SourceInput = ImageInput | int | Sequence[ImageInput]
LIVE_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "udp", "rtp", "srt")
"""Streams that do not wait for the reader."""


@dataclass(frozen=True)
class Source:
    """One image, many images, or a video. Iterating reads it: the pixels of one frame at a time.

    Attributes:
        name: of the image, folder or video.
        is_video: the frames belong together, and all have one size.
        is_single: one image.
        path: the file or folder; None for arrays, cameras and streams.
        fps: frames a second of a video, where known.
        length: number of images or frames, where known; of video files the container's own word, which may be off.
        is_live: frames arrive whether or not they are read.
        images: what can be read in any order; None for video files, cameras and streams.
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
            on_error: called with the name of an image that cannot be read, and the error; the others go on.
                None: such an image raises. In a video it always does, as its frames belong together.

        Raises:
            OSError, ValueError: names the file.
        """
        return self.read(on_error)


def open_source(source: SourceInput | Source, as_video: bool = False) -> Source:
    """Find out what the user means.

    Args:
        source: an image file; a video file; a folder, whose images, with those of its sub-folders, are independent,
            or with `as_video` the frames of one video, without sub-folders; a glob (``"photos/**/*.jpg"``); an RGB
            image uint8 (H, W, 3); a video uint8 (T, H, W, 3); a PIL image; the number of a camera; the URL of a
            stream; or a list of images.
        as_video: a folder's or a list's images are the frames of one video.

    Raises:
        FileNotFoundError: there is no such file, or a folder or glob without images.
        ValueError: an array of another type or shape, an empty name or list, a video in a list.
        TypeError: none of these.
    """
    if isinstance(source, Source):
        return source
    if isinstance(source, np.ndarray) and source.ndim == 4:
        return _from_images(list(check_array(source, 3, 4)), "video", is_video=True)
    if isinstance(source, (np.ndarray, Image.Image)):
        if isinstance(source, np.ndarray):
            check_array(source, 3, 4)
        return _from_images([source], "image", is_single=True)
    if isinstance(source, int) and not isinstance(source, bool):
        return Source(lambda _: read_camera(source), f"camera{source}", is_video=True, is_live=True)
    if isinstance(source, str) and "://" in source:
        return _from_url(source)
    if isinstance(source, (str, Path)):
        return _from_path(_to_path(source), as_video)
    if isinstance(source, Sequence):
        return _from_list(source, as_video)
    raise TypeError(
        "a source is a path, a URL, a camera's number, an RGB array, a PIL image or a list of images, "
        f"not {described(source)}"
    )


def expand(source: SourceInput | Source) -> list[ImageInput] | None:
    """The elements of a list, a glob or a folder with its sub-folders; None where the source is one thing."""
    if isinstance(source, (str, Path)) and "://" not in str(source):
        path = _to_path(source)
        if path.is_dir():
            return list(list_images(path, recursive=True))
        return list(_matches(path)) if not path.exists() and glob.has_magic(str(path)) else None
    if isinstance(source, Sequence) and not isinstance(source, str):
        if not len(source):
            raise ValueError("the list of inputs is empty")
        return [part for each in source for part in (expand(each) or [each])]
    return None


def is_video_input(source: object) -> bool:
    """A video by the ending of its file, or by its dimensions."""
    if isinstance(source, np.ndarray):
        return source.ndim == 4
    return isinstance(source, (str, Path)) and Path(source).suffix.lower() in VIDEO_SUFFIXES


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
    """The folder that a glob looks in."""
    return next(parent for parent in pattern.parents if not glob.has_magic(str(parent)))


def _matches(pattern: Path) -> list[Path]:
    """Image and video files that a glob names."""
    return match_files(pattern, IMAGE_SUFFIXES + VIDEO_SUFFIXES)


def _from_list(inputs: Sequence[ImageInput], as_video: bool, name: str = "list") -> Source:
    entries = expand(inputs)
    for entry in entries:
        if is_video_input(entry):
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
        raise ValueError(f"{shown_address(url)} is the address of an image; download it, and give the file")
    # the address may hold a password, the name does not
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
) -> Source:
    def read(on_error: OnError | None) -> Iterator[Frame]:
        shape = None
        for index, image in enumerate(images):
            file = Path(image) if isinstance(image, (str, Path)) else None
            own_name = _image_name(image, name if is_single else f"{index:05d}")
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
            yield Frame(pixels, file, own_name, index if is_video else 0)

    return Source(read, name, is_video, is_single, path, length=len(images), images=images)


def _image_name(image: ImageInput, default: str) -> str:
    file = image if isinstance(image, (str, Path)) else getattr(image, "filename", "")
    return Path(file).stem if file else default


def _check_size(name: str, shape: tuple[int, ...], first: tuple[int, ...]) -> None:
    if shape != first:
        raise ValueError(
            f"{name} has {shape[1]}x{shape[0]} pixels, the first frame {first[1]}x{first[0]} (width x height): the "
            "frames of a video must agree; leave out as_video to segment the images one by one"
        )
