"""SAM behind the seam: :mod:`omgseg.protocols` in terms of its encoder and decoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omgseg.models.checkpoints.loading import build_for_prediction, words_of
from omgseg.models.precision import predicting
from omgseg.models.sam.everything import Candidates, GridConfig, stability
from omgseg.models.sam.export import sam_graphs
from omgseg.models.sam.model import SAM
from omgseg.models.sam.prompting import EncodedImage, PromptSegmenter, prompt_abilities
from omgseg.protocols import ExportGraph
from omgseg.registry import SEGMENTERS


class SamFamilySegmenter(PromptSegmenter):
    """A loaded model with SAM's parts, or with parts that stand for them: clicks, boxes, masks, and everything.

    Args:
        config: with ``model``.
        weights: a file or an ``hf://`` location. None: random weights, the same every time, with a warning.
        device: where to compute.
        dtype: of the computation; float32, or a shorter type through autocast.
        everything: fields of :class:`GridConfig`; what a call says goes first.
        single_mask: answer a single click, too, with the mask for unambiguous prompts, as published evaluations do, and
            not with the best of three.
        scores: what masks are scored and chosen by: ``"iou"``, the IoU that the model expects; or ``"stability"`` of
            the decoder's logits, for models that are not trained to expect an IoU.
        all_candidates: answer every prompt with the best of three, for models whose mask for unambiguous prompts is not
            what they are used with; it goes before `single_mask`.

    Raises:
        FileNotFoundError: the weights are missing.
        CheckpointError: the file is not a checkpoint, or one of another model.
        ValueError: `scores` is unknown.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        weights: str | None,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        everything: Mapping[str, Any] | None = None,
        single_mask: bool = False,
        scores: str = "iou",
        all_candidates: bool = False,
    ) -> None:
        model, checkpoint = build_for_prediction(config["model"], weights)
        model.train_vocabulary = words_of(checkpoint)
        self._start(model.to(device), dtype, everything, single_mask, scores, all_candidates)

    @classmethod
    def from_model(
        cls, model: SAM, config: Mapping[str, Any], dtype: torch.dtype = torch.float32
    ) -> SamFamilySegmenter:
        """A model in memory behind the seam, e.g. the one that a runner tests; it stays where it is.

        Args:
            model: in eval mode.
            config: its ``segmenter`` may hold ``everything``, ``single_mask``, ``scores`` and ``all_candidates``.
            dtype: of the computation.
        """
        segmenter = cls.__new__(cls)
        options = {key: value for key, value in (config.get("segmenter") or {}).items() if key != "type"}
        segmenter._start(model, dtype, **options)
        return segmenter

    def _start(
        self,
        model: SAM,
        dtype: torch.dtype,
        everything: Mapping[str, Any] | None = None,
        single_mask: bool = False,
        scores: str = "iou",
        all_candidates: bool = False,
    ) -> None:
        if scores not in ("iou", "stability"):
            raise ValueError(f"segmenter.scores is 'iou' or 'stability', not {scores!r}")
        self.model = model
        self.single_mask = single_mask
        self.scores = scores
        self.all_candidates = all_candidates
        self.dtype = dtype
        self.grid = GridConfig(**(everything or {}))
        self.mask_size = model.prompt_encoder.mask_size
        self.abilities = prompt_abilities(model.image_size)

    @property
    def device(self) -> torch.device:
        return self.model.pixel_mean.device

    def encode_image(self, image: np.ndarray) -> EncodedImage:
        with predicting(self.device, self.dtype):
            pixels, geometry = self.model.preprocess(image)
            return EncodedImage(self.model.image_encoder(pixels), geometry, image)

    def decode(
        self,
        state: EncodedImage,
        points: Tensor | None,
        labels: Tensor | None,
        boxes: Tensor | None,
        masks: Tensor | None,
        is_ambiguous: bool,
    ) -> Candidates:
        """See :meth:`PromptSegmenter.decode`; ``iou`` holds the scores of the config."""
        prediction = self.model.decode(state.embedding, points, labels, boxes, masks)
        kept = slice(1, None) if is_ambiguous or self.all_candidates else slice(1)
        logits, iou = prediction.logits[:, kept], prediction.iou[:, kept]
        if self.scores == "stability":
            iou = stability(logits.float(), self.grid.stability_offset).nan_to_num()
        return Candidates(logits, iou)


@SEGMENTERS.register_module()
class SamSegmenter(SamFamilySegmenter):
    """A loaded SAM, or a model with its prompt encoder and mask decoder."""

    def export_graphs(self) -> list[ExportGraph]:
        """See :meth:`Exportable.export_graphs`."""
        return sam_graphs(self.model)
