"""Mean of mask features under the binary masks of queries, light on memory."""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

CELLS = 8192
"""Cells whose masks exist as numbers at a time: few enough for caches, enough to keep kernels busy."""


class _MaskPooling(torch.autograd.Function):
    """Keeps the binary masks as booleans for the backward pass: a quarter of float maps.

    The masks are a threshold, so no gradient flows to the mask embeddings.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, mask_embeddings: Tensor, mask_features: Tensor) -> Tensor:
        mask_embeddings = mask_embeddings.to(mask_features.dtype)
        masks, area, total = [], 0, 0
        for features in mask_features.split(CELLS, dim=-1):
            mask = torch.bmm(mask_embeddings, features).sign_().clamp_(min=0)
            area = area + mask.sum(-1, keepdim=True, dtype=torch.float32)
            total = total + torch.bmm(mask, features.transpose(1, 2)).float()
            masks.append(mask.bool())
        area = area.clamp(min=1)
        ctx.save_for_backward(area, *masks)
        ctx.dtype = mask_features.dtype
        return total / area

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[None, Tensor]:
        area, *masks = ctx.saved_tensors
        weights = (grad / area).to(ctx.dtype).transpose(1, 2)
        return None, torch.cat([torch.bmm(weights, mask.to(ctx.dtype)) for mask in masks], dim=-1)


def pool_under_masks(mask_embeddings: Tensor, mask_features: Tensor) -> Tensor:
    """Mean feature of each query's own mask.

    Args:
        mask_embeddings: (B, Q, D); the mask is where ``mask_embeddings . mask_features > 0``.
        mask_features: (B, D, L), L = T * h * w. Takes gradient.

    Returns:
        (B, Q, D); zero where a mask is empty.
    """
    return _MaskPooling.apply(mask_embeddings, mask_features).to(mask_features.dtype)
