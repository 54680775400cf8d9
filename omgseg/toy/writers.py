"""Pieces of the official file formats that several writers share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from omgseg.structures.run_lengths import encode_masks

JPEG_QUALITY = 95


def write_image(path: Path, image: np.ndarray) -> None:
    """Write uint8 RGB (H, W, 3) as JPEG.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if not cv2.imwrite(str(path), bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]):
        raise OSError(f"cannot write {path}")


def write_json(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))


def bounding_box(mask: np.ndarray) -> list[int]:
    """COCO box [x, y, width, height] of a bool (H, W) mask that is not empty."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    x, y = columns[0], rows[0]
    return [int(x), int(y), int(columns[-1] - x + 1), int(rows[-1] - y + 1)]


def mask_fields(mask: np.ndarray) -> dict[str, Any]:
    """``segmentation``, ``area`` and ``bbox`` of an annotation, from a bool (H, W) mask that is not empty."""
    return {"segmentation": encode_masks([mask])[0], "area": int(mask.sum()), "bbox": bounding_box(mask)}
