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
        shape = (*mask_embeddings.shape[:2], mask_features.shape[-1])
        masks = mask_features.new_empty(shape if ctx.needs_input_grad[1] else 0, dtype=torch.bool)
        total = torch.zeros_like(mask_embeddings, dtype=torch.float32)
        area = torch.zeros_like(total[..., :1])
        for start in range(0, shape[-1], CELLS):
            cells = slice(start, start + CELLS)
            features = mask_features[..., cells]
            mask = torch.bmm(mask_embeddings, features).sign_().clamp_(min=0)
            area += mask.sum(-1, keepdim=True, dtype=torch.float32)
            total += torch.bmm(mask, features.transpose(1, 2))
            if ctx.needs_input_grad[1]:
                masks[..., cells] = mask
        area.clamp_(min=1)
        ctx.save_for_backward(masks, area)
        return total.div_(area).to(mask_features.dtype)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[None, Tensor]:
        masks, area = ctx.saved_tensors
        weights = (grad / area).to(grad.dtype).transpose(1, 2)
        grad_features = grad.new_empty(*weights.shape[:2], masks.shape[-1])
        for start in range(0, masks.shape[-1], CELLS):
            cells = slice(start, start + CELLS)
            grad_features[..., cells] = torch.bmm(weights, masks[..., cells].to(grad.dtype))
        return None, grad_features


def pool_under_masks(mask_embeddings: Tensor, mask_features: Tensor) -> Tensor:
    """Mean feature of each query's own mask.

    Args:
        mask_embeddings: (B, Q, D); the mask is where ``mask_embeddings . mask_features > 0``.
        mask_features: (B, D, L), L = T * h * w. Takes gradient.

    Returns:
        (B, Q, D); zero where a mask is empty.
    """
    return _MaskPooling.apply(mask_embeddings, mask_features)
