"""Read-outs: what a task takes from the queries, and under which names it is set on data samples.

The names are the contract with evaluation, pictures and results. A sample (``DetDataSample``, in videos one per frame)
gets these fields for its ``tasks``, at the original size (H, W); labels index the vocabulary:

- panoptic: ``pred_panoptic_seg.sem_seg`` int32 (1, H, W): label + 1000 x instance, with instance 0 for stuff; the
  number of classes is void; int64 where numbers exceed int32. Its metainfo ``segment_scores`` maps values to scores.
- instance, of images: ``pred_instances`` with ``labels`` and ``scores`` (N,) by falling score, ``masks`` bool (N, H, W)
  and ``bboxes`` (N, 4).
- instance, of videos: ``pred_track_instances`` with ``instances_id``, ``labels`` and ``scores`` (N,), and ``masks``, N
  run lengths; the rows are the same in all frames of a clip, and a mask is empty where the track is not seen.
- semantic: ``pred_sem_seg.sem_seg`` int (1, H, W): labels; the number of classes is void.
- interactive: ``pred_instances`` with ``scores`` (N,), ``masks`` and ``bboxes`` in the order of the prompts. The click
  benchmark (:class:`~omgseg.engine.click_loop.ClickLoop`) adds ``pred_box`` and ``pred_clicks``.
- vos: ``pred_vos_seg.sem_seg`` int32 (1, H, W): ids of the given objects; 0 is the background.

The task everything sets none: a :class:`~omgseg.protocols.Proposer` is asked for it. Its benchmark
(:class:`~omgseg.engine.click_loop.ProposalLoop`) sets ``pred_proposals`` with ``masks``, N run lengths, and ``scores``.

:func:`set_image_predictions` and :func:`set_prompt_predictions` set those of images,
:func:`~omgseg.models.mask_queries.video.set_video_predictions` those of videos and
:func:`~omgseg.models.mask_queries.video.set_tube_predictions` those of a stream's clips.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from mmdet.evaluation.functional import INSTANCE_OFFSET
from mmdet.structures import DetDataSample
from mmdet.structures.mask import mask2bbox
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from omgseg.messages import did_you_mean
from omgseg.models.geometry import MaskGeometry
from omgseg.models.mask_queries.winners import blocks, mask_areas, saves_by_block, winning_queries
from omgseg.structures import Task, Vocabulary
from omgseg.structures.predictions import SEGMENT_SCORES

_TINY = 1e-8


def fuse_zero_shot(
    query_logits: Tensor,
    zero_shot_logits: Tensor,
    seen: Tensor,
    mask_nonempty: Tensor,
    alpha: float,
    beta: float,
) -> Tensor:
    """Geometric ensemble (FC-CLIP, arXiv:2308.02487, section 3.3) of the decoder's class scores and CLIP's own.

    CLIP weighs `alpha` for classes seen in training, and `beta` for the others.

    Args:
        query_logits: (..., Q, C + 1), the background last.
        zero_shot_logits: (..., Q, C), of the mask-pooled CLIP embeddings.
        seen: bool (C,).
        mask_nonempty: (..., Q): where the mask covers no cell of CLIP's map, the decoder counts alone.
        alpha, beta: CLIP's share in 0..1.

    Returns:
        Log-probabilities (..., Q, C + 1); the background keeps the decoder's probability.
    """
    share = torch.where(seen, alpha, beta) * mask_nonempty.unsqueeze(-1)
    foreground = (1 - share) * query_logits[..., :-1].log_softmax(-1) + share * zero_shot_logits.log_softmax(
        -1
    )
    background = query_logits.softmax(-1)[..., -1:]
    probability = torch.cat([foreground.softmax(-1) * (1 - background), background], dim=-1)
    return torch.log(probability + _TINY)


@dataclass(frozen=True)
class PanopticConfig:
    """Thresholds, in mmdet's words.

    Attributes:
        object_mask_thr: queries of a lower score are left out.
        iou_thr: a segment survives when it keeps this share of its own mask's area.
        filter_low_score: a segment does not reach beyond its own mask.
    """

    object_mask_thr: float = 0.0
    iou_thr: float = 0.8
    filter_low_score: bool = True


def select_queries(class_probs: Tensor, config: PanopticConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Queries that name a class.

    Args:
        class_probs: (Q, C + 1), the background last.

    Returns:
        Indices, scores and labels of the selected queries, (K,) each.
    """
    scores, labels = class_probs.max(-1)
    keep = (labels != class_probs.shape[-1] - 1) & (scores > config.object_mask_thr)
    indices = keep.nonzero().squeeze(-1)
    return indices, scores[indices], labels[indices]


