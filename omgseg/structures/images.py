"""Photos: reading them as they are meant to be seen, and the sizes to which they are resized."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from omgseg.structures.label_png import load_image

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_image(path: str | Path) -> np.ndarray:
    """Read an image file as it is meant to be seen: uint8 RGB (H, W, 3), turned as its EXIF tag says.

    Of 16 bits per channel the upper 8 are kept, for grey values as for colours.

    Raises:
        FileNotFoundError: the file is missing.
        OSError: the file is truncated, not an image, unreasonably large, or a TIFF of a kind that Pillow cannot read.
        ValueError: numbers of 32 bits or floats, whose range is not known.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{path} not found, or not a file")
    try:
        return upright(load_image(path), str(path))
    except Image.DecompressionBombError as error:
        raise OSError(f"{path}: {error}; make it smaller, or raise PIL.Image.MAX_IMAGE_PIXELS") from error
    except OSError as error:
        if isinstance(error.__cause__, UnidentifiedImageError) and _is_tiff(path):
            raise OSError(
                f"{path} is a TIFF of a kind that cannot be read (floats, or a rare number of bits or channels); "
                "convert it to 8 bits per channel"
            ) from error
        raise


def upright(image: Image.Image, name: str) -> np.ndarray:
    """The pixels of an image, uint8 RGB (H, W, 3), turned as its EXIF tag says; see :func:`read_image`.

    Args:
        name: of the image, for the error.

    Raises:
        ValueError: numbers of 32 bits or floats, or a mode that Pillow cannot convert.
    """
    turned = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        grey = (np.asarray(turned) >> 8).astype(np.uint8)
        return np.stack([grey] * 3, axis=-1)
    if image.mode in ("I", "F"):
        kind = "numbers of 32 bits" if image.mode == "I" else "floats"
        raise ValueError(
            f"{name} holds {kind} (mode {image.mode}), whose range is not known; convert it to 8 bits"
        )
    try:
        return np.array(turned.convert("RGB"))
    except ValueError as error:
        raise ValueError(
            f"{name} has the mode {image.mode}, which Pillow cannot convert; convert it to RGB"
        ) from error


def _is_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in _TIFF


def check_frame_size(number: int, frame: np.ndarray, size: tuple[int, int]) -> None:
    """Raises ValueError unless a frame (H, W, 3), whose number the message names, has the (height, width) of the first
    one."""
    if frame.shape[:2] != size:
        raise ValueError(
            f"frame {number} has the size {frame.shape[:2]}, the first one {size} (height, width)"
        )


def scaled_shape(
    shape: tuple[int, int], scale: tuple[float, float], keep_ratio: bool = True
) -> tuple[int, int]:
    """Size of an image that is resized to fit a scale, as mmcv's ``Resize`` computes it.

    Args:
        shape: (H, W) of the image.
        scale: (width, height). With `keep_ratio` the longer number bounds the image's longer side, the
            shorter its shorter side, whichever way the image is turned.

    Returns:
        (H, W), at least 1.
    """
    height, width = shape
    if keep_ratio:
        factor = min(max(scale) / max(shape), min(scale) / min(shape))
        width, height = int(width * factor + 0.5), int(height * factor + 0.5)
    else:
        width, height = int(scale[0]), int(scale[1])
    return max(height, 1), max(width, 1)
