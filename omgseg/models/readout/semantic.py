"""Semantic read-out: sum over queries of class probability x mask probability (MaskFormer, section 3.4)."""

from torch import Tensor

from omgseg.models.readout.geometry import MaskGeometry


def read_semantic(class_probs: Tensor, mask_logits: Tensor, geometry: MaskGeometry) -> Tensor:
    """Label of every pixel.

    Args:
        class_probs: (Q, C + 1), the background last.
        mask_logits: (Q, h, w).
        geometry: sizes.

    Returns:
        int64 (H, W).
    """
    height, width = geometry.original
    votes = class_probs.new_zeros(class_probs.shape[-1] - 1, height * width)
    for rows, resized in geometry.resized_chunks(mask_logits):
        votes.addmm_(class_probs[rows, :-1].t(), resized.sigmoid().flatten(1))
    return votes.argmax(0).view(height, width)
