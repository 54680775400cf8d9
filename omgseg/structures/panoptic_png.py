"""The COCO panoptic PNG: one segment id a pixel, spread over the three colour channels.

id = R + 256 G + 65536 B, and id 0 is void (COCO panoptic format description, https://cocodataset.org/#format-data).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from omgseg.structures.png import load_image, write_png

MAX_SEGMENT_ID = 256**3 - 1


def rgb_to_id(rgb: np.ndarray) -> np.ndarray:
    """Segment ids of an RGB image: uint8 (..., 3) -> int32 (...)."""
    rgb = np.asarray(rgb)
    if rgb.dtype != np.uint8 or rgb.shape[-1:] != (3,):
        raise ValueError(f"expected uint8 RGB of shape (..., 3), got {rgb.dtype} {rgb.shape}")
    ids = rgb[..., 2].astype(np.int32)
    for channel in (1, 0):
        ids <<= 8
        ids |= rgb[..., channel]
    return ids


def id_to_rgb(ids: np.ndarray) -> np.ndarray:
    """RGB image of segment ids: integers (...) in [0, 2^24) -> uint8 (..., 3)."""
    ids = np.asarray(ids)
    if ids.size and (ids.min() < 0 or ids.max() > MAX_SEGMENT_ID):
        raise ValueError(f"segment ids must lie in [0, {MAX_SEGMENT_ID}], got {ids.min()} to {ids.max()}")
    return np.stack([(ids >> shift) & 255 for shift in (0, 8, 16)], axis=-1).astype(np.uint8)


def encode_panoptic_png(ids: np.ndarray) -> np.ndarray:
    """Pixels of the panoptic PNG: integer segment ids (H, W) -> uint8 RGB (H, W, 3)."""
    if np.ndim(ids) != 2:
        raise ValueError(f"expected segment ids of shape (H, W), got {np.shape(ids)}")
    return id_to_rgb(ids)


def decode_panoptic_png(path: str | Path) -> np.ndarray:
    """Read a panoptic PNG.

    Returns:
        int32 (H, W) segment ids, 0 is void.

    Raises:
        FileNotFoundError, OSError: see :func:`omgseg.structures.png.load_image`.
        ValueError: the image has no colour channels.
    """
    image = load_image(path)
    if image.mode in ("P", "RGBA"):
        image = image.convert("RGB")
    if image.mode != "RGB":
        raise ValueError(f"{path}: expected an RGB panoptic PNG, got image mode {image.mode!r}")
    return rgb_to_id(np.asarray(image))


def write_panoptic_png(path: str | Path, ids: np.ndarray) -> None:
    """Write integer segment ids (H, W) as a panoptic PNG; missing folders are created."""
    write_png(path, encode_panoptic_png(ids))
