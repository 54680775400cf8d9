"""Points at which masks are compared (PointRend, arXiv:1912.08193; Mask2Former, section 3.3)."""

import torch
import torch.nn.functional as F
from torch import Tensor

CANDIDATES = 2**19
"""Candidate points that exist at a time: few enough for caches."""


def sample_at(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of maps at points; zero outside.

    Args:
        maps: (N, C, h, w).
        points: (N, P, 2), x and y in 0..1 of the map.

    Returns:
        (N, C, P).
    """
    grid = (2 * points).sub_(1).unsqueeze(1).to(maps.dtype)
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="zeros", align_corners=False).squeeze(2)


@torch.no_grad()
def uncertain_points(
    logits: Tensor, num_points: int, oversample_ratio: float, importance_ratio: float
) -> Tensor:
    """Points where a mask is least certain, and some at random.

    Args:
        logits: (N, h, w), mask logits.
        num_points: P.
        oversample_ratio: how many times P candidates are drawn.
        importance_ratio: share of the P points that are the most uncertain candidates; the rest is random.

    Returns:
        (N, P, 2), x and y in 0..1.
    """
    num_candidates = int(num_points * oversample_ratio)
    num_important = int(num_points * importance_ratio)
    parts = logits.split(max(1, CANDIDATES // max(1, num_candidates)))
    important = torch.cat([_most_uncertain(part, num_candidates, num_important) for part in parts])
    random = torch.rand(len(logits), num_points - num_important, 2, device=logits.device)
    return torch.cat([important, random], dim=1)


def _most_uncertain(logits: Tensor, num_candidates: int, num_important: int) -> Tensor:
    """Of random points, those where the logit is nearest to 0: (N, num_important, 2)."""
    candidates = torch.rand(len(logits), num_candidates, 2, device=logits.device)
    certainty = sample_at(logits.unsqueeze(1), candidates).squeeze(1).abs_()
    chosen = certainty.topk(num_important, largest=False, sorted=False).indices
    return candidates.gather(1, chosen.unsqueeze(-1).expand(-1, -1, 2))
