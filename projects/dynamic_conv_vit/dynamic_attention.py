"""Self-attention as two dynamic 1x1 convolutions with an activation between them (arXiv:2309.10713).

The first convolution has the keys as kernels and makes a map with a channel for each key position; the second one has
the values as kernels. Heads are groups. With softmax as the activation this is ordinary attention, exactly. The paper
says that softmax can be replaced by ReLU and layer normalisation; their order and axis are not known here, so the
variants are named for what they do.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _layer_norm(maps: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    return F.layer_norm(maps, maps.shape[-1:], weight, bias)


ACTIVATIONS: dict[str, Callable[[Tensor, Tensor | None, Tensor | None], Tensor]] = {
    "softmax": lambda maps, weight, bias: maps.softmax(-1),
    "relu": lambda maps, weight, bias: maps.relu(),
    "relu_over_n": lambda maps, weight, bias: maps.relu() / maps.shape[-1],
    "relu_then_ln": lambda maps, weight, bias: _layer_norm(maps.relu(), weight, bias),
    "ln_then_relu": lambda maps, weight, bias: _layer_norm(maps, weight, bias).relu(),
    "identity": lambda maps, weight, bias: maps,
}
"""Of maps (..., N) over the key positions; weight and bias (N,) are those of the layer normalisation.

``relu_over_n`` is the point-wise one of arXiv:2309.08586."""


def check_activation(activation: str, affine: bool) -> None:
    """Refuse what does not exist.

    Raises:
        ValueError: the activation is unknown, or has no layer normalisation to be affine.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"unknown activation {activation!r}; choose from {', '.join(ACTIVATIONS)}")
    if affine and "ln" not in activation.split("_"):
        raise ValueError(f"the activation {activation!r} has no layer normalisation that could be affine")


def dynamic_convolution(inputs: Tensor, kernels: Tensor) -> Tensor:
    """A 1x1 convolution whose kernels differ between images, in groups.

    Args:
        inputs: (B, G, C, N), N positions.
        kernels: (B, G, K, C).

    Returns:
        (B, G, K, N).
    """
    batch, groups, channels, positions = inputs.shape
    flat = inputs.reshape(1, batch * groups * channels, 1, positions)
    weights = kernels.reshape(batch * groups * kernels.shape[2], channels, 1, 1)
    return F.conv2d(flat, weights, groups=batch * groups).view(batch, groups, -1, positions)


class DynamicAttention(nn.Module):
    """Attention over the positions of a feature map.

    Args:
        channels: C.
        heads: groups of both convolutions; as many as `channels` is one reading of "depth-wise".
        activation: of :data:`ACTIVATIONS`, between the convolutions.
        affine_positions: N, gives the layer normalisation of the activation a weight and a bias for each key position,
            so that the module takes maps of N positions alone; 0: none.

    Raises:
        ValueError: the activation is unknown, has no layer normalisation to be affine, or heads do not divide channels.
    """

    def __init__(
        self, channels: int, heads: int, activation: str = "softmax", affine_positions: int = 0
    ) -> None:
        super().__init__()
        check_activation(activation, bool(affine_positions))
        if channels % heads:
            raise ValueError(f"{heads} heads do not divide {channels} channels")
        self.heads = heads
        self.activation = activation
        self.scale = (channels // heads) ** -0.5
        self.q, self.k, self.v, self.o = (nn.Conv2d(channels, channels, 1) for _ in range(4))
        self.ln_weight = nn.Parameter(torch.ones(affine_positions)) if affine_positions else None
        self.ln_bias = nn.Parameter(torch.zeros(affine_positions)) if affine_positions else None

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return self.o(self.attend(self.q(feature), self.k(feature), self.v(feature)))

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Queries, keys and values (B, C, H, W) to what attention makes of them, before the output projection.

        The products are those of :func:`dynamic_convolution`, as one matrix product for all images.
        """
        parts = (some.unflatten(1, (self.heads, -1)).flatten(3).transpose(2, 3) for some in (q, k, v))
        queries, keys, values = parts
        if self.activation == "softmax":
            found = F.scaled_dot_product_attention(queries, keys, values, scale=self.scale)
        else:
            found = self.maps(queries, keys) @ values
        return found.transpose(2, 3).reshape(v.shape)

    def maps(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Activated maps (B, G, N, N), the keys last, of queries and keys (B, G, N, d)."""
        products = queries @ keys.transpose(2, 3) * self.scale
        return ACTIVATIONS[self.activation](products, self.ln_weight, self.ln_bias)


class DynamicDepthwiseConv(nn.Module):
    """A depth-wise convolution whose kernels follow from the mean of the image: another reading of "depth-wise".

    Han et al., On the Connection between Local Attention and Dynamic Depth-wise Convolution (ICLR 2022), without its
    batch normalisation.

    Args:
        channels: C.
        kernel_size: odd.
        reduction: C / reduction hidden channels between the mean and the kernels.
    """

    def __init__(self, channels: int, kernel_size: int = 3, reduction: int = 4) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.reduce = nn.Linear(channels, channels // reduction, bias=False)
        self.expand = nn.Linear(channels // reduction, channels * kernel_size**2, bias=False)

    def forward(self, feature: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        kernels = self.expand(self.reduce(feature.mean((2, 3))).relu())
        kernels = kernels.view(-1, 1, self.kernel_size, self.kernel_size)
        flat = feature.flatten(0, 1).unsqueeze(0)
        found = F.conv2d(flat, kernels, padding=self.kernel_size // 2, groups=len(kernels))
        return found.view_as(feature)
