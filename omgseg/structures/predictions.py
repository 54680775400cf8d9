"""From the model's data samples to segments and back, task by task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from mmdet.evaluation.functional import INSTANCE_OFFSET
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData
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


def set_predictions(frames: Sequence[DetDataSample], found: Sequence[Segments], is_video: bool) -> None:
    """Set the predictions of a task, the inverse of :func:`segments_of`: what metrics read.

    :mod:`omgseg.models.mask_queries.readout` lists the fields. A pixel of no segment, or of one without a class, is
    void: the number of classes. Instances without a class are left out, and so is stuff.

    Args:
        frames: the frames of a video, or one image.
        found: for each the segments of one task, with the words of the dataset.
        is_video: whether instances are tracks. The score of a track is its mean over the frames that show it, its label
            the most frequent one.
    """
    task = found[0].task
    if task is Task.PANOPTIC:
        _set_panoptic(frames, found)
    elif task is Task.SEMANTIC:
        for frame, segments in zip(frames, found, strict=True):
            labels = segments.label_map
            labels[labels == NO_CLASS] = len(segments.vocabulary)
            frame.pred_sem_seg = _map_of(labels)
    elif task is Task.VOS:
        for frame, segments in zip(frames, found, strict=True):
            frame.pred_vos_seg = _map_of(segments.id_map)
    else:
        found = [segments.select((segments.labels != NO_CLASS) & segments.is_thing) for segments in found]
        if is_video:
            _set_tracks(frames, found)
        else:
            _set_instances(frames[0], found[0])


def _map_of(values: np.ndarray, **metainfo: Any) -> PixelData:
    return PixelData(sem_seg=torch.from_numpy(values).unsqueeze(0), metainfo=metainfo)


def _set_panoptic(frames: Sequence[DetDataSample], found: Sequence[Segments]) -> None:
    """Things are numbered from 1 by rising ids, the same in all frames."""
    things = np.unique(np.concatenate([segments.ids[segments.is_thing] for segments in found]))
    for frame, segments in zip(frames, found, strict=True):
        numbers = np.where(segments.is_thing, np.searchsorted(things, segments.ids) + 1, 0)
        values = segments.labels + INSTANCE_OFFSET * numbers
        void = len(segments.vocabulary)
        values[segments.labels == NO_CLASS] = void
        scores: dict[int, float] = {}
        for value, score in zip(values.tolist(), segments.scores.tolist(), strict=True):
            scores[value] = max(score, scores.get(value, 0.0))
        scores.pop(void, None)
        table = np.concatenate([[void], values])
        frame.pred_panoptic_seg = _map_of(table[segments.index_map], **{SEGMENT_SCORES: scores})


def _set_instances(sample: DetDataSample, segments: Segments) -> None:
    sample.pred_instances = InstanceData(
        labels=torch.from_numpy(segments.labels.copy()),
        scores=torch.from_numpy(segments.scores.copy()),
        masks=torch.from_numpy(segments.masks),
        bboxes=torch.from_numpy(segments.boxes.copy()),
    )


def _set_tracks(frames: Sequence[DetDataSample], found: Sequence[Segments]) -> None:
    """Tracks by falling score; those of equal scores by rising ids."""
    ids = np.unique(np.concatenate([segments.ids for segments in found]))
    rows = [np.searchsorted(ids, segments.ids) for segments in found]
    votes = np.zeros((len(ids), len(found[0].vocabulary)), np.int64)
    sums = np.zeros(len(ids))
    for of_frame, segments in zip(rows, found, strict=True):
        votes[of_frame, segments.labels] += 1
        sums[of_frame] += segments.scores
    scores = sums / votes.sum(1)
    order = np.argsort(-scores, kind="stable")
    for frame, of_frame, segments in zip(frames, rows, found, strict=True):
        masks = dict(zip(of_frame.tolist(), segments.rles, strict=True))
        frame.pred_track_instances = InstanceData(
            instances_id=torch.from_numpy(ids[order]),
            labels=torch.from_numpy(votes.argmax(1)[order]),
            scores=torch.from_numpy(scores[order]),
            masks=[masks.get(row) for row in order.tolist()],
        )
