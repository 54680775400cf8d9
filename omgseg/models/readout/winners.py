"""Which query wins each pixel, computed only where a query can win at all.

A pixel's mask logit is a weighted mean of the cells around it, so within a group of cells it lies between the least
and the greatest cell there. A query whose greatest possible score x mask probability is below another query's least
possible one wins no pixel of that group, and is left out exactly.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from omgseg.models.readout.blocks import Block, blocks
from omgseg.models.readout.geometry import MaskGeometry

GROUP = 4
"""Side of a group of cells, over which masks are bounded."""
_REACH = 1
"""Cells beyond a group that its pixels may depend on."""
_SLACK = 1e-3
"""More than rounding can move a value across a bound."""
_AT_A_TIME = 16
"""Masks whose bounds are computed together: few enough for caches."""


def winning_queries(logits: Tensor, scores: Tensor, geometry: MaskGeometry) -> tuple[Tensor, Tensor]:
    """The query with the highest score x mask probability at each pixel; the first one of equals.

    Args:
        logits: (K, h, w), mask logits.
        scores: (K,), above 0.
        geometry: sizes.

    Returns:
        Row of the winner, int32 (H, W), and whether the pixel lies in the winner's own mask, bool (H, W).
    """
    least, greatest = _bounds(logits)
    scores = scores.view(-1, 1, 1)
    reached = (scores * least.sigmoid()).amax(0)
    possible = scores * greatest.sigmoid() * (1 + _SLACK) >= reached
    rows = torch.empty(geometry.original, dtype=torch.int32, device=logits.device)
    inside = torch.empty(geometry.original, dtype=torch.bool, device=logits.device)
    for block in blocks(geometry, logits.shape[-2:]):
        candidates = possible[(slice(None), *_groups(block))].flatten(1).any(1).nonzero().squeeze(1)
        probability = block.resize(logits, candidates).sigmoid_()
        _, row = (probability * scores[candidates]).max(0)
        rows[block.result] = candidates[row].int()
        inside[block.result] = probability.gather(0, row.unsqueeze(0)).squeeze(0) >= 0.5
    return rows, inside


def mask_areas(logits: Tensor, geometry: MaskGeometry) -> Tensor:
    """Pixels (K,) where the mask probability is at least one half.

    Args:
        logits: (K, h, w).
    """
    least, greatest = _bounds(logits)
    areas = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
    for block in blocks(geometry, logits.shape[-2:]):
        groups = _groups(block)
        full = least[(slice(None), *groups)].flatten(1).amin(1) >= 0
        empty = greatest[(slice(None), *groups)].flatten(1).amax(1) < -_SLACK
        partial = (~(full | empty)).nonzero().squeeze(1)
        size = [index.stop - index.start for index in block.result]
        areas += full * (size[0] * size[1])
        areas[partial] += (block.resize(logits, partial).sigmoid_() >= 0.5).flatten(1).sum(1)
    return areas


def _bounds(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Least and greatest logit (K, h / GROUP, w / GROUP) that any pixel of a group of cells can have."""
    height, width = logits.shape[-2:]
    borders = (_REACH, _REACH + -width % GROUP, _REACH, _REACH + -height % GROUP)
    window = GROUP + 2 * _REACH
    bounds = ([], [])
    for maps in logits.split(_AT_A_TIME):
        maps = F.pad(maps, borders, mode="replicate")
        for bound, extreme in zip(bounds, (torch.amin, torch.amax), strict=True):
            rows = extreme(maps.unfold(1, window, GROUP), -1)
            bound.append(extreme(rows.unfold(2, window, GROUP), -1))
    return torch.cat(bounds[0]), torch.cat(bounds[1])


def _groups(block: Block) -> tuple[slice, slice]:
    """The groups that hold a block's cells."""
    return tuple(slice(cells.start // GROUP, -(-cells.stop // GROUP)) for cells in block.cells)
