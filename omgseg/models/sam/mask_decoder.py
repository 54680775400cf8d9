"""SAM's mask decoder: a two-way transformer between a few tokens and the image, and masks as products with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from omgseg.registry import MODELS

PLACE_GAIN = 1.5
"""Of the initial projections of queries and keys: logits of about 3 between equal positions."""


class MaskPrediction(NamedTuple):
    """Of N objects.

    Attributes:
        logits: (N, M + 1, 4 h, 4 w): the mask for unambiguous prompts, then M candidates.
        iou: (N, M + 1), the IoU that each is expected to have.
        tokens: (N, M + 2 + prompts, E), the transformer's output: IoU token, mask tokens, prompts.
    """

    logits: Tensor
    iou: Tensor
    tokens: Tensor


@MODELS.register_module()
class SamMaskDecoder(nn.Module):
    """Masks of prompts (arXiv:2304.02643, section 3 and appendix A). Parameters have the published names.

    Args:
        embed_dim: channels of image and prompt embeddings.
        num_candidates: M, masks that a point may mean (whole, part, subpart).
        depth, num_heads, mlp_dim: of the transformer.
        iou_depth, iou_hidden_dim: of the MLP that predicts the IoU.
    """

    def __init__(
        self,
        embed_dim: int = 256,
        num_candidates: int = 3,
        depth: int = 2,
        num_heads: int = 8,
        mlp_dim: int = 2048,
        iou_depth: int = 3,
        iou_hidden_dim: int = 256,
    ) -> None:
        super().__init__()
        self.num_candidates = num_candidates
        masks, activation = num_candidates + 1, self.layer_type.activation
        self.transformer = TwoWayTransformer(embed_dim, depth, num_heads, mlp_dim, self.layer_type)
        self.iou_token = nn.Embedding(1, embed_dim)
        self.mask_tokens = nn.Embedding(masks, embed_dim)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(embed_dim, embed_dim // 4, 2, 2),
            LayerNorm2d(embed_dim // 4, eps=1e-6),
            nn.GELU(),
            nn.ConvTranspose2d(embed_dim // 4, embed_dim // 8, 2, 2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP(embed_dim, embed_dim, embed_dim // 8, 3, activation) for _ in range(masks)
        )
        self.iou_prediction_head = MLP(embed_dim, iou_hidden_dim, masks, iou_depth, activation)

    def forward(self, embedding: Tensor, positions: Tensor, sparse: Tensor, dense: Tensor) -> MaskPrediction:
        """Masks of N objects.

        Args:
            embedding: (1, E, h, w) of the image that all prompts are of, or (N, E, h, w) of an image each.
            positions: (1, E, h, w).
            sparse: (N, tokens, E).
            dense: (N, E, h, w), or (1, E, 1, 1): no mask prompt.
        """
        learned = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        logits, tokens = self.attend(learned, embedding, positions, sparse, dense)
        return MaskPrediction(logits, self.iou_prediction_head(tokens[:, 0]), tokens)

    @property
    def layer_type(self) -> type[TwoWayLayer]:
        """Of the transformer; its activation is that of the heads, too."""
        return TwoWayLayer

    def attend(
        self, learned: Tensor, embedding: Tensor, positions: Tensor, sparse: Tensor, dense: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The logits and tokens of a :class:`MaskPrediction`.

        Args:
            learned: (1 + masks, E), the tokens before those of the prompts: any first one, then the mask tokens.
            embedding, positions, sparse, dense: see :meth:`forward`.
        """
        # not len(sparse), which is a constant in an exported graph
        tokens = torch.cat([learned.expand(sparse.shape[0], -1, -1), sparse], dim=1)
        height, width = embedding.shape[-2:]
        image = (embedding + dense).flatten(2).transpose(1, 2)
        tokens, image = self.transformer(tokens, image, positions.flatten(2).transpose(1, 2))
        kernels = torch.stack(
            [mlp(tokens[:, 1 + index]) for index, mlp in enumerate(self.output_hypernetworks_mlps)], dim=1
        )
        return self._masks(image.unflatten(1, (height, width)), kernels), tokens

    def _masks(self, image: Tensor, kernels: Tensor) -> Tensor:
        """Logits (N, M + 1, 4 h, 4 w): the upscaled image (N, h, w, E) times kernels (N, M + 1, E / 8).

        A transposed convolution whose stride is its kernel's size is a linear layer that gives the pixels of a cell.
        So channels stay last, and only the masks, not the features, are brought into the order of an image.
        """
        to_quarters, norm, activation, to_sixteenths, _ = self.output_upscaling
        quarters = self.normalize_pixels(cell_pixels(image, to_quarters), norm)
        pixels = activation(cell_pixels(activation(quarters), to_sixteenths))  # (N, h, w, 2, 2, 2, 2, E / 8)
        logits = (kernels @ pixels.flatten(1, -2).transpose(1, 2)).unflatten(2, pixels.shape[1:-1])
        return logits.permute(0, 1, 2, 4, 6, 3, 5, 7).flatten(5, 7).flatten(2, 4)

    def normalize_pixels(self, pixels: Tensor, norm: nn.Module) -> Tensor:
        """What the norm of the upscaling gives for (N, h, w, 2, 2, E / 4): each pixel by itself."""
        return F.layer_norm(pixels, norm.weight.shape, norm.weight, norm.bias, norm.eps)


