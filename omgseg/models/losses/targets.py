"""Ground truth of a clip as the losses see it: one mask tube and one label per entity."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample, TrackDataSample
from torch import Tensor


@dataclass(frozen=True)
class ClipTargets:
    """Entities of one clip.

    Attributes:
        labels: int64 (N,); ``NO_CLASS`` (-1) where an entity has no class.
        masks: bool (N, T, H, W) at the size of the padded input; empty in frames without the entity.
    """

    labels: Tensor
    masks: Tensor


def frames_of(sample: DetDataSample | TrackDataSample) -> list[DetDataSample]:
    """The frames of a sample: an image is a clip of one frame."""
    return list(sample.video_data_samples) if isinstance(sample, TrackDataSample) else [sample]


def clip_targets(sample: DetDataSample | TrackDataSample, size: tuple[int, int]) -> ClipTargets:
    """Stack the frames' masks, padded at the right and the bottom to `size` (height, width).

    Raises:
        ValueError: the frames of a clip do not list the same entities, or a mask has another size than its frame.
    """
    frames = frames_of(sample)
    instances = [frame.gt_instances for frame in frames]
    labels = instances[0].labels
    masks = []
    for frame, entity in zip(frames, instances, strict=True):
        if not torch.equal(entity.labels, labels):
            raise ValueError(
                f"{frame.img_path}: gt_instances of the frames of a clip must list the same entities"
            )
        if tuple(entity.masks.shape[-2:]) != tuple(frame.img_shape[:2]):
            raise ValueError(
                f"{frame.img_path}: gt_instances.masks are {tuple(entity.masks.shape[-2:])},"
                f" but the image is {tuple(frame.img_shape[:2])}"
            )
        height, width = entity.masks.shape[-2:]
        masks.append(F.pad(entity.masks.bool(), (0, size[1] - width, 0, size[0] - height)))
    return ClipTargets(labels, torch.stack(masks, dim=1))
