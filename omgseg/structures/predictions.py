"""From the model's data samples to segments, task by task."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from mmdet.evaluation.functional import INSTANCE_OFFSET
from mmdet.structures import DetDataSample
from pycocotools import mask as coco_mask

from omgseg.structures.run_lengths import encode_map, encode_masks
from omgseg.structures.segments import Segments
from omgseg.structures.task import Task
from omgseg.structures.vocabulary import NO_CLASS, Vocabulary

SEGMENT_SCORES = "segment_scores"
"""Metainfo of ``pred_panoptic_seg``: the score of each value of the map."""
STUFF_ID = 2_000_000_000
"""In videos the identity of stuff is this number + its label, so that the things can be numbered from 1. Fits int32;
a stream of ten new things per second takes six years to get there."""

S = TypeVar("S", bound=Segments)


def predicted_tasks(sample: DetDataSample) -> list[Task]:
    """What was predicted for an image, or for a frame of a video."""
    return [
        task
        for task, field in (
            (Task.PANOPTIC, "pred_panoptic_seg"),
            (Task.SEMANTIC, "pred_sem_seg"),
            (Task.VOS, "pred_vos_seg"),
            (Task.INSTANCE, "pred_track_instances"),
            (Task.INTERACTIVE if "prompts" in sample else Task.INSTANCE, "pred_instances"),
        )
        if field in sample
    ]


def segments_of(
    kind: type[S],
    sample: DetDataSample,
    task: Task | str,
    vocabulary: Vocabulary | None = None,
    frame_index: int | None = None,
    **place: Any,
) -> S:
    """What the model predicted in a task.

    Args:
        kind: of the result.
        sample: on any device, with the predictions of :class:`~omgseg.models.omgseg.model.OMGSeg`.
        task: one of :func:`predicted_tasks`.
        vocabulary: of the labels; None without classes.
        frame_index: None for an image. In videos, identities are kept: the number of a thing is its identity, and
            stuff and semantic classes have a constant one.
        place: ``path``, ``name``, ``time`` and ``image`` of :class:`Segments`.

    Raises:
        ValueError: the sample has no prediction of this task.
    """
    task = Task(task)
    predicted = predicted_tasks(sample)
    if task not in predicted:
        names = ", ".join(known.value for known in predicted) or "nothing"
        raise ValueError(f"the sample holds predictions of {names}, not of {task.value}")
    vocabulary = Vocabulary() if vocabulary is None else vocabulary
    is_video = frame_index is not None
    if task in (Task.INSTANCE, Task.INTERACTIVE):
        content = _instances(sample, task)
    elif task is Task.PANOPTIC:
        content = _panoptic(sample, vocabulary, is_video)
    elif task is Task.SEMANTIC:
        content = _semantic(sample, vocabulary, is_video)
    else:
        content = _objects(sample)
    if not len(vocabulary):
        content["labels"] = np.full(len(content["rles"]), NO_CLASS)
    size = tuple(sample.ori_shape[:2])
    return kind(task, size, **content, vocabulary=vocabulary, frame_index=frame_index, **place)


def _instances(sample: DetDataSample, task: Task) -> dict[str, Any]:
    tracked = "pred_track_instances" in sample
    found = sample.pred_track_instances if tracked else sample.pred_instances
    rles = found.masks if tracked else encode_masks(found.masks.cpu().numpy())
    scores = found.scores.float().cpu().numpy()
    ids = found.instances_id.cpu().numpy() if tracked else np.arange(1, len(rles) + 1)
    labels = found.labels.cpu().numpy() if "labels" in found else np.full(len(rles), NO_CLASS)
    if task is Task.INTERACTIVE:  # in the order of the prompts, an empty mask is an answer
        return {"rles": rles, "labels": labels, "scores": scores, "ids": ids}
    order = np.argsort(-scores, kind="stable")
    order = [index for index in order.tolist() if _shows_something(rles[index])]
    ids = ids[order] if tracked else np.arange(1, len(order) + 1)
    rles = [rles[index] for index in order]
    return {"rles": rles, "labels": labels[order], "scores": scores[order], "ids": ids}


def _shows_something(run_lengths: dict[str, Any] | None) -> bool:
    """Tracks have a row in every frame, whose mask is empty where they are not seen."""
    return run_lengths is not None and bool(coco_mask.area(run_lengths))


def _panoptic(sample: DetDataSample, vocabulary: Vocabulary, is_video: bool) -> dict[str, Any]:
    panoptic = sample.pred_panoptic_seg.sem_seg[0].cpu().numpy()
    values = np.unique(panoptic)
    values = values[values != len(vocabulary)]
    labels, instances = values % INSTANCE_OFFSET, values // INSTANCE_OFFSET
    scores = sample.pred_panoptic_seg.metainfo.get(SEGMENT_SCORES, {})
    return {
        "rles": encode_map(panoptic, values.tolist()),
        "labels": labels,
        "scores": [scores.get(value, 1.0) for value in values.tolist()],
        "ids": np.where(instances > 0, instances, STUFF_ID + labels)
        if is_video
        else np.arange(1, len(values) + 1),
    }


def _semantic(sample: DetDataSample, vocabulary: Vocabulary, is_video: bool) -> dict[str, Any]:
    label_map = sample.pred_sem_seg.sem_seg[0].cpu().numpy()
    labels = np.unique(label_map)
    labels = labels[(labels >= 0) & (labels < len(vocabulary))]
    return {
        "rles": encode_map(label_map, labels.tolist()),
        "labels": labels,
        "scores": np.ones(len(labels)),
        "ids": labels + 1 if is_video else np.arange(1, len(labels) + 1),
    }


def _objects(sample: DetDataSample) -> dict[str, Any]:
    objects = sample.pred_vos_seg.sem_seg[0].cpu().numpy()
    ids = np.unique(objects)
    ids = ids[ids > 0]
    return {
        "rles": encode_map(objects, ids.tolist()),
        "labels": np.full(len(ids), NO_CLASS),
        "scores": np.ones(len(ids)),
        "ids": ids,
    }
