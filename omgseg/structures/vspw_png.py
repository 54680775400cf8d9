"""VSPW's class masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from omgseg.structures.png import read_index_png, write_png

NUM_CLASSES = 124
VOID_CLASS = 255


def read_vspw_mask(path: str | Path) -> np.ndarray:
    """Read a mask of VSPW (https://www.vspwdataset.com).

    A pixel of the file holds 1 + its category, 0 ("others") or 255 ("void label"); the official evaluation
    leaves both out.

    Returns:
        int32 (H, W): category ids 0..123, ``VOID_CLASS`` where not labelled.

    Raises:
        FileNotFoundError, OSError: see :func:`omgseg.structures.png.load_image`.
        ValueError: the file holds another number, or colours.
    """
    numbers = read_index_png(path)
    labelled = (numbers > 0) & (numbers <= NUM_CLASSES)
    other = numbers[(numbers > NUM_CLASSES) & (numbers != VOID_CLASS)]
    if other.size:
        raise ValueError(
            f"{path}: {other[0]} is no number of a VSPW mask (1 to {NUM_CLASSES}, 0 and 255 are void); see "
            "data/README.md#vspw"
        )
    return np.where(labelled, numbers - 1, VOID_CLASS).astype(np.int32)


def write_vspw_mask(path: str | Path, class_map: np.ndarray) -> None:
    """Write a mask: category ids 0..123 (H, W), ``VOID_CLASS`` where not labelled."""
    write_png(path, np.where(class_map == VOID_CLASS, VOID_CLASS, class_map + 1).astype(np.uint8))
