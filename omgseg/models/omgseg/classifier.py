"""Open-vocabulary classifier: a query's class embedding compared with CLIP text embeddings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from omgseg.models.omgseg.query_decoder import mlp
from omgseg.registry import MODELS

CELLS = 8192
"""Cells whose masks exist as numbers at a time: few enough for caches, enough to keep kernels busy."""
SIMILARITIES = 2**25
"""Similarities of embeddings and words that exist at a time, 128 MB."""


class _MaskPooling(torch.autograd.Function):
    """Keeps the binary masks as booleans for the backward pass: a quarter of float maps.

    The masks are a threshold, so no gradient flows to the mask embeddings.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, mask_embeddings: Tensor, mask_features: Tensor, mean: bool) -> Tensor:
        mask_embeddings = mask_embeddings.to(mask_features.dtype)
        masks, area, total = [], 0, 0
        for features in mask_features.split(CELLS, dim=-1):
            mask = torch.bmm(mask_embeddings, features).sign_().clamp_(min=0)
            area = area + mask.sum(-1, keepdim=True, dtype=torch.float32)
            total = total + torch.bmm(mask, features.transpose(1, 2)).float()
            masks.append(mask.bool())
        area = area.clamp(min=1) if mean else torch.ones_like(area)
        ctx.save_for_backward(area, *masks)
        ctx.dtype = mask_features.dtype
        return total / area

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[None, Tensor, None]:
        area, *masks = ctx.saved_tensors
        weights = (grad / area).to(ctx.dtype).transpose(1, 2)
        return None, torch.cat([torch.bmm(weights, mask.to(ctx.dtype)) for mask in masks], dim=-1), None


def pool_under_masks(mask_embeddings: Tensor, mask_features: Tensor, mean: bool = True) -> Tensor:
    """Mean or total feature of each query's own mask.

    Args:
        mask_embeddings: (B, Q, D); the mask is where ``mask_embeddings . mask_features > 0``.
        mask_features: (B, D, L), L = T * h * w. Takes gradient.
        mean: divide the sum by the number of cells.

    Returns:
        (B, Q, D); zero where a mask is empty. Sums are float32: numbers of half precision could not hold them.
    """
    pooled = _MaskPooling.apply(mask_embeddings, mask_features, mean)
    return pooled.to(mask_features.dtype) if mean else pooled


def text_logits(embeddings: Tensor, class_embeddings: Tensor, scale: float) -> Tensor:
    """Cosine similarity with the best synonym of each class, and a background class of similarity 0.

    Args:
        embeddings: (B, Q, E), unit length.
        class_embeddings: (C, P, E), unit length, P synonyms per class.
        scale: factor of the cosine (inverse temperature).

    Returns:
        (B, Q, C + 1), the background last.
    """
    num_synonyms = class_embeddings.shape[1]
    at_once = max(SIMILARITIES // max(embeddings[..., 0].numel() * num_synonyms, 1), 1)
    best = []
    for some in class_embeddings.split(at_once):
        similarity = embeddings @ some.flatten(0, 1).to(embeddings.dtype).t()
        best.append(similarity.unflatten(-1, (len(some), num_synonyms)).amax(-1))
    return F.pad(torch.cat(best, dim=-1) * scale, (0, 1))


@dataclass(frozen=True)
class ClassTexts:
    """Text embeddings of C classes with any numbers of words, without padding: tens of thousands of classes have a
    few words each, and some of them many.

    Attributes:
        words: (W, E), unit length, class by class.
        owners: int64 (W,), the class of each word, ascending.
        num_classes: C.
    """

    words: Tensor
    owners: Tensor
    num_classes: int

    @classmethod
    def of_padded(cls, class_embeddings: Tensor) -> ClassTexts:
        """Those of a tensor (C, P, E)."""
        num_classes, num_synonyms, _ = class_embeddings.shape
        owners = torch.arange(num_classes, device=class_embeddings.device).repeat_interleave(num_synonyms)
        return cls(class_embeddings.flatten(0, 1), owners, num_classes)

    def to(self, device: torch.device) -> ClassTexts:
        return ClassTexts(self.words.to(device), self.owners.to(device), self.num_classes)

    def logits(self, embeddings: Tensor, scale: float) -> Tensor:
        """As :func:`text_logits`: (N, C + 1), the background last, of embeddings (N, E)."""
        words = self.words.to(embeddings.dtype).t()
        best = []
        for some in embeddings.split(max(SIMILARITIES // max(len(self.words), 1), 1)):
            similarity = some @ words
            if len(self.words) > self.num_classes:
                owners = self.owners.expand(len(some), -1)
                best_word = similarity.new_zeros(len(some), self.num_classes)
                similarity = best_word.scatter_reduce(1, owners, similarity, "amax", include_self=False)
            best.append(similarity)
        return F.pad(torch.cat(best) * scale, (0, 1))


@MODELS.register_module()
class OpenVocabularyClassifier(nn.Module):
    """Class embedding of a query: its own feature and the mean feature under its mask, projected to CLIP space.

    Args:
        channels: D, the decoder's width.
        embed_dim: E, the size of CLIP's joint space.
        logit_scale: natural logarithm of the factor of the cosine.
    """

    def __init__(self, channels: int = 256, embed_dim: int = 768, logit_scale: float = math.log(100)) -> None:
        super().__init__()
        self.scale = math.exp(logit_scale)
        self.mask_pooling = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, channels))
        self.projection = mlp(channels, channels, embed_dim)

    def forward(
        self, queries: Tensor, mask_embeddings: Tensor, mask_features: Tensor, class_embeddings: Tensor
    ):
        """Class logits over the vocabulary.

        Args:
            queries: (B, Q, D), after the decoder's norm.
            mask_embeddings: (B, Q, D).
            mask_features: (B, D, T, h, w).
            class_embeddings: (C, P, E), unit length.

        Returns:
            (B, Q, C + 1), the background last.
        """
        pooled = pool_under_masks(mask_embeddings.detach(), mask_features.flatten(2))
        embeddings = self.projection(self.mask_pooling(pooled) + queries)
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings = F.normalize(embeddings.float(), dim=-1)
            return text_logits(embeddings, class_embeddings, self.scale)
