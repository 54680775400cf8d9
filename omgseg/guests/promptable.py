"""SAM and its successors: clicks, boxes, masks, and everything.

The parts of a network are called one by one, as its ``forward`` does: so an image is encoded once, and networks for
videos, which have no ``forward`` for images, answer prompts as those for images do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from omgseg.guests.guest import ImageGuest, Loaded
from omgseg.models.geometry import MaskGeometry
from omgseg.models.precision import predicting
from omgseg.models.sam.everything import Candidates, GridConfig
from omgseg.models.sam.prompting import EncodedImage, PromptSegmenter, prompt_abilities

CELLS_AT_ONCE = 2**16
"""Prompts are decoded a few at a time, with so many cells of the embedding together, or one: 16 at the published sizes,
whose features take 0.5 GB."""


class SamGuest(PromptSegmenter, ImageGuest):
    """SAM (arXiv:2304.02643): an image is fitted into a square, and padded."""

    def __init__(self, loaded: Loaded) -> None:
        ImageGuest.__init__(self, loaded, loaded.image_processor())
        encoder = self.network.prompt_encoder
        self.image_size, self.cells = encoder.input_image_size, encoder.image_embedding_size
        self.mask_size = 4 * self.cells[0]
        self.grid = GridConfig()
        self.abilities = prompt_abilities(self.image_size)

    def encode_image(self, image: np.ndarray) -> EncodedImage:
        inputs = self.preprocess([image])
        with predicting(self.device, self.dtype):
            features = self.embed(inputs["pixel_values"])
        with predicting(self.device, torch.float32):
            features["image_positional_embeddings"] = self.network.get_image_wide_positional_embeddings()
        return EncodedImage(features, self.sizes(image.shape[:2], inputs), image)

    def embed(self, pixels: Tensor) -> dict[str, Any]:
        """What the mask decoder reads of an image (1, 3, S, S), by the decoder's arguments."""
        return {"image_embeddings": self.network.get_image_embeddings(pixels)}

    def sizes(self, size: tuple[int, int], inputs: dict[str, Any]) -> MaskGeometry:
        """How masks come to the size of an image, (height, width), as by ``post_process_masks``."""
        height, width = inputs["reshaped_input_sizes"][0].tolist()
        return MaskGeometry((self.image_size, self.image_size), (height, width), size)

    def decode(
        self,
        state: EncodedImage,
        points: Tensor | None,
        labels: Tensor | None,
        boxes: Tensor | None,
        masks: Tensor | None,
        is_ambiguous: bool,
    ) -> Candidates:
        at_once = max(CELLS_AT_ONCE // (self.cells[0] * self.cells[1]), 1)
        count = len(next(given for given in (points, boxes, masks) if given is not None))
        parts = []
        for start in range(0, count, at_once):
            rows = slice(start, start + at_once)
            some = (None if given is None else given[rows] for given in (points, labels, boxes, masks))
            parts.append(self._decode(state.embedding, *some, is_ambiguous))
        return Candidates(*(torch.cat(fields) for fields in zip(*parts, strict=True)))

    def _decode(
        self,
        features: dict[str, Any],
        points: Tensor | None,
        labels: Tensor | None,
        boxes: Tensor | None,
        masks: Tensor | None,
        is_ambiguous: bool,
    ) -> Candidates:
        """See :meth:`decode`. Every object is an image of its own, as only images have mask prompts each."""
        with predicting(self.device, torch.float32):  # autocast would round the angles of positions
            sparse, dense = self.embed_prompts(points, labels, boxes, masks)
        embedding = features["image_embeddings"].expand(len(dense), -1, -1, -1)
        with predicting(self.device, self.dtype):
            logits, iou, *_ = self.network.mask_decoder(
                **features | {"image_embeddings": embedding},
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=is_ambiguous,
            )
        return Candidates(logits[:, 0], iou[:, 0])

    def embed_prompts(
        self, points: Tensor | None, labels: Tensor | None, boxes: Tensor | None, masks: Tensor | None
    ) -> tuple[Tensor | None, Tensor]:
        """Embeddings (N, 1, tokens, E) and (N, E, h, w) of the prompts of N objects."""
        prompts = (None if given is None else given.float().unsqueeze(1) for given in (points, boxes))
        points, boxes = prompts
        labels = None if labels is None else labels.unsqueeze(1)
        return self.network.prompt_encoder(points, labels, boxes, masks)


class SamHQGuest(SamGuest):
    """HQ-SAM (arXiv:2306.01567)."""

    def embed(self, pixels: Tensor) -> dict[str, Any]:
        embedding, stages = self.network.get_image_embeddings(pixels)
        return {"image_embeddings": embedding, "intermediate_embeddings": stages, "hq_token_only": False}


class Sam2Guest(SamGuest):
    """SAM 2 (arXiv:2408.00714), the tracker of SAM 3 (arXiv:2511.16719) and EdgeTAM (arXiv:2501.07256): an image is
    resized to a square, and masks from their own size to the image's."""

    def embed(self, pixels: Tensor) -> dict[str, Any]:
        *fine, coarse = self.network.get_image_embeddings(pixels)
        return {"image_embeddings": coarse, "high_resolution_features": fine}

    def sizes(self, size: tuple[int, int], inputs: dict[str, Any]) -> MaskGeometry:
        """The square has the size of the masks, which are resized to the image's at once."""
        cells = (self.mask_size, self.mask_size)
        return MaskGeometry(cells, cells, size)

    def place(self, coordinates: np.ndarray, state: EncodedImage) -> Tensor:
        return super().place(coordinates, state) * (self.image_size / self.mask_size)

    def embed_prompts(
        self, points: Tensor | None, labels: Tensor | None, boxes: Tensor | None, masks: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        if points is None and boxes is None:  # a mask alone comes with an empty point
            points = masks.new_zeros(len(masks), 1, 2)
            labels = points.new_full((len(masks), 1), -1, dtype=torch.long)
        return super().embed_prompts(points, labels, boxes, masks)
