"""FastSAM behind the seam: everything, and prompts that choose among it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image

from omgseg.models.checkpoints.loading import CheckpointError, build_for_prediction
from omgseg.models.geometry import InputSize
from omgseg.models.precision import predicting
from omgseg.projects.fast_sam.model import FastSam
from omgseg.projects.fast_sam.selection import (
    Candidates,
    choose_by_text,
    masks_in_boxes,
    similarities,
    whole_boxes,
)
from omgseg.projects.yolact.detection import DetectionConfig, decode_boxes, find_objects
from omgseg.protocols import Abilities, MaskSet, Prompts, Request
from omgseg.registry import SEGMENTERS
from omgseg.structures import NO_CLASS, Segments, Task, Vocabulary
from omgseg.structures.run_lengths import encode_masks, mask_areas

YOLO_NAMES = ("ultralytics", "model.22.")
"""What errors about the published files of FastSAM name."""


@dataclass(frozen=True)
class EncodedImage:
    """What prompts need of an image.

    Attributes:
        image: RGB uint8 (H, W, 3).
        boxes: (P, 4), x1 y1 x2 y2 in parts of the image.
        scores: (P, 1).
        coefficients: (P, K).
        prototypes: (h, w, K).
        everything: the masks that prompts choose among.
    """

    image: np.ndarray
    boxes: torch.Tensor
    scores: torch.Tensor
    coefficients: torch.Tensor
    prototypes: torch.Tensor
    everything: Candidates | None = None


@SEGMENTERS.register_module()
class FastSamSegmenter:
    """A loaded FastSAM: everything, clicks, boxes and, with a CLIP, words.

    Args:
        config: with ``model``.
        weights: a file or an ``hf://`` location. None: random weights, the same every time, with a warning.
        device: where to compute.
        dtype: of the computation; float32, or a shorter type through autocast.
        clip: of words, ``model_name`` and ``pretrained`` of open_clip. None: words are not taken.

    Raises:
        FileNotFoundError: the weights are missing.
        CheckpointError: the file is not a checkpoint, or one of another model.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        weights: str | None,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        clip: Mapping[str, str] | None = None,
    ) -> None:
        try:
            model, _ = build_for_prediction(config["model"], weights)
        except CheckpointError as error:
            if any(name in str(error) for name in YOLO_NAMES):
                raise CheckpointError(
                    f"{weights} holds a YOLOv8-seg of ultralytics, which cannot be loaded here; this FastSAM is a "
                    "YOLACT: train one with projects/fast_sam/configs"
                ) from error
            raise
        self._start(model.to(device), dtype, clip)

    @classmethod
    def from_model(
        cls, model: FastSam, config: Mapping[str, Any], dtype: torch.dtype = torch.float32
    ) -> FastSamSegmenter:
        """A model in memory behind the seam, e.g. the one that a runner tests; it stays where it is.

        Args:
            model: in eval mode.
            config: its ``segmenter`` may hold ``clip``; what it holds for other models does not count.
            dtype: of the computation.
        """
        segmenter = cls.__new__(cls)
        segmenter._start(model, dtype, (config.get("segmenter") or {}).get("clip"))
        return segmenter

    def _start(self, model: FastSam, dtype: torch.dtype, clip: Mapping[str, str] | None) -> None:
        self.model, self.dtype = model, dtype
        self._clip = clip
        self._input_size = InputSize((model.image_size,) * 2, keep_ratio=False)
        named = {Task.INSTANCE} if clip else set()
        self.abilities = Abilities(
            tasks=frozenset({Task.INTERACTIVE, Task.EVERYTHING, *named}),
            prompts=frozenset({"points", "labels", "boxes"}),
            open_vocabulary=bool(clip),
            independent_words=bool(clip),
            test_size=self._input_size.scale,
        )

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def group_key(self, size: tuple[int, int]) -> Hashable:
        return size

    def encode_image(self, image: np.ndarray) -> EncodedImage:
        pixels = torch.from_numpy(self._input_size.resize([image])).unsqueeze(0)
        with predicting(self.device, self.dtype):
            images = self.model.normalize(pixels.to(self.device), [self._input_size.scale])
            outputs = self.model.network(images)
            state = EncodedImage(
                image,
                decode_boxes(outputs.boxes[0].float(), outputs.anchors),
                outputs.classes[0].float().softmax(-1)[:, 1:],
                outputs.coefficients[0].float(),
                outputs.prototypes[0].float(),
            )
        return replace(state, everything=self._find(state, self.model.test_config))

    def _find(self, state: EncodedImage, config: DetectionConfig) -> Candidates:
        """All masks by falling score; empty ones are left out."""
        size, side = state.image.shape[:2], self.model.image_size
        with torch.no_grad():
            rows, _, scores = find_objects(state.boxes, state.scores, config)
            boxes = whole_boxes(state.boxes[rows] * side, (side, side)) / side
            boxes = boxes * boxes.new_tensor([size[1], size[0]]).repeat(2)
            logits = (state.prototypes @ state.coefficients[rows].T).permute(2, 0, 1)
            parts = [part.cpu().numpy() for part in masks_in_boxes(logits, boxes, size)]
        rles = [rle for part in parts for rle in encode_masks(part)]
        shown = np.flatnonzero(mask_areas(rles))
        return Candidates([rles[row] for row in shown], scores.cpu().numpy()[shown], size)

    def propose(
        self, state: EncodedImage, points_per_side: int, min_score: float, max_overlap: float
    ) -> MaskSet:
        """See :meth:`Proposer.propose`. There is no grid of points; overlap is that of boxes."""
        config = replace(self.model.test_config, score_thr=min_score, iou_thr=max_overlap)
        found = self._find(state, config)
        return MaskSet(found.rles, found.scores)

    def segment_prompts(self, state: EncodedImage, prompts: Prompts) -> MaskSet:
        """See :meth:`PromptableModel.segment_prompts`.

        Points paint and erase masks, see :meth:`Candidates.paint`. A box takes the mask of the highest IoU with it; if
        there are points, too, of the masks that agree with most of them.
        """
        everything = state.everything
        masks, scores = [], []
        for row in range(len(prompts)):
            points = labels = None
            if prompts.points is not None:
                points = prompts.points[row]
                labels = np.ones(len(points), int) if prompts.labels is None else prompts.labels[row]
            if prompts.boxes is None or not len(everything):
                mask, score = everything.paint(points, labels) if points is not None else self._nothing(state)
            else:
                iou = everything.overlaps(prompts.boxes[row])
                fit = (
                    iou if points is None else everything.agreement(points, labels) + iou / 2
                )  # IoU is at most 1
                best = int(fit.argmax())
                mask, score = everything.mask(best), float(everything.scores[best])
            masks.append(mask)
            scores.append(score)
        return MaskSet(encode_masks(masks), np.array(scores, np.float32))

    @staticmethod
    def _nothing(state: EncodedImage) -> tuple[np.ndarray, float]:
        return np.zeros(state.image.shape[:2], bool), 0.0

    def predict(self, images: Sequence[np.ndarray], request: Request) -> list[Segments]:
        """See :meth:`Segmenter.predict`: everything; or for each word the mask whose crop CLIP finds most like it, if
        it is large enough, with its softmax over the crops as score.

        Raises:
            ValueError: another task.
        """
        if request.task not in self.abilities.tasks - {Task.INTERACTIVE}:
            known = "'everything' and, with words, 'instance'" if self._clip else "'everything'"
            raise ValueError(f"this FastSAM does {known}, not {request.task.value!r}")
        read = self._everything if request.task is Task.EVERYTHING else self._of_words
        return [read(image, request) for image in images]

    def _everything(self, image: np.ndarray, request: Request) -> Segments:
        found = self.encode_image(image).everything
        rows = np.flatnonzero(found.scores >= request.min_score)
        return Segments(
            request.task,
            found.size,
            [found.rles[row] for row in rows],
            [NO_CLASS] * len(rows),
            found.scores[rows],
            vocabulary=request.words,
        )

    def _of_words(self, image: np.ndarray, request: Request) -> Segments:
        found = self.encode_image(image).everything
        large = found.large()
        words = request.words or Vocabulary()
        chosen: list[tuple[float, int, int]] = []
        if len(large) and len(words):
            crops = (found.crop(image, index) for index in large)
            alike = similarities(crops, self._clip_model.image, self._clip_model.texts(words))
            for label in range(len(words)):
                index, score = choose_by_text(alike[:, label], large)
                chosen.append((score, label, index))
        chosen = sorted((entry for entry in chosen if entry[0] >= request.min_score), reverse=True)
        return Segments(
            request.task,
            found.size,
            [found.rles[index] for _, _, index in chosen],
            [label for _, label, _ in chosen],
            [score for score, _, _ in chosen],
            vocabulary=words,
        )

    @cached_property
    def _clip_model(self) -> _Clip:
        return _Clip(self._clip["model_name"], self._clip.get("pretrained"), self.device)


class _Clip:
    """Both towers of a CLIP, with its own preprocessing."""

    def __init__(self, model_name: str, pretrained: str | None, device: torch.device) -> None:
        self.model, _, self.preprocess = open_clip.create_model_and_transforms(
            model_name, pretrained=pretrained, device=device
        )
        self.model.eval()
        self.tokenize = open_clip.get_tokenizer(model_name)
        self.device = device

    @torch.no_grad()
    def image(self, pixels: np.ndarray) -> np.ndarray:
        """(E,) of RGB uint8 (H, W, 3)."""
        batch = self.preprocess(Image.fromarray(pixels)).unsqueeze(0).to(self.device)
        return self.model.encode_image(batch)[0].float().cpu().numpy()

    @torch.no_grad()
    def texts(self, words: Vocabulary) -> np.ndarray:
        """(C, E), by the bare words."""
        tokens = self.tokenize(words.names).to(self.device)
        return self.model.encode_text(tokens).float().cpu().numpy()
