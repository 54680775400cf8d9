"""Masks as compressed COCO run lengths: ``{"size": [height, width], "counts": str}``, which JSON can hold.

Annotation files also have polygons and uncompressed run lengths: :func:`encode_segmentation` reads all three.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from omgseg.messages import shown

MIN_POLYGON = 6
"""Numbers of the smallest polygon: x and y of three points."""
MAX_OUTSIDE = 10_000
"""Pixels by which a point of a polygon may lie outside of its image. pycocotools computes with 32 bit integers, and
larger coordinates are a segmentation fault in it."""
MAX_OUTLINE = 2_000_000
"""Longest outline of a polygon, in pixels: pycocotools takes about 100 bytes for each."""
MAX_PIXELS = 2**31 - 1
"""Largest mask, as run lengths are 32 bit integers."""


def as_text(run_lengths: dict[str, Any]) -> dict[str, Any]:
    """Compressed run lengths with plain numbers and text, as pycocotools gives bytes."""
    counts = run_lengths["counts"]
    counts = counts.decode("ascii") if isinstance(counts, bytes) else counts
    return {"size": [int(side) for side in run_lengths["size"]], "counts": counts}


def encode_masks(masks: Iterable[np.ndarray]) -> list[dict[str, Any]]:
    """Encode masks (N, H, W), or several (H, W); every value but 0 belongs to them."""
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

    The text holds five bits per character, the difference to the run before the last one in each group (COCO's
    ``maskApi.c``, ``rleToString``).

    Raises:
        ValueError: the text does not hold run lengths, or those of a mask of another size.
    """
    if not counts.isascii():
        raise ValueError("run lengths hold a character that is not ASCII")
    bits = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    if not bits.size or bits.min() < 0 or bits.max() > 63 or bits[-1] & 32:
        raise ValueError("the text does not hold compressed run lengths")
    last = np.flatnonzero(bits & 32 == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    length = last - first + 1
    if length.max() > 12:
        raise ValueError("the text does not hold compressed run lengths")
    shift = 5 * (np.arange(bits.size) - np.repeat(first, length))
    runs = np.add.reduceat((bits & 31) << shift, first)
    runs -= np.where(bits[last] & 16, np.int64(1) << 5 * length, 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    if runs.min() < 0 or runs.sum() != size[0] * size[1]:
        raise ValueError(f"the run lengths are not those of a mask of {size[0]} x {size[1]} pixels (H x W)")


def check_segmentation(segmentation: Any, height: int, width: int, where: str) -> None:
    """Check the mask of an annotation before pycocotools sees it, whose compiled code checks nothing.

    Args:
        segmentation: polygons, or uncompressed or compressed run lengths.
        height, width: of the image.
        where: the file and the annotation, for errors.

    Raises:
        ValueError: it is none of these, or beyond the limits of this module.
    """
    try:
        if isinstance(segmentation, list):
            for polygon in segmentation:
                _check_polygon(polygon, height, width)
        else:
            _check_run_lengths(segmentation)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(
            f"{where}: 'segmentation' is neither polygons nor run lengths ({error}); write it again"
        ) from error


def encode_segmentation(segmentation: Any, height: int, width: int, where: str) -> dict[str, Any]:
    """Compressed run lengths of the mask of an annotation.

    A polygon of fewer than three points covers nothing.

    Args:
        segmentation, height, width, where: see :func:`check_segmentation`.

    Raises:
        ValueError: see :func:`check_segmentation`.
    """
    check_segmentation(segmentation, height, width, where)
    if isinstance(segmentation, list):
        # pycocotools would take four numbers for a box
        polygons = [polygon for polygon in segmentation if len(polygon) >= MIN_POLYGON]
        if not polygons:
            return coco_mask.frPyObjects({"size": [height, width], "counts": [height * width]}, height, width)
        return coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    counts, size = segmentation["counts"], segmentation["size"]
    if not isinstance(counts, list):
        return segmentation
    return coco_mask.frPyObjects({"size": size, "counts": counts}, *size)


def _check_polygon(polygon: Any, height: int, width: int) -> None:
    """Raise ValueError unless pycocotools can draw this polygon, x and y in turn."""
    values = np.asarray(polygon)
    if len(values) == 0:
        return
    if values.ndim != 1 or values.dtype.kind not in "iuf" or len(values) % 2:
        raise ValueError("a polygon is not a list of x and y in turn")
    points = values.astype(np.float64).reshape(-1, 2)
    inside = (points >= -MAX_OUTSIDE) & (points <= np.array([width, height]) + MAX_OUTSIDE)  # NaN is not
    if not inside.all():
        raise ValueError(
            f"the coordinate {points[~inside][0]:g} is more than {MAX_OUTSIDE} pixels outside of the image of "
            f"{width}x{height}"
        )
    outline = np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum()
    if outline > MAX_OUTLINE:
        raise ValueError(f"the outline of a polygon is {outline:.0f} pixels long, more than {MAX_OUTLINE}")


def _check_run_lengths(run_lengths: Any) -> None:
    """Raise an error unless these are run lengths that cover their size exactly."""
    counts, size = run_lengths["counts"], run_lengths["size"]
    if len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
        raise ValueError(f"the size {shown(size)} is not a height and a width")
    if size[0] * size[1] > MAX_PIXELS:
        raise ValueError(f"a mask of {size[1]}x{size[0]} pixels is too large")
    if not isinstance(counts, list):
        check_counts(counts if isinstance(counts, str) else counts.decode("ascii"), tuple(size))
        return
    if not all(type(run) is int and run >= 0 for run in counts):
        raise ValueError("a run length is not a whole number of at least 0")
    if sum(counts) != size[0] * size[1]:  # pycocotools would read on behind the counts
        raise ValueError(f"run lengths of {sum(counts)} pixels for a mask of {size}")
