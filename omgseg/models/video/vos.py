"""Video object segmentation: tubes that continue given masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.structures import DetDataSample
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from omgseg.models.readout import MaskGeometry
from omgseg.models.video.tube_memory import TubeMemory


class GivenObjects(NamedTuple):
    """Objects that are given by their masks in a frame.

    Attributes:
        frame: number of the frame.
        masks: bool (N, H, W), at the original size.
        ids: int64 (N,), their ids in the result.
    """

    frame: int
    masks: Tensor
    ids: Tensor


def given_objects(frames: Sequence[DetDataSample]) -> list[GivenObjects]:
    """The objects of a video, each in the first frame whose ``gt_instances`` has a mask of it.

    Later masks of an object are never looked at.
    """
    given, known = [], set()
    for number, frame in enumerate(frames):
        if "gt_instances" not in frame:
            continue
        instances = frame.gt_instances
        ids = instances.instances_ids.tolist()
        shown = instances.masks.flatten(1).any(1).tolist()
        rows = [row for row, index in enumerate(ids) if shown[row] and index not in known]
        if rows:
            known.update(ids[row] for row in rows)
            given.append(GivenObjects(number, instances.masks[rows], instances.instances_ids[rows]))
    return given


def match_masks(proposals: Tensor, masks: Tensor) -> Tensor:
    """The proposal that continues each mask, by the highest total IoU.

    Args:
        proposals: bool (K, H, W).
        masks: bool (N, H, W), given masks of the same frame.

    Returns:
        int64 (N,): row of the proposal, -1 where no proposal overlaps the mask.
    """
    proposal, mask = proposals.flatten(1).float(), masks.flatten(1).float()
    with torch.autocast(
        mask.device.type, enabled=False
    ):  # bfloat16 counts pixels in steps of up to thousands
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


def match_tubes(
    memory: TubeMemory, given: Sequence[GivenObjects], geometry: MaskGeometry, num_proposals: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The tubes that continue the given objects, chosen frame by frame: an object takes no tube of an earlier one,
    and changes nothing about it.

    Returns:
        Tubes, object ids and the objects' first frames, (M,) each; an object without a tube is left out.
    """
    objectness = memory.mean("objectness_logits").clone()
    tubes, ids, starts = [], [], []
    for frame, masks, object_ids in given:
        free = int(objectness.isfinite().sum())
        proposals = objectness.topk(min(num_proposals, free)).indices
        shown = geometry.resize(memory.frames[frame].select(proposals)) > 0
        matched = match_masks(shown, masks)
        found = matched >= 0
        tubes.append(proposals[matched[found]])
        ids.append(object_ids[found])
        starts.append(torch.full_like(tubes[-1], frame))
        objectness[tubes[-1]] = -torch.inf
    return torch.cat(tubes), torch.cat(ids), torch.cat(starts)


def read_vos(
    memory: TubeMemory, given: Sequence[GivenObjects], geometry: MaskGeometry, num_proposals: int
) -> list[Tensor]:
    """Object maps of all frames.

    Args:
        memory: the whole video.
        given: see :func:`given_objects`.
        geometry: sizes.
        num_proposals: tubes of the highest objectness that may be chosen in a frame.

    Returns:
        int32 (H, W) for each frame: object ids, 0 is background. Each pixel goes to the object of the highest mask
        probability above one half, among those that were given in this frame or before it.
    """
    device = memory.frames[0].logits.device
    background = torch.zeros(geometry.original, dtype=torch.int32, device=device)
    if not given:
        return [background.clone() for _ in memory.frames]
    tubes, ids, starts = match_tubes(memory, given, geometry, num_proposals)
    maps = []
    for number, frame in enumerate(memory.frames):
        present = starts <= number
        if not present.any():
            maps.append(background.clone())
            continue
        best, row = geometry.resize(frame.select(tubes[present])).max(0)
        maps.append(ids[present].int()[row] * (best > 0))
    return maps
