"""Prompts (points and boxes) as location queries."""

from __future__ import annotations

import math

import torch
from mmdet.models.layers import inverse_sigmoid
from torch import Tensor, nn

from omgseg.registry import MODELS

POINT, BOX = 0, 1
"""Rows of the kind embedding."""

_POSITION_GAIN = 5.0
_SHARED_STD = 0.02


def box_sine_encoding(boxes: Tensor, channels: int, temperature: float = 10000.0) -> Tensor:
    """Sine encoding of boxes (DAB-DETR, arXiv:2201.12329, section 4.2).

    Args:
        boxes: (..., 4), cx, cy, w, h in 0..1.
        channels: width of the encoding of one coordinate.

    Returns:
        (..., 4 * channels), the coordinates in the order y, x, w, h.
    """
    exponent = torch.arange(channels, device=boxes.device) // 2 * 2 / channels
    angle = boxes[..., [1, 0, 2, 3], None] * (2 * math.pi) / temperature**exponent
    return torch.stack([angle[..., 0::2].sin(), angle[..., 1::2].cos()], dim=-1).flatten(-3)


@MODELS.register_module()
class PromptEncoder(nn.Module):
    """Turns each prompt into one query: what to look for is learned, where to look is the prompt's box.

    Args:
        channels: D, the decoder's width.
        point_box_half_side: a point is encoded as a box of this half side, in pixels.
    """

    def __init__(self, channels: int = 256, point_box_half_side: float = 3.0) -> None:
        super().__init__()
        self.point_box_half_side = point_box_half_side
        self.mask_tokens = nn.Embedding(1, channels)
        self.kind_embed = nn.Embedding(2, channels)
        self.position_proj = nn.Linear(2 * channels, channels)
        self._start_local()

    @torch.no_grad()
    def _start_local(self) -> None:
        """Start with weights by which the position of a prompt outweighs everything else.

        The position starts as the encoding that the cells' keys carry (those of y and x come first and have the
        keys' frequencies, which the identity keeps), and what all prompts share starts small. Otherwise all prompts
        show one and the same mask for hundreds of iterations.
        """
        channels = self.position_proj.out_features
        self.position_proj.weight.zero_()
        self.position_proj.weight[:, :channels].fill_diagonal_(_POSITION_GAIN)
        self.position_proj.bias.zero_()
        for shared in (self.mask_tokens, self.kind_embed):
            nn.init.normal_(shared.weight, std=_SHARED_STD)

    def forward(self, image_size: tuple[int, int], points: Tensor | None = None, boxes: Tensor | None = None):
        """Encode points or boxes.

        Args:
            image_size: (height, width) of the image that the model sees, padding included.
            points: (B, N, 2), x and y in pixels; or
            boxes: (B, N, 4), x1, y1, x2, y2 in pixels.

        Returns:
            The query features and the query positions, both (B, N, D).

        Raises:
            ValueError: not exactly one of `points` and `boxes` is given.
        """
        if (points is None) == (boxes is None):
            raise ValueError(
                "prompts are either points (B, N, 2) or boxes (B, N, 4); give exactly one of the two"
            )
        kind = BOX if points is None else POINT
        if points is not None:
            boxes = torch.cat([points - self.point_box_half_side, points + self.point_box_half_side], dim=-1)
        height, width = image_size
        boxes = boxes / boxes.new_tensor([width, height, width, height])
        boxes = torch.cat([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], dim=-1)
        boxes = inverse_sigmoid(boxes).sigmoid()
        channels = self.position_proj.in_features // 4
        position = self.position_proj(box_sine_encoding(boxes, channels).to(self.position_proj.weight.dtype))
        feature = self.mask_tokens.weight[0] + self.kind_embed.weight[kind]
        return feature.expand_as(position), position
