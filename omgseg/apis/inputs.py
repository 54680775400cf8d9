"""Pixels that a user hands in: image files, arrays, pictures of Pillow. Needs no dataset."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from omgseg.structures.images import IMAGE_SUFFIXES, read_image, upright

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".gif")

ImageInput = str | Path | np.ndarray | Image.Image
"""An image file, RGB uint8 (H, W, 3), or a picture of Pillow."""


@dataclass(frozen=True)
class Clip:
    """Frames that the model sees together; an image is a clip of one frame.

    Attributes:
        frames: T arrays, uint8 RGB (H, W, 3), all of one size.
        paths: the T files; empty for arrays.
        is_video: a video of one frame is a video too.
        name: of the image or video.
    """

    frames: list[np.ndarray]
    paths: list[Path]
    is_video: bool
    name: str

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of every frame."""
        return self.frames[0].shape[:2]


def to_image(image: ImageInput) -> np.ndarray:
    """Any image as uint8 RGB (H, W, 3), as it is meant to be seen.

    Raises:
        FileNotFoundError, OSError, ValueError: see :func:`~omgseg.structures.images.read_image`; or an array of
            another type or shape.
        TypeError: none of the kinds of :data:`ImageInput`.
    """
    if isinstance(image, (str, Path)):
        return read_image(image)
    if isinstance(image, Image.Image):
        return upright(image, "the picture")
    if isinstance(image, np.ndarray):
        return check_array(image, 3)
    raise TypeError(
        f"an image is a file, an RGB array uint8 (H, W, 3) or a PIL image, not {type(image).__name__}"
    )


def check_array(array: np.ndarray, *dimensions: int) -> np.ndarray:
    """The array, if it holds an RGB image (3 dimensions) or a video of them (4).

    Raises:
        ValueError: another type or shape.
    """
    if array.dtype != np.uint8 or array.ndim not in dimensions or array.shape[-1] != 3 or 0 in array.shape:
        kinds = {3: "an RGB image uint8 (H, W, 3)", 4: "a video uint8 (T, H, W, 3)"}
        expected = " or ".join(kinds[number] for number in dimensions)
        raise ValueError(f"expected {expected}, got {array.dtype} {array.shape}")
    return array


def list_images(folder: str | Path) -> list[Path]:
    """The images of a folder in the order of their names, where numbers count as numbers: 2 before 10.

    Raises:
        FileNotFoundError: it has none; says what it has.
    """
    folder = Path(folder)
    files = [path for path in folder.iterdir() if path.is_file()]
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        videos = sum(path.suffix.lower() in VIDEO_SUFFIXES for path in files)
        hint = f"; for its {videos} video files give {folder}/*" if videos else ""
        raise FileNotFoundError(f"folder {folder} has no images ({', '.join(IMAGE_SUFFIXES)}){hint}")
    return natural_order(images)


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Sorted by folder and name; digits by value, the rest by letter."""

    def key(path: Path) -> tuple[Path, list[tuple[int, str]]]:
        parts = re.findall(r"\d+|\D+", path.name)
        return path.parent, [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]

    return sorted(paths, key=key)
