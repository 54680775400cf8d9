"""What is remembered of a video while it is read clip by clip."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from omgseg.models.decoder import DecoderOutput
from omgseg.models.video.association import associate_queries

ABSENT_LOGIT = -100.0
"""Mask logit of a query that was not remembered in a frame."""


@dataclass(frozen=True)
class FrameMasks:
    """Stride-4 masks of one frame: tube numbers (K,) and half-precision logits (K, h, w)."""

    tubes: Tensor
    logits: Tensor

    def select(self, tubes: Tensor) -> Tensor:
        """Mask logits (N, h, w) in float32 of the given tubes (N,)."""
        match = tubes.unsqueeze(1) == self.tubes
        found, row = match.any(1), match.int().argmax(1)
        logits = self.logits[row].float()
        logits[~found] = ABSENT_LOGIT
        return logits


def presence_of(output: DecoderOutput) -> Tensor:
    """How sure it is that a query shows anything, (Q,): by class, where there are classes, or by objectness, whichever
    is higher."""
    objectness = output.objectness_logits[0].sigmoid()
    if output.class_logits is None:
        return objectness
    return torch.maximum(1 - output.class_logits[0].softmax(-1)[:, -1], objectness)


def clip_masks(output: DecoderOutput, order: Tensor, num_candidates: int) -> list[FrameMasks]:
    """The masks of the frames of a clip.

    Args:
        output: of one clip (B = 1).
        order: (Q,), the query of each tube.
        num_candidates: how many tubes are kept, those of the highest :func:`presence_of`.
    """
    presence = presence_of(output)[order]
    tubes = presence.topk(min(num_candidates, len(presence))).indices
    embeddings = output.mask_embeddings[0, order[tubes]]
    frames = []
    for features in output.mask_features[0].unbind(1):
        logits = torch.einsum("kd,dhw->khw", embeddings, features)
        frames.append(FrameMasks(tubes, logits.clamp(-1e4, 1e4).half()))
    return frames


class TubeMemory:
    """Joins the queries of consecutive clips to tubes and averages what they say.

    Full-resolution masks are never kept: a frame costs `num_candidates` half-precision masks of stride 4, and
    everything else is one row a query.

    Args:
        num_candidates: queries whose masks are kept, see :func:`clip_masks`.
    """

    def __init__(self, num_candidates: int) -> None:
        self.num_candidates = num_candidates
        self.frames: list[FrameMasks] = []
        self._last_queries: Tensor | None = None
        self._sums: dict[str, Tensor] = {}
        self._num_clips = 0

    def add(self, output: DecoderOutput, **sums: Tensor) -> None:
        """Append a clip.

        Args:
            output: of one clip (B = 1); all clips of a video have class logits, or none has.
            sums: further tensors (Q, ...) that belong to the queries and are summed over the clips.
        """
        queries = output.queries[0]
        if self._last_queries is None:
            order = torch.arange(len(queries), device=queries.device)
        else:
            order = associate_queries(self._last_queries, queries)
        self._last_queries = queries[order]
        self._num_clips += 1
        sums = {"objectness_logits": output.objectness_logits[0], **sums}
        if output.class_logits is not None:
            sums["class_logits"] = output.class_logits[0]
        for name, value in sums.items():
            self._sums[name] = self._sums[name] + value[order] if name in self._sums else value[order]

        self.frames += clip_masks(output, order, self.num_candidates)

    def sum(self, name: str) -> Tensor:
        """Sum over the clips, (Q, ...), of what was added under this name."""
        return self._sums[name]

    def mean(self, name: str) -> Tensor:
        """Mean over the clips, (Q, ...)."""
        return self._sums[name] / self._num_clips
