"""Prompts as location queries: single points and boxes, or groups of all that is said of an object."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmdet.models.layers import inverse_sigmoid
from torch import Tensor, nn

from omgseg.models.omgseg.query_decoder import PromptTokens
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


@dataclass(frozen=True)
class PromptGroups:
    """All that is said of N objects in each of B images, in pixels of the padded images.

    Attributes:
        points: (B, N, 2), x and y of the first prompts that are points.
        boxes: (B, N, 4), x1, y1, x2, y2 of those that are boxes.
        is_point: bool (B, N), which of the two counts.
        clicks: (B, N, C, 2), further points.
        labels: int64 (B, N, C): 1 on the object, 0 not on it, -1 padding.
        masks: bool (B, N, h, w), the masks so far, at the size of the mask features; empty where none is given.
            None: none at all.
    """

    points: Tensor
    boxes: Tensor
    is_point: Tensor
    clicks: Tensor
    labels: Tensor
    masks: Tensor | None = None

    @classmethod
    def first(cls, points: Tensor, boxes: Tensor, is_point: Tensor) -> PromptGroups:
        """Objects of one prompt each."""
        clicks = points.new_zeros(*points.shape[:2], 0, 2)
        return cls(points, boxes, is_point, clicks, clicks[..., 0].long())


@MODELS.register_module()
class PromptEncoder(nn.Module):
    """Turns each prompt into one query: what to look for is learned, where to look is the prompt's box.

    With `corrections`, further clicks on an object, and its mask so far, join the query (:meth:`encode_groups`). Their
    weights start at zero, also where loaded weights lack them: the published ones, which know single prompts only.

    Args:
        channels: D, the decoder's width.
        point_box_half_side: a point is encoded as a box of this half side, in pixels.
        corrections: whether there are weights for clicks that correct, and for masks.
    """

    def __init__(
        self, channels: int = 256, point_box_half_side: float = 3.0, corrections: bool = False
    ) -> None:
        super().__init__()
        self.point_box_half_side = point_box_half_side
        self.corrections = corrections
        self.mask_tokens = nn.Embedding(1, channels)
        self.kind_embed = nn.Embedding(2, channels)
        self.position_proj = nn.Linear(2 * channels, channels)
        self._start_local()
        if corrections:
            self.correction_embed = nn.Parameter(torch.zeros(2, channels))  # rows: the labels of clicks
            self.given_mask_proj = nn.Parameter(torch.zeros(channels, channels))
            self.register_load_state_dict_pre_hook(_start_unlearned)

    @property
    def knows_corrections(self) -> bool:
        """Whether the weights of clicks that correct have been trained."""
        return self.corrections and bool(self.correction_embed.any())

    @property
    def knows_masks(self) -> bool:
        """Whether the weights of given masks have been trained."""
        return self.corrections and bool(self.given_mask_proj.any())

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
        position = self._positions(image_size, self._around(points) if boxes is None else boxes)
        feature = self.mask_tokens.weight[0] + self.kind_embed.weight[kind]
        return feature.expand_as(position), position

    def encode_groups(
        self, image_size: tuple[int, int], prompts: PromptGroups, mask_features: Tensor
    ) -> PromptTokens:
        """Encode all prompts of each object; K = 1 + C.

        An object of one prompt gets the token of :meth:`forward`. A further click has a kind of its own, and a given
        mask adds the mean of the features under it to the first token.

        Args:
            image_size: see :meth:`forward`.
            prompts: of N objects in each of B images.
            mask_features: (B, D, h, w).
        """
        first = torch.where(prompts.is_point.unsqueeze(-1), self._around(prompts.points), prompts.boxes)
        boxes = torch.cat([first.unsqueeze(2), self._around(prompts.clicks)], dim=2)
        positions = self._positions(image_size, boxes)
        features = self.kind_embed.weight[torch.where(prompts.is_point, POINT, BOX)]
        if prompts.masks is not None:
            features = features + F.linear(_pool(mask_features, prompts.masks), self.given_mask_proj)
        further = self.kind_embed.weight[POINT] + self.correction_embed[prompts.labels.clamp(min=0)]
        features = torch.cat([features.unsqueeze(2), further], dim=2) + self.mask_tokens.weight[0]
        valid = F.pad(prompts.labels, (1, 0), value=1) >= 0
        return PromptTokens(features.to(positions.dtype), positions, valid, prompts.masks)

    def _around(self, points: Tensor) -> Tensor:
        """Points (..., 2) as boxes (..., 4)."""
        return torch.cat([points - self.point_box_half_side, points + self.point_box_half_side], dim=-1)

    def _positions(self, image_size: tuple[int, int], boxes: Tensor) -> Tensor:
        """Query positions (..., D) of boxes (..., 4)."""
        height, width = image_size
        boxes = boxes / boxes.new_tensor([width, height, width, height])
        boxes = torch.cat([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], dim=-1)
        boxes = inverse_sigmoid(boxes).sigmoid()
        encoding = box_sine_encoding(boxes, self.position_proj.in_features // 4)
        return self.position_proj(encoding.to(self.position_proj.weight.dtype))


def _pool(features: Tensor, masks: Tensor) -> Tensor:
    """Means (B, N, D) of features (B, D, h, w) under masks bool (B, N, h, w); 0 for an empty one."""
    area = masks.flatten(2).sum(-1, keepdim=True).clamp(min=1)
    return torch.einsum("bnhw,bdhw->bnd", masks.to(features.dtype), features) / area


def _start_unlearned(module: PromptEncoder, state_dict: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Let weights of single prompts fit; a ``load_state_dict`` pre-hook."""
    for name in ("correction_embed", "given_mask_proj"):
        state_dict.setdefault(prefix + name, torch.zeros_like(module.get_parameter(name)))
