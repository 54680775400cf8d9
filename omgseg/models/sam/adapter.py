"""SAM behind the seam: :mod:`omgseg.protocols` in terms of its encoder and decoder."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omgseg.models.checkpoints.loading import build_for_prediction
from omgseg.models.geometry import MaskGeometry
from omgseg.models.precision import predicting
from omgseg.models.sam.everything import Decode, Found, GridConfig, find_everything, stability
from omgseg.models.sam.export import sam_graphs
from omgseg.models.sam.mask_decoder import MaskPrediction
from omgseg.models.sam.model import SAM, best_candidate, to_model_frame
from omgseg.protocols import Abilities, ExportGraph, MaskSet, Prompts, Request
from omgseg.registry import SEGMENTERS
from omgseg.structures import NO_CLASS, Segments, Task, Vocabulary
from omgseg.structures.run_lengths import encode_masks

MASK_LOGIT = 8.0
"""A mask that comes without its logits is given to the prompt encoder as plus and minus this."""
PROMPTS_AT_ONCE = 64
"""Objects that are decoded together: the decoder makes 8 MB of features for each at the published size."""


@dataclass(frozen=True)
class EncodedImage:
    """What prompts need of an image.

    Attributes:
        embedding: (1, E, h, w).
        geometry: its sizes.
        image: RGB uint8 (H, W, 3), which crops of everything mode are cut from.
    """

    embedding: Tensor
    geometry: MaskGeometry
    image: np.ndarray


@dataclass(frozen=True)
class _Answered:
    """:attr:`MaskSet.carry`: the logits (N, 1, m, m) of the masks, and the boxes (N, 4) that they answer, in pixels of
    the padded input."""

    logits: Tensor
    boxes: Tensor | None


@SEGMENTERS.register_module()
class SamSegmenter:
    """A loaded SAM, or a model with its decoder: clicks, boxes, masks, and everything.

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
    ) -> None:
        model, _ = build_for_prediction(config["model"], weights)
        self._start(model.to(device), dtype, everything, single_mask, scores)

    @classmethod
    def from_model(
        cls, model: SAM, config: Mapping[str, Any], dtype: torch.dtype = torch.float32
    ) -> SamSegmenter:
        """A model in memory behind the seam, e.g. the one that a runner tests; it stays where it is.

        Args:
            model: in eval mode.
            config: its ``segmenter`` may hold ``everything``, ``single_mask`` and ``scores``.
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
    ) -> None:
        if scores not in ("iou", "stability"):
            raise ValueError(f"segmenter.scores is 'iou' or 'stability', not {scores!r}")
        self.model = model
        self.single_mask = single_mask
        self.scores = scores
        self.dtype = dtype
        self.grid = GridConfig(**(everything or {}))
        self.abilities = Abilities(
            tasks=frozenset({Task.INTERACTIVE, Task.EVERYTHING}),
            prompts=frozenset({"points", "labels", "boxes", "masks"}),
            test_size=(model.image_size, model.image_size),
        )

    @property
    def device(self) -> torch.device:
        return self.model.pixel_mean.device

    def group_key(self, size: tuple[int, int]) -> Hashable:
        return size

    def predict(self, images: Sequence[np.ndarray], request: Request) -> list[Segments]:
        """See :meth:`Segmenter.predict`; the task is ``everything``, with the points and limits of the config.

        Raises:
            ValueError: another task.
        """
        if request.task is not Task.EVERYTHING:
            raise ValueError(
                f"SAM knows no classes: without prompts it does 'everything', not {request.task.value!r}"
            )
        grid = replace(self.grid, min_iou=max(self.grid.min_iou, request.min_score))
        results = []
        for image in images:
            found = self._find(image, grid)
            labels = [NO_CLASS] * len(found.rles)
            results.append(
                Segments(
                    request.task,
                    image.shape[:2],
                    found.rles,
                    labels,
                    _scores(found.iou),
                    vocabulary=Vocabulary() if request.words is None else request.words,
                )
            )
        return results

    def encode_image(self, image: np.ndarray) -> EncodedImage:
        with predicting(self.device, self.dtype):
            pixels, geometry = self.model.preprocess(image)
            return EncodedImage(self.model.image_encoder(pixels), geometry, image)

    def segment_prompts(self, state: EncodedImage, prompts: Prompts) -> MaskSet:
        """See :meth:`PromptableModel.segment_prompts`.

        An answer that is corrected goes in as its logits, with the box that it answered, as in the training; a mask
        from elsewhere as sure logits.
        """
        carry = prompts.carry if prompts.masks is not None else None
        points = None if prompts.points is None else self._place(prompts.points, state)
        labels = None
        if points is not None:
            given = np.ones(points.shape[:2]) if prompts.labels is None else prompts.labels
            labels = torch.from_numpy(np.asarray(given, np.int64)).to(self.device)
        if prompts.boxes is not None:
            boxes = self._place(prompts.boxes.reshape(-1, 2, 2), state).flatten(1)
        elif carry is not None:
            boxes = carry.boxes
        elif prompts.masks is None:
            boxes = self._boxes_of_clicks(state, points, labels)
        else:
            boxes = None
        is_ambiguous = (
            boxes is None and prompts.masks is None and points.shape[1] == 1 and not self.single_mask
        )
        rles, logits, iou = [], [], []
        with predicting(self.device, self.dtype):
            for start in range(0, len(prompts), PROMPTS_AT_ONCE):
                rows = slice(start, start + PROMPTS_AT_ONCE)
                masks = None
                if carry is not None:
                    masks = carry.logits[rows]
                elif prompts.masks is not None:
                    masks = self._mask_prompt(prompts.masks[rows], state.geometry)
                some = (None if given is None else given[rows] for given in (points, labels, boxes))
                prediction = self._decode(state.embedding, *some, masks)
                chosen, expected = best_candidate(prediction, is_ambiguous)
                logits.append(chosen.float())
                iou.append(expected.float())
                for _, resized in state.geometry.resized_chunks(logits[-1]):
                    rles += encode_masks((resized > 0).cpu().numpy())
        carry = _Answered(torch.cat(logits).unsqueeze(1), boxes)
        return MaskSet(rles, _scores(torch.cat(iou)), carry)

    def propose(
        self, state: EncodedImage, points_per_side: int, min_score: float, max_overlap: float
    ) -> MaskSet:
        """See :meth:`Proposer.propose`: a grid of points, with the other settings of the config; overlap is that of the
        masks' boxes."""
        grid = replace(self.grid, points_per_side=points_per_side, min_iou=min_score, max_overlap=max_overlap)
        found = self._find(state.image, grid, state)
        return MaskSet(found.rles, _scores(found.iou))

    def export_graphs(self) -> list[ExportGraph]:
        """See :meth:`Exportable.export_graphs`."""
        return sam_graphs(self.model)

    def _find(self, image: np.ndarray, grid: GridConfig, state: EncodedImage | None = None) -> Found:
        """All masks by falling score; `state` is the image, if it is encoded already."""

        def encode(pixels: np.ndarray) -> tuple[Decode, MaskGeometry]:
            is_whole = pixels.shape == image.shape
            crop = state if is_whole and state is not None else self.encode_image(pixels)

            def decode(points: Tensor) -> MaskPrediction:
                ones = torch.ones(len(points), 1, dtype=torch.long, device=self.device)
                return self._decode(crop.embedding, points.to(self.device).unsqueeze(1), ones)

            return decode, crop.geometry

        with predicting(self.device, self.dtype):
            found = find_everything(encode, image, grid)
        return found.select(found.iou.argsort(descending=True, stable=True))

    def _boxes_of_clicks(self, state: EncodedImage, points: Tensor, labels: Tensor) -> Tensor | None:
        """Boxes (N, 4) that a model gives to clicks (N, K, 2) without one, in pixels of the padded input; NaN: none."""
        return None

    def _decode(self, embedding: Tensor, *prompts: Tensor | None) -> MaskPrediction:
        """See :meth:`SAM.decode`; ``iou`` holds the scores of the config."""
        prediction = self.model.decode(embedding, *prompts)
        if self.scores == "iou":
            return prediction
        stable = stability(prediction.logits.float(), self.grid.stability_offset)
        return prediction._replace(iou=stable.nan_to_num())

    def _place(self, coordinates: np.ndarray, state: EncodedImage) -> Tensor:
        placed = to_model_frame(coordinates, state.geometry).astype(np.float32)
        return torch.from_numpy(placed).to(self.device)

    def _mask_prompt(self, masks: np.ndarray, geometry: MaskGeometry) -> Tensor:
        """Masks bool (N, H, W) as logits (N, 1, m, m); what is not image is not in the mask."""
        side, padded = self.model.prompt_encoder.mask_size, geometry.padded[0]
        size = tuple(max(round(length * side / padded), 1) for length in geometry.image)
        prompt = torch.full((len(masks), 1, side, side), -MASK_LOGIT)
        for row, mask in zip(prompt, masks, strict=True):
            small = torch.nn.functional.interpolate(
                torch.from_numpy(np.ascontiguousarray(mask))[None, None].float(), size, mode="area"
            )
            row[0, : size[0], : size[1]] = (2 * small[0, 0] - 1) * MASK_LOGIT
        return prompt.to(self.device)


def _scores(iou: Tensor) -> np.ndarray:
    """The predicted IoU is not bounded; scores are."""
    return iou.float().clamp(0, 1).cpu().numpy()
