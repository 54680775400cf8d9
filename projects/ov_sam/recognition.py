"""What gives masks their names: a label token in SAM's mask decoder, regions of an FPN, and CLIP's own view."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.models.necks import FPN
from torch import Tensor, nn
from torchvision.ops import roi_align

from omgseg.models.geometry import interpolate, mask_boxes
from omgseg.models.sam.everything import stability
from omgseg.models.sam.mask_decoder import MLP, MaskPrediction, SamMaskDecoder
from omgseg.registry import MODELS

NEVER = -1000.0
"""Logarithm of the score of a class that must not win."""


@MODELS.register_module()
class LabelMaskDecoder(SamMaskDecoder):
    """SAM's mask decoder with one mask per prompt, and with a label token in the place of the IoU token.

    Args:
        embed_dim, depth, num_heads, mlp_dim: see :class:`SamMaskDecoder`.
        clip_dim: size of CLIP space.
    """

    def __init__(
        self,
        embed_dim: int = 256,
        clip_dim: int = 768,
        depth: int = 2,
        num_heads: int = 8,
        mlp_dim: int = 2048,
    ) -> None:
        super().__init__(embed_dim, 0, depth, num_heads, mlp_dim)
        del self.iou_token, self.iou_prediction_head
        self.label_token = nn.Embedding(1, embed_dim)
        self.label_mlp = MLP(embed_dim, embed_dim, clip_dim, 3)

    def forward(self, embedding: Tensor, positions: Tensor, sparse: Tensor, dense: Tensor) -> MaskPrediction:
        """Masks of N objects, see :meth:`SamMaskDecoder.forward`.

        Returns:
            The mask twice: for unambiguous prompts, and as the only candidate. ``iou`` is its stability: no head
            expects an IoU. The first token is the label's.
        """
        learned = torch.cat([self.label_token.weight, self.mask_tokens.weight])
        logits, tokens = self.attend(learned, embedding, positions, sparse, dense)
        stable = stability(logits.float(), 1.0).nan_to_num()
        return MaskPrediction(logits.expand(-1, 2, -1, -1), stable.expand(-1, 2), tokens)

    def embed_labels(self, tokens: Tensor) -> Tensor:
        """Class embeddings (N, `clip_dim`) of the tokens (N, T, E) of :meth:`forward`."""
        return self.label_mlp(tokens[:, 0])


@MODELS.register_module()
class RegionEmbedder(nn.Module):
    """Class embeddings of boxes: RoIAlign on an FPN over CLIP's features, and a projection into CLIP space.

    Args:
        in_channels, strides: of the features.
        embed_dim: E, size of CLIP space.
        channels: of the FPN.
        size: side of a region, in cells.
        finest_scale: sides (square root of the area, in pixels) from this on go to the second level, twice this to the
            third.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int],
        embed_dim: int = 768,
        channels: int = 256,
        size: int = 12,
        finest_scale: int = 56,
    ) -> None:
        super().__init__()
        self.strides = list(strides)
        self.size = size
        self.finest_scale = finest_scale
        self.fpn = FPN(list(in_channels), channels, num_outs=len(in_channels))
        self.projection = nn.Conv2d(channels, embed_dim, 1, bias=False)

    def forward(self, levels: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """Class embeddings (N, E), not of unit length, of boxes (N, 4) on the FPN's levels (1, channels, h_i, w_i)."""
        return F.relu(self.projection(self.align(levels, boxes))).mean((-2, -1))

    def align(self, levels: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """Regions (N, channels, size, size), each of the level that fits its size."""
        chosen = self.level_of(boxes)
        regions = levels[0].new_empty(len(boxes), levels[0].shape[1], self.size, self.size)
        for index, (level, stride) in enumerate(zip(levels, self.strides, strict=True)):
            rows = chosen == index
            regions[rows] = cut_regions(level, boxes[rows], self.size, stride)
        return regions

    def level_of(self, boxes: Tensor) -> Tensor:
        """int64 (N,): the FPN's level for each box (arXiv:1612.03144, equation 1)."""
        side = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
        return (side / self.finest_scale + 1e-6).log2().floor().clamp(0, len(self.strides) - 1).long()


def cut_regions(feature: Tensor, boxes: Tensor, size: int, stride: int) -> Tensor:
    """RoIAlign (arXiv:1703.06870) of boxes (N, 4), in pixels, from a feature (1, C, h, w): (N, C, size, size)."""
    return roi_align(feature, [boxes.to(feature.dtype)], size, 1 / stride, aligned=True)


def boxes_of(logits: Tensor, stride: int) -> Tensor:
    """Boxes (N, 4), x1, y1, x2, y2 in pixels of the padded input, of the decoder's masks (N, h, w) where their logits
    are above 0; zeros for an empty one. `stride` is that of the masks, in pixels of the padded input."""
    masks = logits > 0
    boxes = mask_boxes(masks)
    boxes[:, 2:] += masks.flatten(1).any(1).unsqueeze(1)  # the end is behind the last pixel
    return boxes.float() * stride


def shows_at(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """bool (N,): the mask, logits (N, h, w), has a positive cell on a map of `size`."""
    return (interpolate(logits, size) > 0).flatten(1).any(1)


def fuse_views(
    query_logits: Tensor,
    clip_logits: Tensor,
    seen: Tensor,
    shown: Tensor,
    alpha: float = 0.1,
    beta: float = 0.9,
    scored: Tensor | None = None,
) -> Tensor:
    """Geometric ensemble of the learned class scores and the frozen CLIP's own; the background counts as seen.

    Args:
        query_logits, clip_logits: (N, C + 1), the background last.
        seen: bool (C,), classes of the training.
        shown: bool (N,): where the mask has no cell on CLIP's map, the learned scores count alone.
        alpha, beta: CLIP's share for seen and for unseen classes.
        scored: bool (C,), classes that may win; None: all.

    Returns:
        (N, C + 1), logarithms of the scores, which do not sum up to 1.
    """
    share = F.pad(torch.where(seen, alpha, beta), (0, 1), value=alpha) * shown.unsqueeze(1)
    fused = (1 - share) * query_logits.log_softmax(-1) + share * clip_logits.log_softmax(-1)
    if scored is not None:
        fused = fused.masked_fill(~F.pad(scored, (0, 1), value=True), NEVER)
    return fused
