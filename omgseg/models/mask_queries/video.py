"""Videos as clips: splitting, association of queries, tubes, video object segmentation, and the read-out of videos."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from omgseg.models.geometry import MaskGeometry
from omgseg.models.mask_queries.output import DecoderOutput
from omgseg.models.mask_queries.readout import (
    ReadoutConfig,
    geometry_of,
    read_panoptic,
    read_semantic,
    select_pairs,
    select_queries,
    set_panoptic,
)
from omgseg.structures import Task, Vocabulary
from omgseg.structures.run_lengths import encode_masks


def split_clips(num_frames: int, clip_size: int) -> list[int]:
    """Ends of the clips of a video.

    As many clips as whole clips of `clip_size` would need. What is missing in the last one is taken from the last
    clips, one frame each; where there are too few clips for that, the last clip is the short one.

    >>> split_clips(36, 5)
    [5, 10, 15, 20, 24, 28, 32, 36]
    >>> split_clips(11, 5)
    [5, 10, 11]
    """
    if num_frames < 1 or clip_size < 1:
        raise ValueError(f"a video of {num_frames} frames cannot be split into clips of {clip_size}")
    num_clips = -(-num_frames // clip_size)
    missing = num_clips * clip_size - num_frames
    if missing < num_clips:
        sizes = [clip_size] * (num_clips - missing) + [clip_size - 1] * missing
    else:
        sizes = [clip_size] * (num_clips - 1) + [clip_size - missing]
    return [sum(sizes[: index + 1]) for index in range(num_clips)]


def associate_queries(previous: Tensor, current: Tensor) -> Tensor:
    """The permutation that aligns the current clip's queries to the previous ones.

    Args:
        previous, current: (Q, D), query features before the decoder's norm.

    Returns:
        int64 (Q,): ``current[permutation]`` continues `previous`, by least total cosine distance.
    """
    with torch.autocast(current.device.type, enabled=False):  # a product of float32 would become bfloat16
        similarity = F.normalize(previous.float(), dim=-1) @ F.normalize(current.float(), dim=-1).t()
    _, permutation = linear_sum_assignment((1 - similarity).cpu().numpy())
    return torch.from_numpy(permutation).to(current.device)


ABSENT_LOGIT = -100.0
"""Mask logit of a query whose mask was not kept in a frame."""


@dataclass(frozen=True)
class FrameMasks:
    """Stride-4 masks of one frame: tube numbers (K,) and half-precision logits (K, h, w)."""

    tubes: Tensor
    logits: Tensor

    def select(self, tubes: Tensor) -> Tensor:
        """Mask logits (N, h, w) in float32 of the given tubes (N,)."""
        match = tubes.unsqueeze(1) == self.tubes
        found, row = match.any(1), match.int().argmax(1)
        logits = self.logits[row].float()
        logits[~found] = ABSENT_LOGIT
        return logits


def presence_of(output: DecoderOutput) -> Tensor:
    """The probability that a query shows an entity, (Q,): that of any class or the objectness, whichever is higher;
    either may be missing."""
    said = []
    if output.objectness_logits is not None:
        said.append(output.objectness_logits[0].sigmoid())
    if output.class_logits is not None:
        said.append(1 - output.class_logits[0].softmax(-1)[:, -1])
    return torch.stack(said).amax(0)


def clip_masks(output: DecoderOutput, order: Tensor, num_candidates: int) -> list[FrameMasks]:
    """The masks of the frames of a clip.

    Args:
        output: of one clip (B = 1).
        order: (Q,), the query of each tube.
        num_candidates: how many tubes keep their masks: those of the highest :func:`presence_of`.
    """
    presence = presence_of(output)[order]
    tubes = presence.topk(min(num_candidates, len(presence))).indices
    embeddings = output.mask_embeddings[0, order[tubes]]
    frames = []
    for features in output.mask_features[0].unbind(1):
        logits = torch.einsum("kd,dhw->khw", embeddings, features)
        frames.append(FrameMasks(tubes, logits.clamp(-1e4, 1e4).half()))
    return frames


class TubeMemory:
    """The query memory of a video: joins the queries of consecutive clips to tubes, and averages their outputs.

    Full-resolution masks are never kept: a frame costs `num_candidates` half-precision masks of stride 4, and
    everything else is one row per query.

    Args:
        num_candidates: queries whose masks are kept, see :func:`clip_masks`.
    """

    def __init__(self, num_candidates: int) -> None:
        self.num_candidates = num_candidates
        self.frames: list[FrameMasks] = []
        self._last_queries: Tensor | None = None
        self._sums: dict[str, Tensor] = {}
        self._num_clips = 0

    def add(self, output: DecoderOutput, **sums: Tensor) -> None:
        """Append a clip.

        Args:
            output: of one clip (B = 1). Either all clips of a video have class logits, or none of them has.
            sums: further tensors (Q, ...) that belong to the queries and are summed over the clips.
        """
        queries = output.queries[0]
        if self._last_queries is None:
            order = torch.arange(len(queries), device=queries.device)
        else:
            order = associate_queries(self._last_queries, queries)
        self._last_queries = queries[order]
        self._num_clips += 1
        for name in ("objectness_logits", "class_logits"):
            value = getattr(output, name)
            if value is not None:
                sums[name] = value[0]
        for name, value in sums.items():
            self._sums[name] = self._sums[name] + value[order] if name in self._sums else value[order]

        self.frames += clip_masks(output, order, self.num_candidates)

    def sum(self, name: str) -> Tensor:
        """Sum over the clips, (Q, ...), of what was added under this name."""
        return self._sums[name]

    def mean(self, name: str) -> Tensor:
        """Mean over the clips, (Q, ...)."""
        return self._sums[name] / self._num_clips


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


def _count(tubes: Tensor, *_: Tensor) -> Tensor:
    return torch.arange(1, len(tubes) + 1, device=tubes.device)


@dataclass(frozen=True)
class Numbering:
    """How segments and tracks are numbered: int64 (N,) from 1; by default they are counted.

    Attributes:
        segments: for the things of a panoptic map, given by their tubes (N,).
        tracks: for instances by falling score, given by their tubes (N,) and labels (N,).
    """

    segments: Callable[[Tensor], Tensor] = _count
    tracks: Callable[[Tensor, Tensor], Tensor] = _count


def set_video_predictions(
    frames: list[DetDataSample],
    memory: TubeMemory,
    class_probs: Tensor | None,
    vocabulary: Vocabulary,
    config: ReadoutConfig,
) -> None:
    """Set the predictions of the frames' tasks.

    Args:
        frames: get ``pred_panoptic_seg``, ``pred_track_instances``, ``pred_sem_seg``, ``pred_vos_seg``.
        memory: the whole video.
        class_probs: (Q, C + 1), of the tubes; None where ``vos`` is the only task.
    """
    tasks = frames[0].tasks
    if class_probs is not None:
        set_tube_predictions(frames, memory.frames, tasks, class_probs, vocabulary, config)
    if Task.VOS in tasks:
        maps = read_vos(memory, given_objects(frames), geometry_of(frames[0]), config.num_proposals)
        for frame, objects in zip(frames, maps, strict=True):
            frame.pred_vos_seg = PixelData(sem_seg=objects.unsqueeze(0))


def set_tube_predictions(
    frames: Sequence[DetDataSample],
    masks: Sequence[FrameMasks],
    tasks: Collection[Task],
    class_probs: Tensor,
    vocabulary: Vocabulary,
    config: ReadoutConfig,
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
            [frame_masks.select(tubes) for frame_masks in masks],
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
        for frame, frame_masks in zip(frames, masks, strict=True):
            # tubes whose masks were not kept in this frame are empty and have no vote
            labels = read_semantic(class_probs[frame_masks.tubes], frame_masks.logits.float(), geometry)
            frame.pred_sem_seg = PixelData(sem_seg=labels.int().unsqueeze(0))


def _read_tracks(
    frames: Sequence[DetDataSample],
    masks: Sequence[FrameMasks],
    class_probs: Tensor,
    num_things: int,
    config: ReadoutConfig,
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
