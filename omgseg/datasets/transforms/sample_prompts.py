"""Prompts for the objects of an image."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from omgseg.registry import TRANSFORMS
from omgseg.structures.prompts import innermost_point


@TRANSFORMS.register_module()
class SamplePrompts(BaseTransform):
    """Make prompts for objects of the (first) frame; objects without a prompt are removed.

    Adds ``prompts``: ``points`` float32 (N, 2), x y, or ``boxes`` float32 (N, 4), x1 y1 x2 y2, row by row
    those of ``gt_masks``, in pixels of the image that the model gets (the centre of the first pixel is 0.5),
    also where the masks stay at the original size. Belongs after all resizing and flipping.

    Args:
        max_prompts: objects to choose, at random. None: all.
        repeat: with fewer objects than `max_prompts`, prompt them again, elsewhere, until there are that many.
            An image with few objects then says as much about prompts as one with many.
        kind: "point" or "box".
        deterministic: the point farthest from the mask's edge, instead of a random one.
    """

    def __init__(
        self,
        max_prompts: int | None = 20,
        repeat: bool = False,
        kind: str = "point",
        deterministic: bool = False,
    ) -> None:
        if kind not in ("point", "box"):
            raise ValueError(f"SamplePrompts: kind {kind!r} must be 'point' or 'box'")
        if repeat and max_prompts is None:
            raise ValueError("SamplePrompts: repeat=True needs max_prompts")
        self.max_prompts = max_prompts
        self.repeat = repeat
        self.kind = kind
        self.deterministic = deterministic

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        rows = np.flatnonzero(results["gt_masks"][:, 0].any((1, 2)))
        if self.max_prompts is not None and len(rows) > self.max_prompts:
            rows = np.sort(np.random.choice(rows, self.max_prompts, replace=False))
        if self.repeat and len(rows):
            rows = np.resize(rows, self.max_prompts)
        for key in ("gt_masks", "gt_labels", "gt_instance_ids"):
            results[key] = results[key][rows]
        masks = results["gt_masks"][:, 0]
        height, width = results["img_shape"]
        scale = np.array([width / masks.shape[2], height / masks.shape[1]], np.float32)
        if self.kind == "box":
            boxes = np.array([_box(mask) for mask in masks], np.float32).reshape(-1, 4)
            results["prompts"] = {"boxes": boxes * np.tile(scale, 2)}
        else:
            pick = innermost_point if self.deterministic else _random_point
            points = np.array([pick(mask) for mask in masks], np.float32).reshape(-1, 2)
            results["prompts"] = {"points": (points + 0.5) * scale}
        return results


def _random_point(mask: np.ndarray) -> tuple[int, int]:
    inside = np.flatnonzero(mask)
    y, x = divmod(int(inside[np.random.randint(len(inside))]), mask.shape[1])
    return x, y


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
