"""OMG-Seg behind the seam (:mod:`omgseg.protocols`): NumPy images in, segments out.

It hides the test size, batches, the precision, how words and limits are set for a call, and how clicks are combined,
which the model itself takes one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from omgseg.models.checkpoints.loading import build_for_prediction, words_of
from omgseg.models.geometry import InputSize, input_size_of, interpolate
from omgseg.models.mask_queries.readout import geometry_of
from omgseg.models.objects import check_objects
from omgseg.models.omgseg.classifier import text_logits
from omgseg.models.omgseg.model import Features, OMGSeg
from omgseg.models.omgseg.prompting import (
    Answered,
    Click,
    begun,
    clicks_of,
    combine,
    first_positive_first,
    group_of,
    settle,
    to_prompts,
)
from omgseg.models.omgseg.streaming import ObjectTracker, VideoStream
from omgseg.models.precision import predicting
from omgseg.protocols import Abilities, MaskSet, Prompts, Request
from omgseg.registry import SEGMENTERS
from omgseg.structures import Segments, Task, Vocabulary
from omgseg.structures.predictions import segments_of
from omgseg.structures.run_lengths import decode_masks, encode_masks

WORD_TASKS = (Task.PANOPTIC, Task.INSTANCE, Task.SEMANTIC)
"""Tasks of images and videos that need words and no prompts."""
PROMPTS_AT_ONCE = 256
"""Prompts that are decoded together: what they take grows with their number."""


@dataclass(frozen=True)
class EncodedImage:
    """What prompts need of an image.

    Attributes:
        sample: of the image, with the sizes on the way to the model.
        features: of the model, with the decoder's cache.
    """

    sample: DetDataSample
    features: Features

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the original image."""
        return tuple(self.sample.ori_shape[:2])


