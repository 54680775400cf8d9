"""SAM behind the seam: :mod:`omgseg.protocols` in terms of its encoder and decoder."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omgseg.models.checkpoints.loading import CheckpointError, build_for_prediction, read_checkpoint
from omgseg.models.geometry import MaskGeometry
from omgseg.models.sam.everything import Found, GridConfig, find_everything
from omgseg.models.sam.model import SAM, best_candidate, to_model_frame
from omgseg.models.sam.published import recognise
from omgseg.protocols import Abilities, MaskSet, Prompts, Request
from omgseg.registry import SEGMENTERS
from omgseg.structures import NO_CLASS, Segments, Task, Vocabulary
from omgseg.structures.run_lengths import encode_masks

MASK_LOGIT = 8.0
"""A mask that comes without its logits is given to the prompt encoder as plus and minus this."""


@dataclass(frozen=True)
class SamState:
    """An encoded image.

    Attributes:
        embedding: (1, E, h, w).
        geometry: its sizes.
        image: RGB uint8 (H, W, 3), which crops of the everything mode are cut from.
    """

    embedding: Tensor
    geometry: MaskGeometry
    image: np.ndarray


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

    Raises:
        FileNotFoundError: the weights are missing.
        CheckpointError: the file is not a checkpoint, or one of another model of the family, which it names.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        weights: str | None,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        everything: Mapping[str, Any] | None = None,
        single_mask: bool = False,
    ) -> None:
        try:
            model, _ = build_for_prediction(config["model"], weights)
        except CheckpointError as error:
            known = recognise(read_checkpoint(weights)["state_dict"])
            hint = f"\nThis is the layout of {known[0]}: use {known[1]}" if known else ""
            raise CheckpointError(f"{error}{hint}") from error
        self._start(model.to(device), dtype, everything, single_mask)

    @classmethod
    def from_model(
        cls, model: SAM, config: Mapping[str, Any], dtype: torch.dtype = torch.float32
    ) -> SamSegmenter:
        """A model in memory behind the seam, e.g. the one that a runner tests; it stays where it is.

        Args:
            model: in eval mode.
            config: its ``segmenter`` may hold ``everything`` and ``single_mask``.
            dtype: of the computation.
        """
        segmenter = cls.__new__(cls)
        options = config.get("segmenter") or {}
        segmenter._start(model, dtype, options.get("everything"), options.get("single_mask", False))
        return segmenter

    def _start(
        self, model: SAM, dtype: torch.dtype, everything: Mapping[str, Any] | None, single_mask: bool
    ) -> None:
        self.model = model
        self.single_mask = single_mask
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

    @contextmanager
    def _computing(self) -> Iterator[None]:
        short = torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)
        with torch.no_grad(), short:
            yield

    def group_key(self, size: tuple[int, int]) -> Hashable:
        return size

    def predict(self, images: Sequence[np.ndarray], request: Request) -> list[Segments]:
        results = []
        for image in images:
            found = self._find(image, replace(self.grid, min_iou=max(self.grid.min_iou, request.min_score)))
            order = found.iou.argsort(descending=True, stable=True)
            found = found.select(order)
            labels = [NO_CLASS] * len(found.rles)
            results.append(
                Segments(
                    request.task,
                    image.shape[:2],
                    found.rles,
                    labels,
                    _scores(found.iou),
                    vocabulary=Vocabulary(),
                )
            )
        return results

    def encode_image(self, image: np.ndarray) -> SamState:
        with self._computing():
            pixels, geometry = self.model.preprocess(image)
            return SamState(self.model.image_encoder(pixels), geometry, image)

    def segment_prompts(self, state: SamState, prompts: Prompts) -> MaskSet:
        points = labels = boxes = masks = None
        if prompts.points is not None:
            points = self._place(prompts.points, state)
            given = np.ones(prompts.points.shape[:2]) if prompts.labels is None else prompts.labels
            labels = torch.from_numpy(np.asarray(given, np.int64)).to(self.device)
        if prompts.boxes is not None:
            corners = prompts.boxes.reshape(-1, 2, 2)
            boxes = self._place(corners, state).flatten(1)
        if prompts.carry is not None:
            masks = prompts.carry.to(self.device)
        elif prompts.masks is not None:
            masks = self._mask_prompt(prompts.masks, state.geometry)
        with self._computing():
            prediction = self.model.decode(state.embedding, points, labels, boxes, masks)
            is_ambiguous = boxes is None and masks is None and points is not None and points.shape[1] == 1
            logits, iou = best_candidate(prediction, is_ambiguous and not self.single_mask)
            rles = []
            for _, resized in state.geometry.resized_chunks(logits.float()):
                rles += encode_masks((resized > 0).cpu().numpy())
        return MaskSet(rles, _scores(iou), carry=logits.float().unsqueeze(1))

    def propose(self, state: SamState, points_per_side: int, min_score: float, max_overlap: float) -> MaskSet:
        config = replace(
            self.grid, points_per_side=points_per_side, min_iou=min_score, max_overlap=max_overlap
        )
        found = self._find(state.image, config, state)
        found = found.select(found.iou.argsort(descending=True, stable=True))
        return MaskSet(found.rles, _scores(found.iou))

    def _find(self, image: np.ndarray, config: GridConfig, state: SamState | None = None) -> Found:
        def encode(pixels: np.ndarray):
            known = state is not None and pixels.shape == image.shape
            crop = state if known else self.encode_image(pixels)

            def decode(points: Tensor):
                ones = torch.ones(len(points), 1, dtype=torch.long, device=self.device)
                return self.model.decode(crop.embedding, points.to(self.device).unsqueeze(1), ones)

            return decode, crop.geometry

        with self._computing():
            return find_everything(encode, image, config)

    def _place(self, coordinates: np.ndarray, state: SamState) -> Tensor:
        placed = to_model_frame(coordinates, state.geometry).astype(np.float32)
        return torch.from_numpy(placed).to(self.device)

    def _mask_prompt(self, masks: np.ndarray, geometry: MaskGeometry) -> Tensor:
        """Masks bool (N, H, W) as logits (N, 1, m, m)."""
        side, padded = self.model.prompt_encoder.mask_size, geometry.padded[0]
        size = tuple(max(round(length * side / padded), 1) for length in geometry.image)
        prompt = torch.full((len(masks), 1, side, side), -MASK_LOGIT)
        for row, mask in zip(prompt, masks, strict=True):
            small = torch.nn.functional.interpolate(
                torch.from_numpy(mask)[None, None].float(), size, mode="area"
            )
            row[0, : size[0], : size[1]] = (2 * small[0, 0] - 1) * MASK_LOGIT
        return prompt.to(self.device)


def _scores(iou: Tensor) -> np.ndarray:
    """The predicted IoU is not bounded; scores are."""
    return iou.float().clamp(0, 1).cpu().numpy()
