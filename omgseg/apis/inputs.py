"""Pixels that a user hands in: image files, arrays, pictures of Pillow. Needs no dataset."""

from __future__ import annotations

import glob
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from omgseg.structures.images import IMAGE_SUFFIXES, read_image, upright

VIDEO_SUFFIXES = (
    ".mp4",
    ".avi",
    ".mov",
    ".mkv",
    ".webm",
    ".m4v",
    ".mpg",
    ".mpeg",
    ".gif",
    ".ts",
    ".mts",
    ".m2ts",
    ".wmv",
    ".flv",
    ".3gp",
)

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
        f"an image is a file, an RGB array uint8 (H, W, 3) or a PIL image, not {described(image)}"
    )


def check_array(array: np.ndarray, *dimensions: int) -> np.ndarray:
    """The array, if it holds an RGB image (3 dimensions) or a video of them (4).

    Raises:
        ValueError: another type or shape; says how to convert it.
    """
    if array.dtype == np.uint8 and array.ndim in dimensions and array.shape[-1] == 3 and 0 not in array.shape:
        return array
    kinds = {3: "an RGB image uint8 (H, W, 3)", 4: "a video uint8 (T, H, W, 3)"}
    expected = " or ".join(kinds[number] for number in dimensions)
    raise ValueError(f"expected {expected}, got {array.dtype} {array.shape}{_conversion(array)}")


def _conversion(array: np.ndarray) -> str:
    """What makes an RGB image uint8 (H, W, 3) of an array, for the error."""
    steps = []
    if np.issubdtype(array.dtype, np.floating):
        in_unit = bool(array.size) and 0 <= float(array.min()) and float(array.max()) <= 1
        steps.append(f"({'image * 255' if in_unit else 'image'}).round().astype(np.uint8)")
    elif array.dtype == np.uint16:
        steps.append("(image >> 8).astype(np.uint8)")
    elif array.dtype != np.uint8:
        steps.append("image.astype(np.uint8), if it holds 0 to 255")
    if array.ndim == 2:
        steps.append("np.stack([image] * 3, axis=-1), as it is grey")
    elif array.ndim == 3 and array.shape[-1] == 1:
        steps.append("np.repeat(image, 3, axis=-1), as it is grey")
    elif array.ndim == 3 and array.shape[-1] == 4:
        steps.append("image[..., :3], which leaves the transparency out")
    elif array.ndim == 3 and array.shape[0] == 3 != array.shape[-1]:
        steps.append("image.transpose(1, 2, 0), as the channels come first")
    return f"; convert it with {', then '.join(steps)}" if steps else ""


def described(value: object) -> str:
    """The type of something that is not an input, with what to do about it."""
    kind = type(value).__name__
    if hasattr(value, "permute") and hasattr(value, "numpy"):
        shape = tuple(value.shape)
        order = ".permute(1, 2, 0)" if len(shape) == 3 and shape[0] in (1, 3) else ""
        return f"{kind} {shape}; give the array image{order}.cpu().numpy(), uint8 (H, W, 3)"
    if isinstance(value, (Set, Iterator)):
        return f"{kind}, which has no order or no length; give a list: list(...)"
    return kind


def list_images(folder: str | Path, recursive: bool = False) -> list[Path]:
    """The images of a folder in natural order (2 before 10); hidden files, such as ``._a.jpg`` of macOS, do not count.

    Args:
        recursive: with its sub-folders, also through links, but each folder once and no hidden ones.

    Raises:
        FileNotFoundError: it has none; says what it has.
    """
    folder = Path(folder)
    folders = _walk(folder) if recursive else [folder]
    files = [
        path
        for each in folders
        for path in each.iterdir()
        if not path.name.startswith(".") and path.suffix.lower() in IMAGE_SUFFIXES + VIDEO_SUFFIXES
        if path.is_file()
    ]
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        videos = len(files)
        hint = f"; for its {videos} video files give {folder}/*" if videos else ""
        raise FileNotFoundError(f"folder {folder} has no images ({', '.join(IMAGE_SUFFIXES)}){hint}")
    return natural_order(images)


def match_files(pattern: str | Path, suffixes: Sequence[str]) -> list[Path]:
    """Files with these endings that a glob names, in natural order; ``**`` stands for sub-folders, each once.

    Raises:
        FileNotFoundError: there are none.
    """
    found = dict.fromkeys(_expand_glob(Path(pattern)))
    files = [path for path in found if path.suffix.lower() in suffixes and path.is_file()]
    if not files:
        kind = "image or video" if set(VIDEO_SUFFIXES) <= set(suffixes) else "image"
        raise FileNotFoundError(f"no {kind} matches {pattern}")
    return natural_order(files)


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Sorted by :func:`natural_key`."""
    return sorted(paths, key=lambda path: natural_key(path.as_posix()))


def natural_key(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """Sort key of a name in which numbers count as numbers: 2 before 10."""
    parts = re.findall(r"\d+|\D+", name)
    return [(False, int(part), "") if part.isdecimal() else (True, 0, part) for part in parts], name


def _expand_glob(pattern: Path) -> Iterator[Path]:
    # glob.glob follows a link to a parent folder forty times, and two of them for ever
    if "**" not in pattern.parts:
        yield from map(Path, glob.glob(str(pattern)))
        return
    place = pattern.parts.index("**")
    tail = pattern.parts[place + 1 :] or ("*",)
    for start in map(Path, glob.glob(str(Path(*pattern.parts[:place])))):
        for folder in _walk(start):
            yield from _expand_glob(Path(glob.escape(str(folder)), *tail))


def _walk(folder: Path) -> Iterator[Path]:
    """A folder and those below it, without hidden ones; of several ways to a folder one."""
    seen: set[str] = set()
    waiting = deque([folder])
    while waiting:
        folder = waiting.popleft()
        if os.path.realpath(folder) in seen or not folder.is_dir():
            continue
        seen.add(os.path.realpath(folder))
        yield folder
        with os.scandir(folder) as entries:
            below = [entry.path for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
        waiting.extend(map(Path, sorted(below)))
