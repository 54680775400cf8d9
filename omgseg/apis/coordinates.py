"""Clicks and boxes as users write them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

Coordinates = np.ndarray | Tensor | Sequence


def check_prompts(kind: str, prompts: Coordinates, image_size: tuple[int, int]) -> Tensor:
    """Prompts as float32 (N, 2) or (N, 4).

    Args:
        kind: "points" or "boxes".
        prompts: N rows, or one.
        image_size: (width, height).

    Raises:
        ValueError: there are none, a row has another number of columns, a coordinate lies outside of the image, or
            a box has no area.
    """
    columns = 2 if kind == "points" else 4
    if not len(prompts):
        raise ValueError(f"there are no {kind}; give at least one")
    try:
        values = torch.from_numpy(np.atleast_2d(np.asarray(prompts, dtype=np.float32)))
    except (TypeError, ValueError):
        values = torch.empty(1, 0)
    if values.shape[1:] != (columns,):
        raise ValueError(f"{kind} are N rows of {columns} numbers, got {prompts!r}")
    limit = values.new_tensor(image_size)
    for row in values:
        corners = row.view(-1, 2)
        inside = (corners >= 0) & (corners < limit if kind == "points" else corners <= limit)
        if not inside.all():  # also where a coordinate is not a number
            raise ValueError(
                f"the {'point' if kind == 'points' else 'box'} ({', '.join(f'{value:g}' for value in row.tolist())}) "
                f"lies outside of the image of {image_size[0]}x{image_size[1]} pixels (width x height)"
            )
        if kind == "boxes" and not (corners[1] > corners[0]).all():
            raise ValueError(f"a box is x1, y1, x2, y2 with x1 < x2 and y1 < y2, got {row.tolist()}")
    return values


def check_labels(labels: Sequence[int] | np.ndarray | Tensor | None, count: int) -> list[bool]:
    """Which of `count` points belong to the object; all where nothing is said.

    Raises:
        ValueError: not one number 0 or 1 a point.
    """
    if labels is None:
        return [True] * count
    values = np.asarray(labels).reshape(-1)
    if len(values) != count or not np.isin(values, (0, 1)).all():
        raise ValueError(
            f"labels are one number a point, 1 (belongs to the object) or 0 (does not); got {labels!r} for "
            f"{count} points"
        )
    return [bool(value) for value in values]


def check_mask(mask: np.ndarray | Tensor, image_size: tuple[int, int]) -> np.ndarray:
    """A mask as bool (H, W).

    Args:
        image_size: (width, height).

    Raises:
        ValueError: another shape.
    """
    array = mask.cpu().numpy() if isinstance(mask, Tensor) else np.asarray(mask)
    if array.shape != image_size[::-1]:
        raise ValueError(
            f"a mask is (H, W) = {image_size[::-1]} like the image, got {array.shape}; of a result take "
            "result.masks[0]"
        )
    return array != 0
