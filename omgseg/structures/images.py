"""Photos: reading them as they are meant to be seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from omgseg.structures.png import load_image

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


def read_image(path: str | Path) -> np.ndarray:
    """Read an image file as it is meant to be seen: uint8 RGB (H, W, 3), turned as its EXIF tag says.

    Raises:
        FileNotFoundError: the file is missing.
        OSError: the file is truncated, not an image, or unreasonably large.
        ValueError: more than 8 bits a pixel.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{path} not found, or no file")
    try:
        return upright(load_image(path), str(path))
    except Image.DecompressionBombError as error:
        raise OSError(f"{path}: {error}; make it smaller, or raise PIL.Image.MAX_IMAGE_PIXELS") from error


def upright(image: Image.Image, name: str) -> np.ndarray:
    """The pixels of an image, uint8 RGB (H, W, 3), turned as its EXIF tag says.

    Args:
        name: of the image, for the error.

    Raises:
        ValueError: more than 8 bits a pixel.
    """
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"{name} has pixels of more than 8 bits (mode {image.mode}); convert it to 8 bits")
    return np.array(ImageOps.exif_transpose(image).convert("RGB"))