def cell_pixels(cells: Tensor, layer: nn.ConvTranspose2d) -> Tensor:
    """What a transposed convolution, kernel and stride 2, gives for cells (..., C): (..., 2, 2, D), rows first."""
    weight = layer.weight.permute(2, 3, 1, 0)  # (2, 2, D, C)
    pixels = F.linear(cells, weight.flatten(0, 2), layer.bias.repeat(4))
    return pixels.unflatten(-1, weight.shape[:3])


class TwoWayTransformer(nn.Module):
    """Tokens attend to each other and to the image, the image attends to the tokens."""

    def __init__(
        self, width: int, depth: int, num_heads: int, mlp_dim: int, layer_type: type[TwoWayLayer]
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            layer_type(width, num_heads, mlp_dim, is_first=layer == 0) for layer in range(depth)
        )
        self.final_attn_token_to_image = Attention(width, width // 2, num_heads)
        self.norm_final_attn = nn.LayerNorm(width)
        for name, module in self.named_modules():
            if isinstance(module, Attention) and "self_attn" not in name:
                module.start_at_own_place()

    def forward(self, tokens: Tensor, image: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (N, T, C) and the image (N or 1, h * w, C) after all layers, (N, T, C) and (N, h * w, C).

        Args:
            positions: (1, h * w, C), of the image's cells. Those of the tokens are the tokens themselves.
        """
        start = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, start, positions)
        attended = self.final_attn_token_to_image.to_many(tokens + start, image + positions, image)
        return self.norm_final_attn(tokens + attended), image


class TwoWayLayer(nn.Module):
    """One layer of :class:`TwoWayTransformer`. The first one replaces the tokens by what their self-attention gives."""

    activation: Callable[[Tensor], Tensor] = staticmethod(F.relu)
    """Of the MLPs of this layer and of the decoder's heads."""

    def __init__(self, width: int, num_heads: int, mlp_dim: int, is_first: bool) -> None:
        super().__init__()
        self.is_first = is_first
        self.self_attn = Attention(width, width, num_heads)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attn_token_to_image = Attention(width, width // 2, num_heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Module()
        self.mlp.lin1 = nn.Linear(width, mlp_dim)
        self.mlp.lin2 = nn.Linear(mlp_dim, width)
        self.norm3 = nn.LayerNorm(width)
        self.norm4 = nn.LayerNorm(width)
        self.cross_attn_image_to_token = Attention(width, width // 2, num_heads)

    def forward(
        self, tokens: Tensor, image: Tensor, start: Tensor, positions: Tensor
    ) -> tuple[Tensor, Tensor]:
        tokens = self.norm1(self.attend_to_each_other(tokens, start))
        placed_image = image + positions
        attended = self.cross_attn_token_to_image.to_many(tokens + start, placed_image, image)
        tokens = self.norm2(tokens + attended)
        tokens = self.norm3(tokens + self.mlp.lin2(self.activation(self.mlp.lin1(tokens))))
        attended = self.cross_attn_image_to_token.from_many(placed_image, tokens + start, tokens)
        return tokens, self.norm4(image + attended)

    def attend_to_each_other(self, tokens: Tensor, start: Tensor) -> Tensor:
        """Tokens (N, T, C) after their self-attention; `start` are their positions."""
        if self.is_first:
            return self.self_attn(tokens, tokens, tokens)
        placed = tokens + start
        return tokens + self.self_attn(placed, placed, tokens)


class Attention(nn.Module):
    """Multi-head attention with a narrower inner width.

    Tokens are few and the image's cells many. So cross-attention projects the tokens' side twice instead of the
    image's once: ``q (x W_k)' = (q W_k') x'`` and ``(a x) W_v = a (x W_v)``. Exact, but for rounding; the bias of the
    keys shifts all logits of a query alike and drops out of the softmax.
    """

    def __init__(self, width: int, inner: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(width, inner)
        self.k_proj = nn.Linear(width, inner)
        self.v_proj = nn.Linear(width, inner)
        self.out_proj = nn.Linear(inner, width)

    def start_at_own_place(self) -> None:
        """Initial weights with which a query attends to keys of its own position.

        Queries and keys are projected alike, so that their products fall with the distance of their Fourier features.
        """
        nn.init.orthogonal_(self.q_proj.weight, PLACE_GAIN)
        self.k_proj.load_state_dict(self.q_proj.state_dict())

    def _heads(self, projected: Tensor) -> Tensor:
        return projected.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    @property
    def _scale(self) -> float:
        return (self.q_proj.out_features // self.num_heads) ** -0.5

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(N, Q, C), (N, K, C), (N, K, C) -> (N, Q, C)."""
        q, k, v = self._heads(self.q_proj(q)), self._heads(self.k_proj(k)), self._heads(self.v_proj(v))
        attended = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(attended.transpose(1, 2).flatten(2))

    def to_many(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """As :meth:`forward`, for few queries (N, Q, C) and many keys and values (N or 1, K, C)."""
        projected = self._heads(self.q_proj(q)) * self._scale
        keys_to_heads = self.k_proj.weight.unflatten(0, (self.num_heads, -1))
        queries = torch.einsum("nhqd,hdc->nhqc", projected, keys_to_heads).flatten(1, 2)
        weights = (queries @ k.transpose(1, 2)).softmax(-1)  # (N, heads * Q, K)
        mixed = (weights @ v).unflatten(1, (self.num_heads, -1))  # (N, heads, Q, C)
        values_to_heads = self.v_proj.weight.unflatten(0, (self.num_heads, -1))
        attended = torch.einsum("nhqc,hdc->nqhd", mixed, values_to_heads).flatten(2)
        return self.out_proj(attended + self.v_proj.bias)

    def from_many(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """As :meth:`forward`, for many queries (N or 1, Q, C) and few keys and values (N, K, C)."""
        keys = self._heads(self.k_proj(k)) * self._scale  # (N, heads, K, d)
        heads_to_queries = self.q_proj.weight.unflatten(0, (self.num_heads, -1))
        asked = torch.einsum("nhkd,hdc->nhkc", keys, heads_to_queries).flatten(1, 2)
        offset = torch.einsum("nhkd,hd->nhk", keys, self.q_proj.bias.unflatten(0, (self.num_heads, -1)))
        logits = asked @ q.transpose(1, 2) + offset.flatten(1).unsqueeze(2)  # (N, heads * K, Q)
        # queries last: a softmax over few keys is several times as fast when many of them lie side by side
        weights = logits.unflatten(1, (self.num_heads, -1)).softmax(2).flatten(1, 2)
        values = self._heads(self.v_proj(v))
        heads_to_width = self.out_proj.weight.unflatten(1, (self.num_heads, -1))
        told = torch.einsum("nhkd,chd->nhkc", values, heads_to_width).flatten(1, 2)
        return weights.transpose(1, 2) @ told + self.out_proj.bias


class MLP(nn.Module):
    """Linear layers with an activation between them."""

    def __init__(
        self, width: int, hidden: int, out: int, depth: int, activation: Callable[[Tensor], Tensor] = F.relu
    ) -> None:
        super().__init__()
        self.activation = activation
        sizes = [width] + [hidden] * (depth - 1) + [out]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> (..., out)."""
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)
