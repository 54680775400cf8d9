"""Boundary IoU: the IoU of the bands along two contours (Cheng et al., Boundary IoU, CVPR 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

BAND_WIDTH = 0.02  # of the image diagonal


def band_width(height: int, width: int) -> int:
    """Pixels, at least 1; a half rounds to the even number, as in the official code."""
    return max(round(BAND_WIDTH * float(np.sqrt(height**2 + width**2))), 1)


def mask_band(mask: np.ndarray, pixels: int) -> np.ndarray:
    """The part of a mask within `pixels` (chessboard distance) of what is outside of the mask or the image.

    Args:
        mask: uint8 0/1 (H, W).

    Returns:
        uint8 0/1 (H, W).
    """
    band = np.zeros_like(mask)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return band
    # Beyond the mask's box everything is empty, and eroding there is wasted.
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    framed = np.pad(mask[box], 1)
    inner = cv2.erode(framed, np.ones((3, 3), np.uint8), iterations=pixels)
    band[box] = (framed - inner)[1:-1, 1:-1]
    return band


def band_ious(detections: Sequence[dict[str, Any]], ground_truth: Sequence[dict[str, Any]]) -> np.ndarray:
    """Boundary IoU of all pairs: run-length encodings of D and G masks of one image -> float64 (D, G)."""
    bands = [[_encoded_band(rle) for rle in rles] for rles in (detections, ground_truth)]
    return np.asarray(coco_mask.iou(*bands, [0] * len(ground_truth)))


def _encoded_band(rle: dict[str, Any]) -> dict[str, Any]:
    band = mask_band(coco_mask.decode(rle), band_width(*rle["size"]))
    return coco_mask.encode(np.asfortranarray(band))
