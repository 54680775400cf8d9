"""The panoptic mask PNG of VIPSeg (``panomasks/``): one number a pixel.

0 is void. A number up to 124 is category number ``v`` without an instance (stuff); a larger one is a thing,
``100 * category + instance`` with instances 0..99 (README and create_panoptic_video_labels.py of
https://github.com/VIPSeg-Dataset/VIPSeg-Dataset). Category numbers in the masks count from 1, the ids in
``panoVIPSeg_categories.json`` from 0: here a class is always that id, 0..123.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from omgseg.structures.png import read_index_png, write_png

VOID_CLASS = 255
NUM_CLASSES = 124
INSTANCES_PER_CLASS = 100


def decode_vipseg_panomask(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split mask values into classes and instances.

    Args:
        values: integers (...), as stored in the PNG.

    Returns:
        class_map: int32 (...), category ids 0..123, 255 is void.
        instance_map: int32 (...), 0 for stuff and void, 1..100 for things (the number in the file plus 1: it
            counts the instances of a category from 0).

    Raises:
        ValueError: a value names a category above 124.
    """
    values = np.asarray(values).astype(np.int32)
    is_thing = values > NUM_CLASSES
    class_map = np.where(is_thing, values // INSTANCES_PER_CLASS, values) - 1
    instance_map = np.where(is_thing, values % INSTANCES_PER_CLASS + 1, 0).astype(np.int32)
    class_map[values == 0] = VOID_CLASS
    wrong = (values < 0) | (is_thing & (class_map >= NUM_CLASSES))
    if wrong.any():
        raise ValueError(
            f"value {values[wrong].flat[0]} is not a VIPSeg mask value: 0, 1..{NUM_CLASSES}, or "
            f"100 * category + instance with a category up to {NUM_CLASSES}"
        )
    return class_map, instance_map


def encode_vipseg_panomask(class_map: np.ndarray, instance_map: np.ndarray) -> np.ndarray:
    """Inverse of :func:`decode_vipseg_panomask`.

    Args:
        class_map: integers (...), 0..123, 255 is void.
        instance_map: integers (...), 0 for stuff, 1..100 for things; ignored on void.

    Returns:
        uint16 (...).

    Raises:
        ValueError: a number is out of range, or an instance cannot be told from stuff (category id 0 is stuff
            in VIPSeg: its first 25 instances would have the numbers of stuff).
    """
    classes, instances = np.asarray(class_map).astype(np.int64), np.asarray(instance_map).astype(np.int64)
    if classes.shape != instances.shape:
        raise ValueError(f"class_map {classes.shape} and instance_map {instances.shape} differ in shape")
    void = classes == VOID_CLASS
    instances = np.where(void, 0, instances)
    if ((classes < 0) | (classes >= NUM_CLASSES))[~void].any():
        raise ValueError(f"class_map must hold 0..{NUM_CLASSES - 1} or {VOID_CLASS} (void)")
    if instances.size and (instances.min() < 0 or instances.max() > INSTANCES_PER_CLASS):
        raise ValueError(
            f"instance_map must hold 0 (stuff) or 1..{INSTANCES_PER_CLASS}, "
            f"got {instances.min()} to {instances.max()}"
        )
    is_thing = instances > 0
    values = np.where(is_thing, (classes + 1) * INSTANCES_PER_CLASS + instances - 1, classes + 1)
    values[void] = 0
    if (is_thing & (values <= NUM_CLASSES)).any():
        raise ValueError("category id 0 cannot have instances in VIPSeg masks; give id 0 to a stuff category")
    return values.astype(np.uint16)


def read_vipseg_panomask(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a mask file; returns (class_map, instance_map), see :func:`decode_vipseg_panomask`.

    Raises:
        FileNotFoundError, OSError, ValueError: the file is missing, truncated, or holds other values.
    """
    values = read_index_png(path)
    try:
        return decode_vipseg_panomask(values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def write_vipseg_panomask(path: str | Path, class_map: np.ndarray, instance_map: np.ndarray) -> None:
    """Write a 16 bit mask file from two (H, W) maps; missing folders are created."""
    write_png(path, encode_vipseg_panomask(class_map, instance_map))
