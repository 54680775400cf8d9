"""Video object segmentation: tubes that continue the masks of the first frame."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from omgseg.models.readout import MaskGeometry
from omgseg.models.video.tube_memory import TubeMemory


def match_first_frame(proposals: Tensor, masks: Tensor) -> Tensor:
    """The proposal that continues each mask, by the highest total IoU.

    Args:
        proposals: bool (K, H, W), in the first frame.
        masks: bool (N, H, W), given masks of the first frame.

    Returns:
        int64 (N,): row of the proposal, -1 where no proposal overlaps the mask.
    """
    proposal, mask = proposals.flatten(1).float(), masks.flatten(1).float()
    overlap = mask @ proposal.t()
    union = mask.sum(1, keepdim=True) + proposal.sum(1) - overlap
    iou = overlap / union.clamp(min=1)
    rows, columns = linear_sum_assignment(-iou.cpu().numpy())
    matched = torch.full((len(masks),), -1, device=masks.device)
    rows, columns = torch.from_numpy(rows).to(masks.device), torch.from_numpy(columns).to(masks.device)
    matched[rows] = columns
    best = iou[rows, columns]
    matched[rows[best == 0]] = -1
    return matched


def read_vos(
    memory: TubeMemory, masks: Tensor, object_ids: Tensor, geometry: MaskGeometry, num_proposals: int
) -> list[Tensor]:
    """Object maps of all frames.

    Args:
        memory: the whole video.
        masks: bool (N, H, W), the objects in the first frame at the original size.
        object_ids: int64 (N,), their ids in the result.
        geometry: sizes.
        num_proposals: tubes of the highest objectness that may be chosen.

    Returns:
        int32 (H, W) for each frame: object ids, 0 is background. Each pixel goes to the object of the highest mask
        probability above one half.
    """
    objectness = memory.mean("objectness_logits")
    tubes = objectness.topk(min(num_proposals, len(objectness))).indices
    first = geometry.resize(memory.frames[0].select(tubes)) > 0
    matched = match_first_frame(first, masks)
    found = matched >= 0
    tubes, ids = tubes[matched[found]], object_ids[found].int()
    maps = []
    for frame in memory.frames:
        if not len(tubes):
            maps.append(torch.zeros(geometry.original, dtype=torch.int32, device=masks.device))
            continue
        best, row = geometry.resize(frame.select(tubes)).max(0)
        maps.append(ids[row] * (best > 0))
    return maps
