"""Read-outs of a whole video from its tube memory, and of a clip."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from omgseg.models.readout import read_panoptic, read_semantic, select_pairs, select_queries
from omgseg.models.readout.config import TestConfig
from omgseg.models.readout.geometry import MaskGeometry
from omgseg.models.readout.results import geometry_of, set_panoptic
from omgseg.models.video.tube_memory import FrameMasks, TubeMemory
from omgseg.models.video.vos import given_objects, read_vos
from omgseg.structures import Task, Vocabulary
from omgseg.structures.run_lengths import encode_masks


def _count(tubes: Tensor, *_: Tensor) -> Tensor:
    return torch.arange(1, len(tubes) + 1, device=tubes.device)


@dataclass(frozen=True)
class Numbering:
    """What is shown gets numbers, int64 (N,) from 1; by default it is counted.

    Attributes:
        segments: for the things of a panoptic map, given by their tubes (N,).
        tracks: for instances by falling score, given by their tubes (N,) and labels (N,).
    """

    segments: Callable[[Tensor], Tensor] = _count
    tracks: Callable[[Tensor, Tensor], Tensor] = _count


def read_video(
    frames: list[DetDataSample],
    memory: TubeMemory,
    class_probs: Tensor | None,
    vocabulary: Vocabulary,
    config: TestConfig,
) -> None:
    """Set the predictions of the frames' tasks.

    Args:
        frames: get ``pred_panoptic_seg``, ``pred_track_instances``, ``pred_sem_seg``, ``pred_vos_seg``.
        memory: the whole video.
        class_probs: (Q, C + 1), of the tubes; None where ``vos`` is the only task.
    """
    tasks = frames[0].tasks
    if class_probs is not None:
        read_tubes(frames, memory.frames, tasks, class_probs, vocabulary, config)
    if Task.VOS in tasks:
        maps = read_vos(memory, given_objects(frames), geometry_of(frames[0]), config.num_proposals)
        for frame, objects in zip(frames, maps, strict=True):
            frame.pred_vos_seg = PixelData(sem_seg=objects.unsqueeze(0))


def read_tubes(
    frames: Sequence[DetDataSample],
    masks: Sequence[FrameMasks],
    tasks: Collection[Task],
    class_probs: Tensor,
    vocabulary: Vocabulary,
    config: TestConfig,
    numbering: Numbering | None = None,
) -> None:
    """Set the predictions of the panoptic, instance and semantic tasks.

    Args:
        frames: T frames of a clip or a video; get ``pred_panoptic_seg``, ``pred_track_instances``, ``pred_sem_seg``.
        masks: T.
        tasks: what is wanted; others than the three are passed over.
        class_probs: (Q, C + 1), of the tubes.
        numbering: None: things are counted.
    """
    geometry = geometry_of(frames[0])
    numbering = Numbering() if numbering is None else numbering
    if Task.PANOPTIC in tasks:
        tubes, scores, labels = select_queries(class_probs, config.panoptic)
        maps, segment_scores = read_panoptic(
            [each.select(tubes) for each in masks],
            scores,
            labels,
            vocabulary.num_things,
            len(vocabulary),
            geometry,
            config.panoptic,
            number=lambda rows: numbering.segments(tubes[rows]),
        )
        for frame, panoptic in zip(frames, maps, strict=True):
            set_panoptic(frame, panoptic, segment_scores)
    if Task.INSTANCE in tasks:
        _read_tracks(frames, masks, class_probs, vocabulary.num_things, config, geometry, numbering)
    if Task.SEMANTIC in tasks:
        for frame, own in zip(frames, masks, strict=True):
            # tubes that are not remembered here are empty and have no vote
            labels = read_semantic(class_probs[own.tubes], own.logits.float(), geometry)
            frame.pred_sem_seg = PixelData(sem_seg=labels.int().unsqueeze(0))


def _read_tracks(
    frames: Sequence[DetDataSample],
    masks: Sequence[FrameMasks],
    class_probs: Tensor,
    num_things: int,
    config: TestConfig,
    geometry: MaskGeometry,
    numbering: Numbering,
) -> None:
    """Tracks as run lengths; a track's score is its class probability x the mean probability inside its masks."""
    pairs = select_pairs(class_probs, num_things, config.max_per_image, config.min_score)
    tubes, row = pairs.queries.unique(return_inverse=True)
    inside, area, encoded = _encode_tubes(masks, tubes, geometry)
    scores = pairs.scores * (inside / (area + 1e-6))[row]
    order = torch.argsort(scores, descending=True, stable=True)
    scores, labels, row = scores[order], pairs.labels[order], row[order]
    identities = numbering.tracks(tubes[row], labels)
    for frame, run_lengths in zip(frames, encoded, strict=True):
        frame.pred_track_instances = InstanceData(
            instances_id=identities,
            labels=labels,
            scores=scores,
            masks=[run_lengths[index] for index in row.tolist()],
        )


def _encode_tubes(
    frames: Sequence[FrameMasks], tubes: Tensor, geometry: MaskGeometry
) -> tuple[Tensor, Tensor, list[list[dict]]]:
    """Binary masks of tubes (N,) at the original size.

    Returns:
        The sum of the probabilities inside the masks and the number of pixels, (N,) each, over the frames; and for
        each frame N run lengths.
    """
    inside, area = torch.zeros(2, len(tubes), device=tubes.device)
    encoded = []
    for masks in frames:
        run_lengths: list[dict] = []
        for rows, resized in geometry.resized_chunks(masks.select(tubes)):
            binary = resized > 0
            inside[rows] += (resized.sigmoid() * binary).flatten(1).sum(1)
            area[rows] += binary.flatten(1).sum(1)
            run_lengths += encode_masks(binary.cpu().numpy())
        encoded.append(run_lengths)
    return inside, area, encoded
