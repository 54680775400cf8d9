"""Semantic read-out: sum over queries of class probability x mask probability (MaskFormer, section 3.4)."""

import torch
from torch import Tensor

from omgseg.models.readout.blocks import blocks
from omgseg.models.readout.geometry import MaskGeometry

NEGLIGIBLE = 1e-8
"""Votes that cannot exceed this anywhere in a block are left out: rounding changes a sum by more."""


def read_semantic(class_probs: Tensor, mask_logits: Tensor, geometry: MaskGeometry) -> Tensor:
    """Label of every pixel.

    The votes of all classes exist for one block of pixels at a time, so memory does not grow with classes x pixels.

    Args:
        class_probs: (Q, C + 1), the background last.
        mask_logits: (Q, h, w).
        geometry: sizes.

    Returns:
        int64 (H, W).
    """
    weights = class_probs[:, :-1].t().contiguous()
    highest = weights.amax(0) if len(weights) else class_probs.new_zeros(len(mask_logits))
    labels = torch.empty(geometry.original, dtype=torch.int64, device=class_probs.device)
    for block in blocks(geometry, mask_logits.shape[-2:]):
        greatest = mask_logits[(slice(None), *block.cells)].flatten(1).amax(1)
        voters = (highest * greatest.sigmoid() > NEGLIGIBLE).nonzero().squeeze(1)
        masks = block.resize(mask_logits, voters).sigmoid_()
        votes = weights[:, voters] @ masks.flatten(1)
        labels[block.result] = votes.argmax(0).view(masks.shape[1:])
    return labels