def read_panoptic(
    frames: Sequence[Tensor],
    scores: Tensor,
    labels: Tensor,
    num_things: int,
    num_classes: int,
    geometry: MaskGeometry,
    config: PanopticConfig,
    number: Callable[[Tensor], Tensor] | None = None,
) -> tuple[list[Tensor], dict[int, float]]:
    """Panoptic maps of the frames of a clip; an image is a clip of one frame.

    A query is one segment of the whole clip: it survives or not as a tube, and its instance number is constant.

    Args:
        frames: mask logits (K, h, w) of the selected queries, one per frame.
        scores, labels: (K,).
        num_things: labels below are things.
        num_classes: the value of void.
        geometry: sizes.
        config: thresholds.
        number: instance numbers, from 1, of the things that survive, given as rows of the queries. Default: they are
            counted.

    Returns:
        int32 (H, W) for each frame in mmdet's encoding: ``label + 1000 * instance``, instance 0 for stuff (int64 where
        that exceeds int32); and the score of each value of the maps: the highest of its queries.
    """
    if num_classes >= INSTANCE_OFFSET:
        raise ValueError(
            f"panoptic maps hold fewer than {INSTANCE_OFFSET} classes (mmdet's encoding), the vocabulary has"
            f" {num_classes}: use instance or semantic read-out, or a smaller vocabulary"
        )
    if not len(scores):
        empty = torch.full(geometry.original, num_classes, dtype=torch.int32, device=scores.device)
        return [empty.clone() for _ in frames], {}
    winners = [winning_queries(logits, scores, geometry) for logits in frames]
    won = sum(_count(rows, len(scores)) for rows, _ in winners)
    if saves_by_block(scores):
        winning = won.nonzero().squeeze(1)
        areas = torch.zeros_like(won)
        for logits in frames:
            areas[winning] += mask_areas(logits[winning], geometry)
    else:
        areas = sum(mask_areas(logits, geometry) for logits in frames)
    values = _segment_values(won, areas, labels, num_things, num_classes, config.iou_thr, number)
    maps = []
    for rows, inside in winners:
        segments = values[rows.long()]
        if config.filter_low_score:
            segments = torch.where(inside, segments, num_classes)
        maps.append(segments)
    return maps, _segment_scores(values, scores, num_classes)


def _count(rows: Tensor, length: int) -> Tensor:
    """How often each number of 0..length - 1 occurs, int64 (length,)."""
    rows = rows.flatten()
    if saves_by_block(rows):
        return torch.bincount(rows, minlength=length)
    # bincount would wait for the greatest number
    counts = torch.zeros(length, dtype=torch.int64, device=rows.device)
    return counts.index_add_(0, rows, torch.ones_like(rows, dtype=torch.int64))


def _segment_values(
    won: Tensor,
    areas: Tensor,
    labels: Tensor,
    num_things: int,
    num_classes: int,
    iou_thr: float,
    number: Callable[[Tensor], Tensor] | None,
) -> Tensor:
    """The map value, int32 or int64 (K,), of each query: its segment where it survives, else void.

    Args:
        won: (K,), pixels that the query has won.
        areas: (K,), pixels of its mask.
    """
    survives = (won > 0) & (areas > 0) & (won / areas.clamp(min=1) >= iou_thr)
    is_thing = survives & (labels < num_things)
    if number is None:
        instance = is_thing.cumsum(0) * is_thing
    else:
        things = is_thing.nonzero().squeeze(1)
        instance = torch.zeros_like(labels)
        instance[things] = number(things)
    value = torch.where(survives, labels + instance * INSTANCE_OFFSET, num_classes)
    # the numbers of a stream without an end outgrow int32 when they are encoded
    is_large = number is not None and bool(value.max() > torch.iinfo(torch.int32).max)
    return value if is_large else value.int()


def _segment_scores(values: Tensor, scores: Tensor, num_classes: int) -> dict[int, float]:
    """The score of each map value but void; several queries may share one of stuff."""
    best: dict[int, float] = {}
    both = torch.stack((values.double(), scores.double()))  # the host waits once
    for value, score in zip(*both.tolist(), strict=True):
        if value != num_classes:
            best[int(value)] = max(score, best.get(int(value), 0.0))
    return best


@dataclass(frozen=True)
class InstanceCandidates:
    """(query, class) pairs, (N,) each: row of the query, label, class probability."""

    queries: Tensor
    labels: Tensor
    scores: Tensor


