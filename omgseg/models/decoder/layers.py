"""Layers of the query decoder: masked attention and the three-part transformer layer."""

import torch.nn.functional as F
from mmcv.cnn.bricks.transformer import FFN
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention with a residual, computed by PyTorch's fused kernel.

    The parameters are those of `nn.MultiheadAttention` under the name ``attn`` (mmcv's key layout), but a mask is
    given once for all heads instead of being repeated for each.
    """

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(channels, num_heads, batch_first=True)

    def project(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """What queries attend to; it does not depend on them.

        Args:
            key: (B, K, D), with its position encoding added.
            value: (B, K, D).

        Returns:
            Keys and values, (B, heads, K, D / heads) each.
        """
        _, weight_k, weight_v = self.attn.in_proj_weight.chunk(3)
        _, bias_k, bias_v = self.attn.in_proj_bias.chunk(3)
        keys, values = F.linear(key, weight_k, bias_k), F.linear(value, weight_v, bias_v)
        return self._split_heads(keys), self._split_heads(values)

    def forward(
        self, query: Tensor, keys: Tensor, values: Tensor, query_pos: Tensor, attend: Tensor | None = None
    ) -> Tensor:
        """Attend and add to the query.

        Args:
            query: (B, Q, D).
            keys, values: (B, heads, K, D / heads), from :meth:`project`.
            query_pos: (B, Q, D), added to the query for the attention only.
            attend: broadcastable to (B, heads, Q, K): booleans, True where a query may look, or numbers that are
                added to the attention's logits.

        Returns:
            (B, Q, D).
        """
        weight_q, bias_q = self.attn.in_proj_weight.chunk(3)[0], self.attn.in_proj_bias.chunk(3)[0]
        queries = self._split_heads(F.linear(query + query_pos, weight_q, bias_q))
        attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=attend)
        return query + self.attn.out_proj(attended.transpose(1, 2).flatten(2))

    def _split_heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.attn.num_heads, -1)).transpose(1, 2)


class QueryDecoderLayer(nn.Module):
    """Masked cross-attention, self-attention, feed-forward, each followed by a layer norm (Mask2Former)."""

    def __init__(self, channels: int, num_heads: int, feedforward_channels: int) -> None:
        super().__init__()
        self.cross_attn = Attention(channels, num_heads)
        self.self_attn = Attention(channels, num_heads)
        self.ffn = FFN(channels, feedforward_channels)
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(3))

    def forward(
        self,
        query: Tensor,
        query_pos: Tensor,
        key: Tensor,
        value: Tensor,
        bias: Tensor,
        attend_queries: Tensor | None,
    ) -> Tensor:
        """(B, Q, D) -> (B, Q, D).

        Args:
            query, query_pos: (B, Q, D).
            key, value: (B, K, D), the cells of one level of the whole clip, frame after frame.
            bias: (B, 1, Q, K), added to the logits of the attention to the cells.
            attend_queries: bool (Q, Q), the queries a query may look at; None for all.
        """
        return self.attend(query, query_pos, *self.cross_attn.project(key, value), bias, attend_queries)

    def attend(
        self,
        query: Tensor,
        query_pos: Tensor,
        keys: Tensor,
        values: Tensor,
        bias: Tensor,
        attend_queries: Tensor | None,
    ) -> Tensor:
        """:meth:`forward` with cells that `cross_attn` has projected before, (B, heads, K, D / heads)."""
        query = self.norms[0](self.cross_attn(query, keys, values, query_pos, bias))
        own = self.self_attn.project(query + query_pos, query)
        query = self.norms[1](self.self_attn(query, *own, query_pos, attend_queries))
        return self.norms[2](self.ffn(query))


def mlp(in_channels: int, hidden_channels: int, out_channels: int) -> nn.Sequential:
    """Three linear layers with ReLU between them."""
    return nn.Sequential(
        nn.Linear(in_channels, hidden_channels),
        nn.ReLU(inplace=True),
        nn.Linear(hidden_channels, hidden_channels),
        nn.ReLU(inplace=True),
        nn.Linear(hidden_channels, out_channels),
    )
