"""CLIPSeg: any phrase to a mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from omgseg.guests.guest import ImageGuest, Loaded
from omgseg.guests.readout import highest, segments_of_map
from omgseg.models.geometry import interpolate
from omgseg.models.precision import predicting
from omgseg.protocols import Abilities, Request
from omgseg.structures import Segments, Task

PHRASES_AT_ONCE = 16
"""Phrases that are decoded together for an image."""


class CLIPSegGuest(ImageGuest):
    """CLIPSeg (arXiv:2112.10003): semantic segmentation with words at call time.

    A pixel belongs to the phrase of the highest probability, or to none if all are below one half. The score of a
    segment is the mean probability in it. An image is encoded once for all phrases.
    """

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded, loaded.image_processor())
        self.tokenizer = loaded.tokenizer()
        self.abilities = Abilities(frozenset({Task.SEMANTIC}), open_vocabulary=True, test_size=self.test_size)

    def predict(self, images: Sequence[np.ndarray], request: Request) -> list[Segments]:
        if not request.words:
            raise ValueError(
                "no words: CLIPSeg knows none of its own; give some, e.g. vocabulary=['dog', 'car']"
            )
        with predicting(self.device, self.dtype):
            phrases = self._embed(request.words.names)
            layers = self._encode(images)
            return [
                self._segments([layer[row : row + 1] for layer in layers], phrases, image.shape[:2], request)
                for row, image in enumerate(images)
            ]

    def _embed(self, names: Sequence[str]) -> Tensor:
        """Embeddings (N, D) of phrases."""
        tokens = self.tokenizer(list(names), padding=True, truncation=True, return_tensors="pt").to(
            self.device
        )
        return self.network.get_conditional_embeddings(len(names), tokens.input_ids, tokens.attention_mask)

    def _encode(self, images: Sequence[np.ndarray]) -> list[Tensor]:
        """The layers of the image encoder that the decoder reads, (B, L, D) each."""
        output = self.network.clip.vision_model(
            **self.preprocess(images), output_hidden_states=True, interpolate_pos_encoding=True
        )
        return [output.hidden_states[layer + 1] for layer in self.network.extract_layers]

    def _segments(
        self, layers: Sequence[Tensor], phrases: Tensor, size: tuple[int, int], request: Request
    ) -> Segments:
        best, labels = highest(self._maps(layers, some, size) for some in phrases.split(PHRASES_AT_ONCE))
        return segments_of_map(best, labels.where(best >= 0.5, -1), request)

    def _maps(self, layers: Sequence[Tensor], phrases: Tensor, size: tuple[int, int]) -> Tensor:
        """Probabilities (N, H, W) of phrases at each pixel of an image."""
        count = len(phrases)
        logits = self.network.decoder([layer.expand(count, -1, -1) for layer in layers], phrases).logits
        return interpolate(logits.view(count, *logits.shape[-2:]).float(), size).sigmoid()
