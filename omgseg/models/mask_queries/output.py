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
        normed_queries: (B, Q, D), after the decoder's norm, or class embeddings (B, Q, E); the classifier's input.
        mask_embeddings: (B, Q, D).
        mask_features: (B, D, T, h, w), shared by all layers.
        objectness_logits: (B, Q); None where the model has no objectness.
        class_logits: (B, Q, C + 1), filled in by the classifier where classes are wanted.
        iou: (B, Q), the expected IoU of the masks; None where the model expects none.
    """

    queries: Tensor
    normed_queries: Tensor
    mask_embeddings: Tensor
    mask_features: Tensor
    objectness_logits: Tensor | None = None
    class_logits: Tensor | None = None
    iou: Tensor | None = None

    @property
    def mask_logits(self) -> Tensor:
        """(B, Q, T, h, w): ``mask_embeddings . mask_features``, computed at each access."""
        return torch.einsum("bqd,bdthw->bqthw", self.mask_embeddings, self.mask_features)
