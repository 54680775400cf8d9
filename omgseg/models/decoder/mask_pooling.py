"""Mean of mask features under the binary masks of queries, light on memory."""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx


class _MaskPooling(torch.autograd.Function):
    """Keeps the binary masks as booleans for the backward pass: a quarter of float maps.

    The masks are a threshold, so no gradient flows to the mask embeddings.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, mask_embeddings: Tensor, mask_features: Tensor) -> Tensor:
        masks = torch.bmm(mask_embeddings.to(mask_features.dtype), mask_features) > 0
        area = masks.sum(-1, keepdim=True).clamp(min=1).to(mask_features.dtype)
        ctx.save_for_backward(masks, area)
        return torch.bmm(masks.to(mask_features.dtype), mask_features.transpose(1, 2)) / area

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[None, Tensor]:
        masks, area = ctx.saved_tensors
        grad = grad.to(area.dtype) / area
        return None, torch.bmm(grad.transpose(1, 2), masks.to(grad.dtype))


def pool_under_masks(mask_embeddings: Tensor, mask_features: Tensor) -> Tensor:
    """Mean feature of each query's own mask.

    Args:
        mask_embeddings: (B, Q, D); the mask is where ``mask_embeddings . mask_features > 0``.
        mask_features: (B, D, L), L = T * h * w. Takes gradient.

    Returns:
        (B, Q, D); zero where a mask is empty.
    """
    return _MaskPooling.apply(mask_embeddings, mask_features)
