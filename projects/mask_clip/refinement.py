"""MaskCLIP's classifier and its two refinements (arXiv:2112.01071, sections 3.2 and 3.3). None of them has a weight."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

TEMPERATURE = 100.0
"""Cosines are multiplied by it before a softmax; CLIP's own scale at the end of its training."""
ABSENT = -100.0
"""The logit of a class that is taken for absent, at every position."""


def cosine_logits(embeddings: Tensor, class_embeddings: Tensor) -> Tensor:
    """Cosine of each position with the best word of each class.

    Args:
        embeddings: (B, E, h, w).
        class_embeddings: (C, P, E), unit length, P words per class.

    Returns:
        (B, C, h, w), -1..1.
    """
    words = class_embeddings.flatten(0, 1).to(embeddings.dtype)
    cosines = torch.einsum("behw,ne->bnhw", F.normalize(embeddings, dim=1), words)
    return cosines.unflatten(1, class_embeddings.shape[:2]).amax(2)


def probabilities(logits: Tensor) -> Tensor:
    """Cosines (B, C, h, w) to probabilities of the classes at each position."""
    return (TEMPERATURE * logits).softmax(1)


def denoise_prompts(logits: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Prompt denoising: a class that is nowhere probable in an image is absent from it.

    Args:
        logits: (B, C, h, w) cosines.
        threshold: least probability, at the best position, of a class that stays.

    Returns:
        The logits, ``ABSENT`` for the classes that are; and which classes stay, bool (B, C).
    """
    present = probabilities(logits).amax((2, 3)) >= threshold
    return logits.where(present[:, :, None, None], logits.new_tensor(ABSENT)), present


def key_affinity(keys: Tensor, published: bool = False) -> Tensor:
    """How alike positions are, (B, L, L).

    Args:
        keys: (B, C, h, w), L = h * w.
        published: as the published code: keys have unit length over the positions, channel by channel. Else the
            cosine of the paper: they have unit length over the channels.
    """
    keys = F.normalize(keys.flatten(2), dim=2 if published else 1)
    return keys.transpose(1, 2) @ keys


def smooth_keys(logits: Tensor, keys: Tensor, threshold: float, published: bool = False) -> Tensor:
    """Key smoothing: an unsure position takes the classes of the positions whose keys are like its own.

    Args:
        logits: (B, C, h, w) cosines.
        keys: (B, K, h, w).
        threshold: positions whose best probability is lower are replaced; 1 replaces nearly all.
        published: see :func:`key_affinity`; the replaced values are not scaled then, and exceed 1. Else they are a mean
            weighted by the affinities, whose best class is the same as that of the sum.

    Returns:
        (B, C, h, w): probabilities, no logits, also where nothing is replaced.
    """
    known = probabilities(logits)
    affinity = key_affinity(keys, published)
    if not published:
        affinity = affinity / affinity.abs().sum(2, keepdim=True).clamp(min=1e-12)
    smooth = (known.flatten(2) @ affinity.transpose(1, 2)).view_as(known)
    return smooth.where(known.amax(1, keepdim=True) < threshold, known)