def select_pairs(
    class_probs: Tensor, num_things: int, max_per_image: int, min_score: float = 0.0
) -> InstanceCandidates:
    """The best pairs over all classes, of which the things are kept.

    Args:
        class_probs: (Q, C + 1), the background last.
        num_things: labels below are things.
        max_per_image: how many pairs are considered.
        min_score: pairs of a lower probability are left out.
    """
    num_classes = class_probs.shape[-1] - 1
    flat = class_probs[:, :-1].flatten()
    scores, index = flat.topk(min(max_per_image, len(flat)))
    labels = index % num_classes
    kept = (labels < num_things) & (scores >= min_score)
    return InstanceCandidates((index // num_classes)[kept], labels[kept], scores[kept])


def mask_confidence(frames: Sequence[Tensor], geometry: MaskGeometry) -> tuple[Tensor, list[Tensor]]:
    """Binary masks at the original size and the mean probability inside them, over all frames.

    Args:
        frames: mask logits (K, h, w), one per frame.
        geometry: sizes.

    Returns:
        The confidence (K,), and bool masks (K, H, W) for each frame.
    """
    count = len(frames[0])
    inside, area = frames[0].new_zeros(count), frames[0].new_zeros(count)
    masks = []
    for logits in frames:
        binary = torch.empty(count, *geometry.original, dtype=torch.bool, device=logits.device)
        for rows, resized in geometry.resized_chunks(logits):
            binary[rows] = resized > 0
            inside[rows] += (resized.sigmoid() * binary[rows]).flatten(1).sum(1)
            area[rows] += binary[rows].flatten(1).sum(1)
        masks.append(binary)
    return inside / (area + 1e-6), masks


NEGLIGIBLE = 1e-8
"""Votes that cannot exceed this anywhere in a block are left out: rounding changes a sum by more."""


def read_semantic(class_probs: Tensor, mask_logits: Tensor, geometry: MaskGeometry) -> Tensor:
    """Label of every pixel.

    The votes of all classes exist for one block of pixels at a time, so memory does not grow with classes x pixels.

    Args:
        class_probs: (Q, C + 1), the background last.
        mask_logits: (Q, h, w).
        geometry: sizes.

    Returns:
        int64 (H, W).
    """
    weights = class_probs[:, :-1].t().contiguous()
    highest = weights.amax(0) if len(weights) else class_probs.new_zeros(len(mask_logits))
    labels = torch.empty(geometry.original, dtype=torch.int64, device=class_probs.device)
    for block in blocks(geometry, mask_logits.shape[-2:]):
        voters = slice(None)
        if saves_by_block(mask_logits):
            greatest = mask_logits[(slice(None), *block.cells)].flatten(1).amax(1)
            voters = (highest * greatest.sigmoid() > NEGLIGIBLE).nonzero().squeeze(1)
        masks = block.resize(mask_logits, voters).sigmoid_()
        votes = weights[:, voters] @ masks.flatten(1)
        labels[block.result] = votes.argmax(0).view(masks.shape[1:])
    return labels


@dataclass(frozen=True)
class ReadoutConfig:
    """``test_cfg`` of the model.

    Attributes:
        panoptic: thresholds of the panoptic read-out.
        max_per_image: (query, class) pairs of the instance read-out.
        min_score: pairs of a lower class probability are not read out. Their score, which is this probability times
            the confidence of the mask, would be lower still.
        ensemble: fuse class scores with the frozen CLIP's own.
        alpha, beta: CLIP's share for seen and for unseen classes.
        clip_size: frames of a clip of a test video.
        short_video, short_clip_size: videos of at most `short_video` frames are split into shorter clips.
        num_proposals: queries of the highest objectness that may continue a first-frame mask.
        num_candidates: queries whose masks are remembered per clip; the others are empty there.
        recognition: of a stream: a query of a lower cosine similarity to the past of an entity shows another one.
    """

    panoptic: PanopticConfig = field(default_factory=PanopticConfig)
    max_per_image: int = 100
    min_score: float = 0.0
    ensemble: bool = True
    alpha: float = 0.4
    beta: float = 0.8
    clip_size: int = 5
    short_video: int = 15
    short_clip_size: int = 3
    num_proposals: int = 25
    num_candidates: int = 100
    recognition: float = 0.8

    def clip_size_for(self, num_frames: int) -> int:
        """Frames of a clip, for a video of this length."""
        return self.short_clip_size if num_frames <= self.short_video else self.clip_size

    @classmethod
    def from_dict(cls, config: dict[str, Any] | None) -> ReadoutConfig:
        """Read a config's ``test_cfg``.

        Raises:
            ValueError: a key does not exist; the message names the nearest one that does.
        """
        config = dict(config or {})
        panoptic = config.pop("panoptic", {})
        _check_keys(config, [f.name for f in fields(cls)], "test_cfg")
        _check_keys(panoptic, [f.name for f in fields(PanopticConfig)], "test_cfg.panoptic")
        return cls(panoptic=PanopticConfig(**panoptic), **config)


def _check_keys(config: dict[str, Any], known: list[str], where: str) -> None:
    for key in config:
        if key not in known:
            raise ValueError(
                f"{where} has no key {key!r}{did_you_mean(key, known)} (keys: {', '.join(known)})"
            )


def geometry_of(frame: DetDataSample) -> MaskGeometry:
    """The sizes of a frame, from its metainfo."""
    return MaskGeometry(
        tuple(frame.batch_input_shape[:2]), tuple(frame.img_shape[:2]), tuple(frame.ori_shape[:2])
    )


def set_image_predictions(
    sample: DetDataSample,
    class_probs: Tensor,
    mask_logits: Tensor,
    vocabulary: Vocabulary,
    config: ReadoutConfig,
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


def set_prompt_predictions(sample: DetDataSample, mask_logits: Tensor) -> None:
    """Set ``pred_instances`` of an interactive sample: binary masks and their confidence, in prompt order.

    Args:
        mask_logits: (N, h, w), one per prompt.
    """
    confidence, (masks,) = mask_confidence([mask_logits], geometry_of(sample))
    sample.pred_instances = InstanceData(masks=masks, scores=confidence, bboxes=mask2bbox(masks))


def _sorted_by_score(instances: InstanceData) -> InstanceData:
    return instances[torch.argsort(instances.scores, descending=True, stable=True)]
