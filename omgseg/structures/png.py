"""Label maps in image files: reading with errors that name the file, writing without loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 120_000_000
"""Images with more are refused before they are decoded. Phones take 108 million."""


def load_image(path: str | Path) -> Image.Image:
    """Open an image file and decode it completely.

    Raises:
        FileNotFoundError: the file is missing.
        OSError: the file is truncated, not an image, or larger than :data:`MAX_PIXELS`.
    """
    path = require_regular(path)
    try:
        with Image.open(path) as image:
            _check_pixels(image, path)
            image.load()
            return image
    except Image.DecompressionBombError as error:
        raise OSError(f"{path}: {error}; make it smaller") from error
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path} not found; check the dataset's folders against data/README.md"
        ) from None
    except ImageTooLarge:
        raise
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        # Pillow reports a broken PNG chunk as SyntaxError.
        raise OSError(f"{path} is truncated or not an image ({error}); copy or download it again") from error


class ImageTooLarge(OSError):
    """An image of more than :data:`MAX_PIXELS`."""


def require_regular(path: str | Path) -> Path:
    """Return `path` unless something other than a regular file is there: a pipe would be waited for forever.

    Raises:
        OSError: it is a pipe, a socket, a device or a folder.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is not a regular file; remove it from the folder")
    return path


def _check_pixels(image: Image.Image, path: Path) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise ImageTooLarge(
            f"{path} has {image.width}x{image.height} pixels, more than {MAX_PIXELS}; make it smaller"
        )


def image_size(path: str | Path) -> tuple[int, int]:
    """(width, height) from an image file's header.

    Raises:
        FileNotFoundError: the file is missing.
        OSError: it is not an image, or larger than :data:`MAX_PIXELS`.
    """
    path = require_regular(path)
    try:
        with Image.open(path) as image:
            _check_pixels(image, path)
            return image.size
    except Image.DecompressionBombError as error:
        raise ImageTooLarge(f"{path}: {error}; make it smaller") from error
    except UnidentifiedImageError:
        raise OSError(f"{path} is truncated or not an image; copy or download it again") from None


def read_index_png(path: str | Path) -> np.ndarray:
    """Read a label map that holds one number a pixel: palette (DAVIS) or greyscale, 8 or 16 bits.

    Returns:
        int32 (H, W).

    Raises:
        FileNotFoundError, OSError: see :func:`load_image`.
        ValueError: the image has colour channels.
    """
    array = np.asarray(load_image(path))
    if array.ndim != 2:
        raise ValueError(f"{path}: expected one channel (palette or greyscale), got shape {array.shape}")
    return array.astype(np.int32)


def write_png(path: str | Path, array: np.ndarray) -> None:
    """Write a uint8 (H, W), uint8 (H, W, 3) or uint16 (H, W) array as PNG; missing folders are created."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(array)).save(path, format="PNG")


def object_image(objects: np.ndarray) -> Image.Image:
    """A palette image of object numbers (H, W) in the colours of DAVIS.

    Raises:
        ValueError: a number is not in 0..255.
    """
    if objects.size and (objects.min() < 0 or objects.max() > 255):
        wrong = objects.min() if objects.min() < 0 else objects.max()
        raise ValueError(f"object number {wrong} does not fit into a palette PNG (0..255)")
    image = Image.fromarray(np.ascontiguousarray(objects, dtype=np.uint8), mode="P")
    image.putpalette(davis_palette().tobytes())
    return image


def davis_palette() -> np.ndarray:
    """The colours of DAVIS, which are PASCAL VOC's: uint8 (256, 3), RGB.

    Bit 3 k + c of an object's number is bit 7 - k of its colour's channel c, so that low numbers differ most.
    """
    bits = np.arange(256)[:, None] >> np.arange(9)[None] & 1
    weights = 1 << np.array([7, 6, 5])
    return (bits.reshape(256, 3, 3) * weights[None, :, None]).sum(axis=1).astype(np.uint8)
