"""Masks as compressed COCO run lengths: ``{"size": [height, width], "counts": str}``, which JSON can hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask


def as_text(run_lengths: dict[str, Any]) -> dict[str, Any]:
    """Compressed run lengths with plain numbers and text, as pycocotools gives bytes."""
    counts = run_lengths["counts"]
    counts = counts.decode("ascii") if isinstance(counts, bytes) else counts
    return {"size": [int(side) for side in run_lengths["size"]], "counts": counts}


def encode_masks(masks: Iterable[np.ndarray]) -> list[dict[str, Any]]:
    """Encode masks (N, H, W), or several (H, W); whatever is not 0 belongs to them."""
    # OpenCV transposes several times as fast as NumPy, and the encoder wants columns first
    pixels = (np.ascontiguousarray(mask, dtype=bool).view(np.uint8) for mask in masks)
    return [as_text(coco_mask.encode(cv2.transpose(mask).T)) for mask in pixels]


def encode_map(values: np.ndarray, segments: Sequence[int]) -> list[dict[str, Any]]:
    """Encode the pixels of each value of a map, in one pass over the map.

    Args:
        values: integers (H, W).
        segments: the values to encode.
    """
    flat = values.ravel(order="F")  # run lengths go down the columns
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    ends = np.append(starts[1:], flat.size)
    owners = flat[starts]
    encoded = []
    for segment in segments:
        runs = np.flatnonzero(owners == segment)
        edges = np.stack([starts[runs], ends[runs]], axis=1).ravel()
        counts = np.diff(edges, prepend=0, append=flat.size).tolist()
        if not counts[-1]:  # the last run reaches the end
            counts.pop()
        plain = {"size": list(values.shape), "counts": counts}
        encoded.append(as_text(coco_mask.frPyObjects(plain, *values.shape)))
    return encoded


def decode_masks(rles: Sequence[dict[str, Any]], size: tuple[int, int]) -> np.ndarray:
    """Bool masks (N, H, W)."""
    if not len(rles):
        return np.zeros((0, *size), dtype=bool)
    return np.stack([coco_mask.decode(run_lengths).view(bool) for run_lengths in rles])


def mask_areas(rles: Sequence[dict[str, Any]]) -> np.ndarray:
    """Pixels of each mask, int64 (N,)."""
    # one by one: with NumPy 2 pycocotools takes lists of at most 255
    return np.array([coco_mask.area(run_lengths) for run_lengths in rles], np.int64)


def check_counts(counts: str, size: tuple[int, int]) -> None:
    """Check compressed counts that come from a file: pycocotools reads wrong ones as garbage.

    The text holds five bits a character, the difference to the run before the last one in each group (COCO's
    ``maskApi.c``, ``rleToString``).

    Raises:
        ValueError: the text is no run lengths, or those of a mask of another size.
    """
    if not counts.isascii():
        raise ValueError("run lengths hold other than ASCII characters")
    bits = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    if not bits.size or bits.min() < 0 or bits.max() > 63 or bits[-1] & 32:
        raise ValueError("these are no compressed run lengths")
    last = np.flatnonzero(bits & 32 == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    length = last - first + 1
    if length.max() > 12:
        raise ValueError("these are no compressed run lengths")
    shift = 5 * (np.arange(bits.size) - np.repeat(first, length))
    runs = np.add.reduceat((bits & 31) << shift, first)
    runs -= np.where(bits[last] & 16, np.int64(1) << 5 * length, 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    if runs.min() < 0 or runs.sum() != size[0] * size[1]:
        raise ValueError(f"the run lengths are not those of a mask of {size[0]} x {size[1]} pixels (H x W)")
