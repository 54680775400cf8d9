"""What a mask-query model says about its queries: the input of losses and read-outs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class DecoderOutput:
    """What the queries say after one layer.

    Attributes:
        queries: (B, Q, D), as the layer left them; associates the clips of a video.
        normed_queries: (B, Q, D), after the decoder's norm; the classifier's input.
        mask_embeddings: (B, Q, D).
        mask_features: (B, D, T, h, w), shared by all layers.
        objectness_logits: (B, Q).
        class_logits: (B, Q, C + 1), filled in by the classifier where classes are wanted.
    """

    queries: Tensor
    normed_queries: Tensor
    mask_embeddings: Tensor
    mask_features: Tensor
    objectness_logits: Tensor
    class_logits: Tensor | None = None

    @property
    def mask_logits(self) -> Tensor:
        """(B, Q, T, h, w): ``mask_embeddings . mask_features``, computed at each access."""
        return torch.einsum("bqd,bdthw->bqthw", self.mask_embeddings, self.mask_features)
