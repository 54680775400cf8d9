"""Class scores of the decoder fused with the frozen CLIP's own (FC-CLIP, arXiv:2308.02487, section 3.3)."""

import torch
from torch import Tensor

_TINY = 1e-8


def fuse_with_clip(
    query_logits: Tensor, clip_logits: Tensor, seen: Tensor, mask_nonempty: Tensor, alpha: float, beta: float
) -> Tensor:
    """Geometric ensemble; CLIP weighs `alpha` for classes seen in training and `beta` for the others.

    Args:
        query_logits: (..., Q, C + 1), the background last.
        clip_logits: (..., Q, C), of the mask-pooled CLIP embeddings.
        seen: bool (C,).
        mask_nonempty: (..., Q): where the mask covers no cell of CLIP's map, the decoder counts alone.
        alpha, beta: CLIP's share in 0..1.

    Returns:
        Log-probabilities (..., Q, C + 1); the background keeps the decoder's probability.
    """
    share = torch.where(seen, alpha, beta) * mask_nonempty.unsqueeze(-1)
    foreground = (1 - share) * query_logits[..., :-1].log_softmax(-1) + share * clip_logits.log_softmax(-1)
    background = query_logits.softmax(-1)[..., -1:]
    probability = torch.cat([foreground.softmax(-1) * (1 - background), background], dim=-1)
    return torch.log(probability + _TINY)
