"""Open-vocabulary classifier: a query's class embedding compared with CLIP text embeddings."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omgseg.models.decoder.layers import mlp
from omgseg.models.decoder.mask_pooling import pool_under_masks
from omgseg.registry import MODELS


def text_logits(embeddings: Tensor, class_embeddings: Tensor, scale: float) -> Tensor:
    """Cosine similarity with the best synonym of each class, and a background class of similarity 0.

    Args:
        embeddings: (B, Q, E), unit length.
        class_embeddings: (C, P, E), unit length, P synonyms a class.
        scale: factor of the cosine (inverse temperature).

    Returns:
        (B, Q, C + 1), the background last.
    """
    num_classes, num_synonyms, _ = class_embeddings.shape
    similarity = embeddings @ class_embeddings.flatten(0, 1).to(embeddings.dtype).t()
    best = similarity.unflatten(-1, (num_classes, num_synonyms)).amax(-1)
    return F.pad(best * scale, (0, 1))


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
