"""The variants in image encoders: ``image_encoder=dict(attention=dict(type="DynamicGridAttention", ...))``.

Each takes tokens (B, H, W, C), and the ``width``, ``num_heads`` and ``size`` (the side of the grid or window) of the
encoder whose attention it replaces: :class:`~omgseg.models.sam.image_encoder.SamImageEncoder`, or the plain ViT
:class:`~omgseg.projects.efficient_sam.image_encoder.EfficientSamImageEncoder`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from omgseg.models.sam.image_encoder import GridAttention
from omgseg.projects.dynamic_conv_vit.dynamic_attention import (
    ACTIVATIONS,
    DynamicAttention,
    DynamicDepthwiseConv,
    check_activation,
)
from omgseg.registry import MODELS


@MODELS.register_module()
class DynamicGridAttention(GridAttention):
    """SAM's attention, relative positions included, with another activation than softmax between its products.

    It has SAM's parameters and their names, and with `affine` two more for each key position.

    Args:
        size: side of the grid; with `affine` of the only one that it takes.
        activation: of :data:`ACTIVATIONS`.
        affine: the layer normalisation of the activation has a weight and a bias for each key position.
        options: of :class:`GridAttention`.

    Raises:
        ValueError: the activation is unknown, or has no layer normalisation to be affine.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        size: int,
        activation: str = "softmax",
        affine: bool = False,
        **options: Any,
    ) -> None:
        check_activation(activation, affine)
        super().__init__(width, num_heads, size, **options)
        self.activation = activation
        self.ln_weight = nn.Parameter(torch.ones(size**2)) if affine else None
        self.ln_bias = nn.Parameter(torch.zeros(size**2)) if affine else None

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """See :meth:`GridAttention.attend`."""
        if self.activation == "softmax":
            return super().attend(queries, keys, values)
        products = queries @ keys.transpose(2, 3)
        return ACTIVATIONS[self.activation](products, self.ln_weight, self.ln_bias) @ values


@MODELS.register_module()
class DynamicTokenAttention(DynamicAttention):
    """:class:`DynamicAttention`, without relative positions, of tokens.

    Args:
        size: side of the grid; with `affine` of the only one that it takes.
        activation, affine: as in :class:`DynamicGridAttention`.
    """

    def __init__(
        self, width: int, num_heads: int, size: int, activation: str = "softmax", affine: bool = False
    ) -> None:
        super().__init__(width, num_heads, activation, size**2 if affine else 0)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        return super().forward(tokens.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


@MODELS.register_module()
class DynamicDepthwiseTokens(DynamicDepthwiseConv):
    """:class:`DynamicDepthwiseConv` of tokens, on grids of any size and without heads.

    Args:
        options: of :class:`DynamicDepthwiseConv`.
    """

    def __init__(self, width: int, num_heads: int, size: int, **options: int) -> None:
        super().__init__(width, **options)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        return super().forward(tokens.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
