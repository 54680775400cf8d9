"""Puts what was read out onto data samples, under mmdet's names."""

from __future__ import annotations

import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import mask2bbox
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from omgseg.models.readout.config import TestConfig
from omgseg.models.readout.geometry import MaskGeometry
from omgseg.models.readout.instance import mask_confidence, select_pairs
from omgseg.models.readout.panoptic import read_panoptic, select_queries
from omgseg.models.readout.semantic import read_semantic
from omgseg.structures import Task, Vocabulary
from omgseg.structures.predictions import SEGMENT_SCORES


def geometry_of(frame: DetDataSample) -> MaskGeometry:
    """The sizes of a frame, from its metainfo."""
    return MaskGeometry(
        tuple(frame.batch_input_shape[:2]), tuple(frame.img_shape[:2]), tuple(frame.ori_shape[:2])
    )


def read_image(
    sample: DetDataSample,
    class_probs: Tensor,
    mask_logits: Tensor,
    vocabulary: Vocabulary,
    config: TestConfig,
) -> None:
    """Set the predictions of the sample's tasks.

    Args:
        sample: gets ``pred_panoptic_seg``, ``pred_instances``, ``pred_sem_seg``, as its ``tasks`` ask.
        class_probs: (Q, C + 1).
        mask_logits: (Q, h, w).
    """
    geometry = geometry_of(sample)
    if Task.PANOPTIC in sample.tasks:
        queries, scores, labels = select_queries(class_probs, config.panoptic)
        (panoptic,), segment_scores = read_panoptic(
            [mask_logits[queries]],
            scores,
            labels,
            vocabulary.num_things,
            len(vocabulary),
            geometry,
            config.panoptic,
        )
        set_panoptic(sample, panoptic, segment_scores)
    if Task.INSTANCE in sample.tasks:
        pairs = select_pairs(class_probs, vocabulary.num_things, config.max_per_image, config.min_score)
        confidence, (masks,) = mask_confidence([mask_logits[pairs.queries]], geometry)
        sample.pred_instances = _sorted_by_score(
            InstanceData(
                labels=pairs.labels, scores=pairs.scores * confidence, masks=masks, bboxes=mask2bbox(masks)
            )
        )
    if Task.SEMANTIC in sample.tasks:
        labels = read_semantic(class_probs, mask_logits, geometry)
        sample.pred_sem_seg = PixelData(sem_seg=labels.unsqueeze(0))


def set_panoptic(sample: DetDataSample, panoptic: Tensor, segment_scores: dict[int, float]) -> None:
    """Set ``pred_panoptic_seg``: the map (H, W), and the scores of its values as metainfo ``segment_scores``."""
    sample.pred_panoptic_seg = PixelData(
        sem_seg=panoptic.unsqueeze(0), metainfo={SEGMENT_SCORES: segment_scores}
    )


def read_prompts(sample: DetDataSample, mask_logits: Tensor) -> None:
    """Set ``pred_instances`` of an interactive sample: binary masks and their confidence, in prompt order.

    Args:
        mask_logits: (N, h, w), one a prompt.
    """
    confidence, (masks,) = mask_confidence([mask_logits], geometry_of(sample))
    sample.pred_instances = InstanceData(masks=masks, scores=confidence, bboxes=mask2bbox(masks))


def _sorted_by_score(instances: InstanceData) -> InstanceData:
    return instances[torch.argsort(instances.scores, descending=True, stable=True)]
