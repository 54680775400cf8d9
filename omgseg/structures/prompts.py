"""Where people click, and where a mask needs correcting."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor


def depth_map(mask: np.ndarray) -> np.ndarray:
    """Distance of every pixel of a mask to the nearest pixel outside of it, float32 (H, W); 0 outside.

    Args:
        mask: bool or 0/1 (H, W); what lies beyond the image's border is outside.
    """
    padded = np.pad(mask, 1).astype(np.uint8)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    # OpenCV's last digits depend on where the array lies in memory, and with them the deepest of equally deep points
    return np.sqrt(np.rint(np.square(depth, dtype=np.float64))).astype(np.float32)


def innermost_point(mask: np.ndarray) -> tuple[int, int]:
    """(x, y) of the pixel of a mask (H, W) that is farthest from its edge; the image's border is an edge."""
    depth = depth_map(mask)
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return int(x), int(y)


NO_POINT = -1
"""Label of a point that is none."""
MIN_WRONG = 10
"""Wrong pixels for each point to draw; with fewer a mask is left as it is."""


def wrong_pixels(predicted: Tensor, truth: Tensor, valid: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
    """What is missing in predicted masks, and what is too much.

    Args:
        predicted, truth: bool (..., H, W).
        valid: 1 in the image, 0 in the padding, between them at the edge; there only what is too much counts.

    Returns:
        bool (..., H, W) each.
    """
    truth = truth * valid
    differ = predicted * valid != truth
    return differ & (truth == 1), differ & (truth == 0)


def draw_corrections(
    missing: Tensor, excess: Tensor, count: int = 1, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Draw points uniformly from all wrong pixels of each mask, with replacement (EdgeSAM, arXiv:2312.06660).

    The published training and the published evaluation of the small SAMs correct masks by this rule.

    Args:
        missing, excess: bool (N, H, W), see :func:`wrong_pixels`.
        count: points per mask.
        generator: of random numbers, on the CPU. None: torch's own.

    Returns:
        Pixels int64 (N, count, 2), x and y, and labels int64 (N, count): 1 where something is missing, 0 where it is
        too much. Masks with fewer than ``MIN_WRONG * count`` wrong pixels get (0, 0) with the label ``NO_POINT``.
    """
    width = missing.shape[-1]
    counted = (missing | excess).flatten(1).cumsum(1)
    totals = counted[:, -1]
    enough = totals >= MIN_WRONG * count
    ranks = torch.zeros(len(missing), count, dtype=torch.long)
    for row, total in enumerate(totals.tolist()):
        if total >= MIN_WRONG * count:
            ranks[row] = torch.randint(total, (count,), generator=generator)
    place = torch.searchsorted(counted, ranks.to(totals.device) + 1)  # the rank-th wrong pixel, in row order
    place = place.where(enough.unsqueeze(1), 0)
    labels = missing.flatten(1).gather(1, place).long().where(enough.unsqueeze(1), NO_POINT)
    return torch.stack([place % width, place // width], dim=-1), labels
