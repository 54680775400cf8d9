"""What a user hands in: image files, arrays, folders of frames. Needs no dataset."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ImageOps

from omgseg.structures.png import load_image

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".gif")


@dataclass(frozen=True)
class Clip:
    """The pixels of one input; an image is a clip of one frame.

    Attributes:
        frames: T arrays, uint8 RGB (H, W, 3), all of one size.
        paths: the T files; empty for arrays.
        is_video: a folder of one frame is a video too.
        name: the file's name without its suffix, the folder's name, or "array".
    """

    frames: list[np.ndarray]
    paths: list[Path]
    is_video: bool
    name: str

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of every frame."""
        return self.frames[0].shape[:2]

    @property
    def frame_names(self) -> list[str]:
        """A name for each frame: its file's without suffix, or its number."""
        if self.paths:
            return [path.stem for path in self.paths]
        return [f"{index:05d}" for index in range(len(self.frames))]


Input = str | Path | np.ndarray | Clip
"""An image file, a folder of frames, an RGB image uint8 (H, W, 3), a video uint8 (T, H, W, 3), or one of these
already read."""


def read_input(source: Input) -> Clip:
    """Read one input.

    Raises:
        FileNotFoundError: no such file or folder, or a folder without images.
        OSError: a file is truncated or not an image.
        ValueError: a video file, frames of different sizes, or an array of another type or shape.
        TypeError: none of the kinds of :data:`Input`.
    """
    if isinstance(source, Clip):
        return source
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if not isinstance(source, (str, Path)):
        raise TypeError(f"an input is a path or a numpy array, not {type(source).__name__}")
    paths = list_files(source)
    frames = [read_image(path) for path in paths]
    _check_sizes(paths, frames)
    path = Path(source).expanduser()
    is_video = path.is_dir()
    return Clip(frames, paths, is_video, path.resolve().name if is_video else path.stem)


def list_files(source: str | Path) -> list[Path]:
    """The image files of an input: the image itself, or the frames of a folder.

    Raises:
        FileNotFoundError, ValueError: see :func:`read_input`.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return _list_frames(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} not found; an input is an image file or a folder of frames")
    if path.suffix.lower() in VIDEO_SUFFIXES:
        raise ValueError(
            f"{path} is a video file, which cannot be decoded here; give a folder of its frames, e.g. written by "
            f"`ffmpeg -i {path.name} frames/%05d.jpg`"
        )
    return [path]


def read_image(path: str | Path) -> np.ndarray:
    """Read an image file as it is meant to be seen: uint8 RGB (H, W, 3), turned as its EXIF tag says.

    Raises:
        FileNotFoundError: the file is missing.
        OSError: the file is truncated or not an image.
        ValueError: more than 8 bits a pixel.
    """
    image = load_image(path)
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"{path} has pixels of more than 8 bits (mode {image.mode}); convert it to 8 bits")
    return np.array(ImageOps.exif_transpose(image).convert("RGB"))


def _list_frames(folder: Path) -> list[Path]:
    """The images in the order of their names, where numbers count as numbers: 2 before 10."""
    paths = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    if not paths:
        raise FileNotFoundError(
            f"folder {folder} has no images ({', '.join(IMAGE_SUFFIXES)}); a folder is one video, its images the frames"
        )
    return sorted(paths, key=_natural_order)


def _natural_order(path: Path) -> list[tuple[int, str]]:
    """Sort key of a name: digits by value, the rest by letter."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _check_sizes(paths: list[Path], frames: list[np.ndarray]) -> None:
    for path, frame in zip(paths, frames, strict=True):
        if frame.shape != frames[0].shape:
            raise ValueError(
                f"{path} has {frame.shape[1]}x{frame.shape[0]} pixels, {paths[0].name} "
                f"{frames[0].shape[1]}x{frames[0].shape[0]} (width x height): a folder is one video, and its frames "
                "must agree; list image files one by one to segment them separately"
            )


def _from_array(array: np.ndarray) -> Clip:
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or array.shape[-1] != 3 or 0 in array.shape:
        raise ValueError(
            f"expected an RGB image uint8 (H, W, 3) or a video uint8 (T, H, W, 3), got {array.dtype} {array.shape}"
        )
    is_video = array.ndim == 4
    return Clip(list(array) if is_video else [array], [], is_video, "array")
