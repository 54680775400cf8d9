"""OV-SAM behind the seam: SAM's prompts, and names for masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omgseg.models.geometry import MaskGeometry
from omgseg.models.precision import predicting
from omgseg.models.sam.adapter import EncodedImage, SamSegmenter
from omgseg.projects.ov_sam.model import Features, OpenVocabularySAM
from omgseg.registry import SEGMENTERS
from omgseg.structures import Vocabulary
from omgseg.structures.run_lengths import decode_masks


@dataclass(frozen=True)
class NamedImage(EncodedImage):
    """What prompts and names need of an image.

    Attributes:
        features: with the embedding.
    """

    features: Features


@SEGMENTERS.register_module()
class OVSamSegmenter(SamSegmenter):
    """A loaded OV-SAM: clicks, boxes, masks and everything, and a :class:`~omgseg.protocols.MaskNamer`.

    Args:
        config: with ``model``.
        weights: see :class:`SamSegmenter`. None: no file is read, not even the weights of CLIP.
        device, dtype, options: see :class:`SamSegmenter`.
    """

    model: OpenVocabularySAM

    def __init__(
        self,
        config: Mapping[str, Any],
        weights: str | None,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        **options: Any,
    ) -> None:
        if weights is None:
            config = {**config, "model": without_files(config["model"])}
        super().__init__(config, weights, device, dtype, **options)

    def _start(self, model: OpenVocabularySAM, *options: Any, **named: Any) -> None:
        super()._start(model, *options, **named)
        self.abilities = replace(self.abilities, open_vocabulary=True)

    def preprocess(self, image: np.ndarray) -> tuple[Tensor, MaskGeometry]:
        """See :meth:`SAM.preprocess`."""
        return self.model.preprocess(image)

    def encode_image(self, image: np.ndarray) -> NamedImage:
        with predicting(self.device, self.dtype):
            pixels, geometry = self.preprocess(image)
            features = self.model.encode(pixels)
            return NamedImage(features.embedding, geometry, image, features)

    def name_masks(self, state: NamedImage, rles: Sequence[dict[str, Any]], words: Vocabulary) -> np.ndarray:
        """See :meth:`MaskNamer.name_masks`: by the region of a mask's box and the frozen CLIP's view of it."""
        if not rles or not len(words):
            return np.zeros((len(rles), len(words)), np.float32)
        with predicting(self.device, self.dtype):
            masks = [
                self._mask_prompt(decode_masks([rle], state.geometry.original), state.geometry)[:, 0]
                for rle in rles  # one by one: only the small map of each stays
            ]
            named = self.model.name_masks(state.features, torch.cat(masks), state.geometry, words)
            return named.float().cpu().numpy()


def without_files(model: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a model whose CLIP has random weights."""
    encoder, text = model["image_encoder"], model["text_encoder"]
    encoder = {**encoder, "trunk": {**encoder["trunk"], "pretrained": None}}
    return {**model, "image_encoder": encoder, "text_encoder": {**text, "pretrained": None}}