class MaskQuerySegmenter:
    """A loaded model whose flow is that of :class:`OMGSeg`: images, prompts and videos.

    Args:
        config: with ``model``; its test pipeline says to what size images are resized.
        weights: a file or an ``hf://`` location, ours or in the published layout. None: random weights, the same every
            time, with a warning; no file is read then, not even the weights of the image encoder.
        device: where to compute.
        dtype: of the computation; float32, or a shorter type through autocast.
        scale: (width, height) instead of the config's test size.

    Attributes:
        tasks: what it offers.
        model: in eval mode.

    Raises:
        FileNotFoundError: the weights, or those of the image encoder, are missing.
        CheckpointError: the file is not a checkpoint, or one of another model.
    """

    tasks: frozenset[Task] = frozenset({*WORD_TASKS, Task.INTERACTIVE})

    def __init__(
        self,
        config: Mapping[str, Any],
        weights: str | None,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        scale: tuple[int, int] | None = None,
    ) -> None:
        self._set(build_model(config["model"], weights).to(device), config, device, dtype, scale)

    @classmethod
    def from_model(
        cls, model: OMGSeg, config: Mapping[str, Any], dtype: torch.dtype = torch.float32
    ) -> MaskQuerySegmenter:
        """A model in memory behind the seam, e.g. the one that a runner tests; it stays where it is.

        Args:
            model: in eval mode.
            config: its test pipeline says to what size images are resized.
            dtype: of the computation.
        """
        segmenter = cls.__new__(cls)
        segmenter._set(model, config, next(model.parameters()).device, dtype)
        return segmenter

    def _set(
        self,
        model: OMGSeg,
        config: Mapping[str, Any],
        device: torch.device,
        dtype: torch.dtype,
        scale: tuple[int, int] | None = None,
    ) -> None:
        self.model = model
        self.device = device
        self.dtype = dtype
        self._input_size = input_size_of(config) if scale is None else InputSize(tuple(scale))
        self.abilities = Abilities(
            tasks=self.tasks,
            prompts=frozenset({"points", "labels", "boxes", "masks"}),
            open_vocabulary=True,
            vocabulary=self.model.train_vocabulary or self.model.vocabulary or None,
            test_size=self._input_size.scale,
        )

    @property
    def clip_size(self) -> int:
        return self.model.test_config.clip_size

    def group_key(self, size: tuple[int, int]) -> tuple[int, int]:
        return self._input_size.shape_of(size)

    def predict(self, images: Sequence[np.ndarray], request: Request) -> list[Segments]:
        _check_task(request)
        clips = [self._pack([image], request.task) for image in images]
        with self._answering(request) as words:
            samples = self.model.test_step(
                {
                    "inputs": [pixels for pixels, _ in clips],
                    "data_samples": [sample for _, (sample,) in clips],
                }
            )
            return [_to_segments(sample, request, words) for sample in samples]

    # prompts

    def encode_image(self, image: np.ndarray) -> EncodedImage:
        pixels, samples = self._pack([image], Task.INTERACTIVE)
        with predicting(self.device, self.dtype):
            batch = self.model.data_preprocessor({"inputs": [pixels], "data_samples": samples})
            features = self.model.encode(batch["inputs"], batch["data_samples"])
            return EncodedImage(batch["data_samples"][0], self.model.with_cache(features))

    def segment_prompts(self, state: EncodedImage, prompts: Prompts) -> MaskSet:
        """See :meth:`PromptableModel.segment_prompts`.

        A model that has learned corrections sees all prompts of an object together. Any other gives each click and each
        box a mask of its own, and every further click corrects the first mask nearby (:func:`refine_mask`). An object
        begins as `masks` say, with its box, or with its first positive click; what is found for a box stays in it,
        unless a positive click lies outside. Of contradictory clicks the last one counts.

        Returns:
            The score of a mask is the mean probability of its pixels; pixels of given masks count as sure. An empty
            mask scores 0.
        """
        carry = prompts.carry if prompts.masks is not None else None
        clicks = clicks_of(prompts)
        answered = [0] * len(prompts) if carry is None else carry.clicks
        new = [of_object[start:] for of_object, start in zip(clicks, answered, strict=True)]
        boxes = prompts.boxes if carry is None else carry.boxes
        with predicting(self.device, self.dtype):
            if self.model.prompt_encoder.knows_corrections:
                found = self._segment_groups(state, prompts, clicks, boxes)
            else:
                found = self._segment_one_by_one(state, prompts, new)
            rles: list[dict[str, Any]] = []
            scores: list[float] = []
            for row, (of_object, (mask, score)) in enumerate(zip(new, found, strict=True)):
                if prompts.masks is not None and not of_object:  # there is nothing to correct
                    mask = prompts.masks[row]
                    score = float(mask.any()) if carry is None else carry.scores[row]
                rles += encode_masks([mask])
                scores.append(score)
        answer = Answered(scores, [len(of_object) for of_object in clicks], boxes)
        return MaskSet(rles, np.array(scores, np.float32), answer)

    def _segment_one_by_one(
        self, state: EncodedImage, prompts: Prompts, clicks: list[list[Click]]
    ) -> Iterator[tuple[np.ndarray, float]]:
        """The mask (H, W) of each object and its score, by a model of single prompts."""
        if prompts.masks is None and prompts.boxes is None:
            clicks = [first_positive_first(of_object) for of_object in clicks]
        of_points = self._mask_logits(
            state, "points", [click[:2] for of_object in clicks for click in of_object]
        )
        boxes = [] if prompts.boxes is None or prompts.masks is not None else prompts.boxes
        of_boxes = self._mask_logits(state, "boxes", boxes)
        for row, of_object in enumerate(clicks):
            start = begun(prompts, row, of_boxes)
            yield combine(start, [(*click, next(of_points)) for click in of_object], state.size)

    def _segment_groups(
        self, state: EncodedImage, prompts: Prompts, clicks: list[list[Click]], boxes: np.ndarray | None
    ) -> Iterator[tuple[np.ndarray, float]]:
        """The mask (H, W) of each object and its score, by a model that has learned corrections."""
        masks = [None] * len(clicks) if prompts.masks is None else prompts.masks
        boxes = [None] * len(clicks) if boxes is None else boxes
        groups = [group_of(*of_object) for of_object in zip(clicks, boxes, masks, strict=True)]
        shown = [row for row, group in enumerate(groups) if group is not None]
        most = max((1 + len(groups[row].clicks) for row in shown), default=1)
        at_once = max(PROMPTS_AT_ONCE // most, 1)
        with_masks = prompts.masks is not None and self.model.prompt_encoder.knows_masks
        logits = []
        for start in range(0, len(shown), at_once):
            rows = shown[start : start + at_once]
            given = to_prompts(
                [groups[row] for row in rows],
                [masks[row] for row in rows] if with_masks else None,
                state.sample,
                state.features.mask_features,
            )
            (output,) = self.model.decode(state.features, given, every_layer=False)
            logits.append(output.mask_logits[0, :, 0].float())
        full_size = _full_size(state.sample, torch.cat(logits)) if logits else iter(())
        for group, of_object, box in zip(groups, clicks, boxes, strict=True):
            if group is None:
                yield np.zeros(state.size, bool), 0.0
            else:
                yield settle(next(full_size), of_object, box)

    def _mask_logits(self, state: EncodedImage, kind: str, prompts: Any) -> Iterator[np.ndarray]:
        """Mask logits float32 (H, W) of each prompt, in pixels of the original image, a few at a time."""
        if not len(prompts):
            return iter(())
        return _full_size(state.sample, self._decode_prompts(state, kind, np.asarray(prompts, np.float32)))

    def _decode_prompts(self, state: EncodedImage, kind: str, prompts: np.ndarray) -> Tensor:
        """Mask logits (N, h, w) of points (N, 2) or boxes (N, 4)."""
        factors = np.tile(np.asarray(state.sample.scale_factor, np.float32), prompts.shape[1] // 2)
        scaled = torch.from_numpy(prompts * factors).to(state.features.mask_features.device)
        found = []
        for chunk in scaled.split(PROMPTS_AT_ONCE):
            (output,) = self.model.decode(state.features, {kind: chunk.unsqueeze(0)}, every_layer=False)
            found.append(output.mask_logits[0, :, 0].float())
        return torch.cat(found)

    # videos

    def predict_video(self, frames: Sequence[np.ndarray], request: Request) -> list[Segments]:
        _check_task(request)
        pixels, samples = self._pack(frames, request.task)
        with self._answering(request) as words:
            (video,) = self.model.test_step({"inputs": [pixels], "data_samples": [_as_video(samples)]})
            return _to_frames(video.video_data_samples, request, words)

    def open_stream(self, request: Request) -> MaskQueryStream:
        return MaskQueryStream(self, request)

    # what all calls share

    def _pack(self, frames: Sequence[np.ndarray], task: Task) -> tuple[Tensor, list[DetDataSample]]:
        """Resize frames of one size: uint8 (T, 3, h, w), and a sample of each."""
        pixels = self._input_size.resize(frames)
        size, shape = frames[0].shape[:2], pixels.shape[-2:]
        sizes = dict(ori_shape=size, img_shape=shape, scale_factor=(shape[1] / size[1], shape[0] / size[0]))
        samples = [DetDataSample(metainfo=dict(sizes, tasks=(task.value,))) for _ in frames]
        return torch.from_numpy(pixels), samples

    @contextmanager
    def _answering(self, request: Request) -> Iterator[Vocabulary]:
        """The model with the words and the limit of a request; gives its words.

        Raises:
            ValueError: neither the request nor the model has words.
        """
        words = self.abilities.vocabulary if request.words is None else request.words
        if not words:
            raise ValueError(
                "no words: the checkpoint holds no training vocabulary; give some, e.g. vocabulary=['dog', 'car'] or "
                "vocabulary='coco'"
            )
        config = self.model.test_config
        with predicting(self.device, self.dtype):
            self.model.set_vocabulary(words)
            self.model.test_config = replace(config, min_score=request.min_score)
            try:
                yield words
            finally:
                self.model.test_config = config


class MaskQueryStream:
    """A video, clip by clip; a :class:`~omgseg.protocols.ClipStream`."""

    def __init__(self, segmenter: MaskQuerySegmenter, request: Request) -> None:
        self._segmenter, self._request = segmenter, request
        self._steps = VideoStream(segmenter.model, (request.task,))
        self._start = 0

    def push(self, frames: Sequence[np.ndarray]) -> list[Segments]:
        pixels, samples = self._segmenter._pack(frames, self._request.task)
        with self._segmenter._answering(self._request) as words:
            found = _to_frames(self._steps.push(pixels, samples), self._request, words, self._start)
        self._start += len(frames)
        return found


@SEGMENTERS.register_module()
class OMGSegSegmenter(MaskQuerySegmenter):
    """A loaded OMG-Seg; implements every protocol."""

    tasks = frozenset(Task)

    def propose(
        self, state: EncodedImage, points_per_side: int, min_score: float, max_overlap: float
    ) -> MaskSet:
        """See :meth:`Proposer.propose`: what the learned queries and a grid of points find, each thing once.

        A mask's score is the mean probability inside it; times the objectness for learned queries, which find nothing
        most of the time; 0 for a point that is not in its mask.
        """
        height, width = state.size
        middles = (np.arange(points_per_side, dtype=np.float32) + 0.5) / points_per_side
        grid = np.stack(np.meshgrid(middles * width, middles * height, indexing="ij"), -1).reshape(-1, 2)
        with predicting(self.device, self.dtype):
            of_points = self._decode_prompts(state, "points", grid)
            (output,) = self.model.decode(state.features, every_layer=False, with_classes=False)
            of_queries = output.mask_logits[0, :, 0].float()
            scores = torch.cat(
                [
                    _confidence(of_points) * _holds_its_point(of_points, grid, state.sample),
                    _confidence(of_queries) * output.objectness_logits[0].float().sigmoid(),
                ]
            )
            logits = torch.cat([of_points, of_queries])
            order = scores.argsort(descending=True, stable=True)
            order = order[scores[order] >= max(min_score, torch.finfo(scores.dtype).tiny)]
            kept = order[_first_of_equals(logits[order] > 0, max_overlap)]
            rles = encode_masks(found > 0 for found in _full_size(state.sample, logits[kept]))
        return MaskSet(rles, scores[kept].cpu().numpy())

    def name_masks(
        self, state: EncodedImage, rles: Sequence[dict[str, Any]], words: Vocabulary
    ) -> np.ndarray:
        """See :meth:`MaskNamer.name_masks`: by the frozen CLIP's own view of what is under the masks (mask pooling).

        The prompts' own queries cannot say it: they were trained without classes.
        """
        if not rles or not len(words):
            return np.zeros((len(rles), len(words)), np.float32)
        feature = state.features.last_feature
        cells = []
        with predicting(self.device, self.dtype):
            for rle in rles:  # one by one: only CLIP's small map of each stays
                mask = mask_in_model(state.sample, rle).to(feature.device) - 0.5
                cells.append(interpolate(mask, tuple(feature.shape[-2:])))
            self.model.set_vocabulary(words)
            encoder = self.model.image_encoder
            embeddings, seen = encoder.embed_masks(feature, torch.cat(cells).unsqueeze(0))
            logits = text_logits(embeddings, self.model.class_embeddings, encoder.logit_scale)[0, :, :-1]
            return (logits.float().softmax(-1) * seen[0].unsqueeze(-1)).cpu().numpy()

    def track_video(self, frames: Sequence[np.ndarray], masks: np.ndarray, ids: np.ndarray) -> list[Segments]:
        check_objects(masks, ids)
        if tuple(masks.shape[1:]) != frames[0].shape[:2]:
            raise ValueError(
                f"the masks are {masks.shape[1:]}, the frames {frames[0].shape[:2]} (height, width)"
            )
        pixels, samples = self._pack(frames, Task.VOS)
        samples[0].gt_instances = InstanceData(
            masks=torch.from_numpy(np.ascontiguousarray(masks, bool)), instances_ids=torch.as_tensor(ids)
        )
        with predicting(self.device, self.dtype):
            (video,) = self.model.test_step({"inputs": [pixels], "data_samples": [_as_video(samples)]})
            return _to_frames(video.video_data_samples, Request(Task.VOS), None)

    def open_tracker(self) -> OMGSegTracker:
        return OMGSegTracker(self)


class OMGSegTracker:
    """A video in which given objects are followed; an :class:`~omgseg.protocols.ObjectStream`."""

    def __init__(self, segmenter: OMGSegSegmenter) -> None:
        self._segmenter = segmenter
        self._steps = ObjectTracker(segmenter.model)
        self._start = 0

    def add(self, masks: np.ndarray, ids: np.ndarray, frame: int = 0) -> None:
        check_objects(masks, ids)
        self._steps.add(torch.from_numpy(np.ascontiguousarray(masks, bool)), torch.as_tensor(ids), frame)

    def push(self, frames: Sequence[np.ndarray]) -> list[Segments]:
        pixels, samples = self._segmenter._pack(frames, Task.VOS)
        with predicting(self._segmenter.device, self._segmenter.dtype):
            samples = self._steps.push(pixels, samples)
            found = _to_frames(samples, Request(Task.VOS), None, self._start)
        self._start += len(frames)
        return found


def build_model(config: Mapping[str, Any], weights: str | None) -> OMGSeg:
    """Build a model for prediction; see :class:`OMGSegSegmenter`.

    Args:
        config: the config's ``model``.

    Returns:
        The model in eval mode, on the CPU; its ``train_vocabulary`` is that of the checkpoint, if it has one.
    """
    config = dict(config)
    if weights is None:
        for part in ("image_encoder", "text_encoder"):
            config[part] = dict(config[part], pretrained=None)
    model, checkpoint = build_for_prediction(config, weights)
    if weights is not None:
        model.train_vocabulary = words_of(checkpoint)
    return model


def _check_task(request: Request) -> None:
    """Raises ValueError for a task that is not one of images or videos without prompts."""
    if request.task not in WORD_TASKS:
        raise ValueError(
            f"the task {request.task.value!r} cannot be predicted from pixels and words alone; "
            f"{', '.join(task.value for task in WORD_TASKS)} can"
        )


def _as_video(samples: list[DetDataSample]) -> TrackDataSample:
    video = TrackDataSample()
    video.video_data_samples = samples
    return video


def _to_segments(
    sample: DetDataSample, request: Request, words: Vocabulary | None, index: int | None = None
) -> Segments:
    found = segments_of(Segments, sample, request.task, words, index)
    return found.confident(request.min_score) if request.min_score > 0 else found


def _to_frames(
    samples: Sequence[DetDataSample], request: Request, words: Vocabulary | None, start: int = 0
) -> list[Segments]:
    return [_to_segments(sample, request, words, index) for index, sample in enumerate(samples, start)]


# masks


def mask_in_model(sample: DetDataSample, rle: dict[str, Any]) -> Tensor:
    """A mask of the original size in pixels of the padded image that the model sees: float32 (1, H, W), 0 to 1."""
    height, width = sample.batch_input_shape[:2]
    mask = torch.from_numpy(decode_masks([rle], tuple(sample.ori_shape[:2]))).float()
    mask = interpolate(mask, tuple(sample.img_shape[:2]))
    return F.pad(mask, (0, width - mask.shape[-1], 0, height - mask.shape[-2]))


def _full_size(sample: DetDataSample, logits: Tensor) -> Iterator[np.ndarray]:
    """Mask logits (N, h, w) one by one as (H, W) of the original image."""
    for _, resized in geometry_of(sample).resized_chunks(logits):
        yield from resized.cpu().numpy()


def _confidence(logits: Tensor) -> Tensor:
    """Mean probability inside the masks (N, h, w); 0 for empty ones."""
    inside = logits > 0
    return (logits.sigmoid() * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)


def _holds_its_point(logits: Tensor, points: np.ndarray, sample: DetDataSample) -> Tensor:
    """Whether a point (N, 2) of the original image lies in the mask that it has asked for; a mask elsewhere answers
    another question."""
    height, width = sample.batch_input_shape[:2]
    in_model = torch.from_numpy(points).to(logits.device) * logits.new_tensor(sample.scale_factor)
    x, y = (
        (in_model * logits.new_tensor([logits.shape[2] / width, logits.shape[1] / height])).long().unbind(1)
    )
    rows = torch.arange(len(logits), device=logits.device)
    return logits[rows, y.clamp(max=logits.shape[1] - 1), x.clamp(max=logits.shape[2] - 1)] > 0


def _first_of_equals(masks: Tensor, max_overlap: float) -> Tensor:
    """Rows of the masks (N, h, w) that overlap no earlier one that stays by more than this IoU."""
    flat = masks.flatten(1).float()
    with torch.autocast(flat.device.type, enabled=False):  # counts of pixels need all their digits
        area = flat.sum(1)
        overlap = flat @ flat.t()
    equal = (overlap / (area.unsqueeze(1) + area - overlap).clamp(min=1) > max_overlap).cpu()
    kept: list[int] = []
    gone = torch.zeros(len(masks), dtype=torch.bool)
    for row in range(len(masks)):
        if not gone[row]:
            kept.append(row)
            gone |= equal[row]
    return torch.tensor(kept, dtype=torch.int64, device=masks.device)
