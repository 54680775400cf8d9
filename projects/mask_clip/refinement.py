"""MaskCLIP's classifier and its two refinements (arXiv:2112.01071, sections 3.2 and 3.3). None of them has a weight."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from omgseg.projects.mask_clip.dense_clip import DenseFeatures

TEMPERATURE = 100.0
"""Cosines are multiplied by it before a softmax; CLIP's own scale at the end of its training."""
ABSENT = -100.0
"""The logit of a class that is taken for absent, at every position."""


def similarities(embeddings: Tensor, class_embeddings: Tensor) -> Tensor:
    """Dot product of each position with the best word of each class.

    Args:
        embeddings: (B, E, h, w).
        class_embeddings: (C, P, E), unit length, P words per class.

    Returns:
        (B, C, h, w).
    """
    words = class_embeddings.flatten(0, 1).to(embeddings.dtype)
    products = torch.einsum("behw,ne->bnhw", embeddings, words)
    return products.unflatten(1, class_embeddings.shape[:2]).amax(2)


def cosine_logits(embeddings: Tensor, class_embeddings: Tensor) -> Tensor:
    """As :func:`similarities`, of embeddings of any length: cosines, -1..1."""
    return similarities(F.normalize(embeddings, dim=1), class_embeddings)


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


def check_thresholds(part: str, **thresholds: float | None) -> None:
    """Raises ValueError for a threshold that is no probability; `part` of the config holds it."""
    for name, threshold in thresholds.items():
        if threshold is not None and not 0 <= threshold <= 1:
            raise ValueError(f"{part}.{name} is {threshold}; give a probability, 0 to 1, or None")


def refined_maps(
    features: DenseFeatures,
    class_embeddings: Tensor,
    denoising: float | None,
    smoothing: float | None,
    published: bool = False,
) -> tuple[Tensor, Tensor]:
    """What MaskCLIP says of images: the classifier, and the refinements that have a threshold.

    Args:
        features: of B images.
        class_embeddings: (C, P, E), unit length.
        denoising, smoothing: thresholds of :func:`denoise_prompts` and :func:`smooth_keys`; None: without it.
        published: see :func:`key_affinity`.

    Returns:
        (B, C, h, w), cosines, or probabilities where there is smoothing; and bool (B, C), the classes that stay.
    """
    maps = cosine_logits(features.embeddings, class_embeddings)
    present = torch.ones(maps.shape[:2], dtype=torch.bool, device=maps.device)
    if denoising is not None:
        maps, present = denoise_prompts(maps, denoising)
    if smoothing is not None:
        maps = smooth_keys(maps, features.keys, smoothing, published)
    return maps, present
