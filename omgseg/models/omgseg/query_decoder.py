"""The shared query decoder: one set of queries for images, clips and prompts."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks.transformer import FFN
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from omgseg.models.mask_queries.output import DecoderOutput
from omgseg.registry import MODELS


def clip_encoding(frames: int, height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """Sine encoding of positions: half of the channels for y, half for x, and time added to all of them.

    Sines are computed once per row and column.

    Returns:
        (frames, height, width, channels).
    """
    time = _axis_encoding(frames, channels, device).view(frames, 1, 1, channels)
    y = _axis_encoding(height, channels // 2, device).unsqueeze(1).expand(-1, width, -1)
    x = _axis_encoding(width, channels // 2, device).unsqueeze(0).expand(height, -1, -1)
    return torch.cat([y, x], dim=-1) + time


def _axis_encoding(length: int, channels: int, device: torch.device) -> Tensor:
    """(length, channels): sine and cosine, in turn, of positions that are spread over a full circle."""
    position = torch.arange(1, length + 1, dtype=torch.float32, device=device)
    position = position / (length + 1e-6) * (2 * math.pi)
    exponent = 2 * (torch.arange(channels, dtype=torch.float32, device=device) // 2) / channels
    angle = position.unsqueeze(1) / 10000**exponent
    return torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], dim=-1).flatten(1)


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
            attend_queries: bool, broadcastable to (B, heads, Q, Q), the queries a query may look at; None for all.
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
        of_queries = self.self_attn.project(query + query_pos, query)
        query = self.norms[1](self.self_attn(query, *of_queries, query_pos, attend_queries))
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


@dataclass
class DecoderCache:
    """What the queries look at. It depends on the images alone, so that many prompts can share it.

    Attributes:
        mask_features: (B, D, T, h, w).
        guides: (B, D, cells) per level, the mask features at its size; cells are those of all frames, T * h_i * w_i.
        cells: key and value, both (B, cells, D), per level.
        projected: keys and values, both (B, heads, cells, D / heads), per layer; empty where each layer makes its own
            from `cells` when it runs, so that only one layer's exist at a time.
        first_size: (h_0, w_0), the size of the level that the queries look at first.
    """

    mask_features: Tensor
    guides: list[Tensor]
    cells: list[tuple[Tensor, Tensor]]
    projected: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    first_size: tuple[int, int] | None = None


@dataclass(frozen=True)
class PromptTokens:
    """All prompts of an object as a group of K tokens. The first one is the object's query, and gives its mask.

    Attributes:
        features, positions: (B, N, K, D).
        valid: bool (B, N, K); the others are padding, never the first.
        masks: bool (B, N, h, w) of images, at the size of the mask features: what an object's query looks at in its
            first layer; where it is empty, and with None, that is the mask that the query shows by itself.
    """

    features: Tensor
    positions: Tensor
    valid: Tensor
    masks: Tensor | None = None


@MODELS.register_module()
class SharedQueryDecoder(nn.Module):
    """Transformer decoder with masked attention (Mask2Former), over the frames of a clip at once.

    An image is a clip of one frame; learned (semantic) queries and prompt (location) queries share all weights.
    A level's attention mask comes from features resized to that level, which equals resizing the masks, as masks
    are linear in the features.

    Args:
        num_queries: learned queries.
        num_layers: decoder layers; layer i attends to level i modulo `num_levels`.
        channels: D.
        num_heads: attention heads.
        feedforward_channels: width of the feed-forward part.
        num_levels: feature levels, coarse to fine.
        checkpoint_layers: recompute a layer in the backward pass instead of keeping its activations.
    """

    def __init__(
        self,
        num_queries: int = 300,
        num_layers: int = 9,
        channels: int = 256,
        num_heads: int = 8,
        feedforward_channels: int = 2048,
        num_levels: int = 3,
        checkpoint_layers: bool = False,
    ) -> None:
        super().__init__()
        self.num_levels = num_levels
        self.checkpoint_layers = checkpoint_layers
        self.query_feat = nn.Embedding(num_queries, channels)
        self.query_embed = nn.Embedding(num_queries, channels)
        self.level_embed = nn.Embedding(num_levels, channels)
        self.layers = nn.ModuleList(
            QueryDecoderLayer(channels, num_heads, feedforward_channels) for _ in range(num_layers)
        )
        self.post_norm = nn.LayerNorm(channels)
        self.mask_embed = mlp(channels, channels, channels)
        self.objectness = mlp(channels, channels, 1)
        self._init_layers()

    @torch.no_grad()
    def _init_layers(self) -> None:
        """Xavier; cross-attention starts as similarity, its keys projected like its queries.

        A prompt then attends to the cells near it from the first step, and need not find that out.
        """
        for parameter in self.layers.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_normal_(parameter)
        for layer in self.layers:
            query, key, _ = layer.cross_attn.attn.in_proj_weight.chunk(3)
            key.copy_(query)

    def forward(
        self,
        mask_features: Tensor,
        levels: list[Tensor],
        num_frames: int = 1,
        prompt_queries: tuple[Tensor, Tensor] | PromptTokens | None = None,
        every_layer: bool = True,
        cache: DecoderCache | None = None,
    ) -> list[DecoderOutput]:
        """Decode clips.

        Args:
            mask_features: (B * T, D, h, w).
            levels: features (B * T, D, h_i, w_i), coarse to fine.
            num_frames: T.
            prompt_queries: features and positions, both (B, N, D), or groups of tokens, in place of the learned
                queries. The tokens of an object see each other; objects do not.
            every_layer: return the initial prediction and one per layer (training), or the last one only.
            cache: of these features, from :meth:`make_cache`; None: it is made here, and forgotten.

        Returns:
            ``num_layers + 1`` outputs, or one.
        """
        if cache is None:
            cache = self._cells_of_levels(mask_features, levels, num_frames)
        batch, tokens, masks, attend_queries = len(cache.mask_features), 1, None, None
        if prompt_queries is None:
            query = self.query_feat.weight.expand(batch, -1, -1)
            position = self.query_embed.weight.expand(batch, -1, -1)
        elif isinstance(prompt_queries, PromptTokens):
            tokens, masks = prompt_queries.features.shape[2], prompt_queries.masks
            query = prompt_queries.features.flatten(1, 2)
            position = prompt_queries.positions.flatten(1, 2)
            attend_queries = _within_groups(prompt_queries.valid)
        else:
            query, position = prompt_queries
            attend_queries = torch.eye(query.shape[1], dtype=torch.bool, device=query.device)

        outputs = []
        for index in range(len(self.layers) + 1):
            last = index == len(self.layers)
            shown = query[:, ::tokens]
            normed = self.post_norm(shown)
            embedding = self.mask_embed(normed)
            if every_layer or last:
                objectness = self.objectness(normed).squeeze(-1)
                outputs.append(DecoderOutput(shown, normed, embedding, cache.mask_features, objectness))
            if last:
                return outputs
            bias = _attention_bias(embedding.detach(), cache.guides[index % self.num_levels])
            if masks is not None and not index:
                bias = _bias_of_masks(masks, cache.first_size, bias)
            query = self._run_layer(index, query, position, cache, _of_tokens(bias, tokens), attend_queries)

    def make_cache(self, mask_features: Tensor, levels: list[Tensor], num_frames: int = 1) -> DecoderCache:
        """What :meth:`forward` takes from the features, made once for many calls on them.

        It holds the keys and values of all layers: 138 MB in float32 for an image of 1280x736 with the published
        sizes (9 layers, D = 256, strides 8 to 32), of which the guides are 20 MB.

        Args:
            mask_features, levels, num_frames: see :meth:`forward`.
        """
        cache = self._cells_of_levels(mask_features, levels, num_frames)
        projected = [
            # a head's cells side by side: few queries then attend twice as fast
            tuple(x.contiguous() for x in layer.cross_attn.project(*cache.cells[index % self.num_levels]))
            for index, layer in enumerate(self.layers)
        ]
        return replace(cache, cells=[], projected=projected)

    def _cells_of_levels(self, mask_features: Tensor, levels: list[Tensor], num_frames: int) -> DecoderCache:
        mask_features = mask_features.unflatten(0, (-1, num_frames)).transpose(1, 2)
        sizes = [tuple(level.shape[-2:]) for level in levels]
        guides = {size: _resize_frames(mask_features.detach(), size) for size in sizes}
        cells = [self._cells(index, level, num_frames) for index, level in enumerate(levels)]
        return DecoderCache(mask_features, [guides[size] for size in sizes], cells, first_size=sizes[0])

    def _cells(self, index: int, level: Tensor, num_frames: int) -> tuple[Tensor, Tensor]:
        """Key and value (B, T * h * w, D) of one level, the frames one after another."""
        clips = level.unflatten(0, (-1, num_frames))
        value = clips.permute(0, 1, 3, 4, 2).flatten(1, 3).contiguous() + self.level_embed.weight[index]
        position = clip_encoding(num_frames, *level.shape[-2:], level.shape[1], level.device)
        return value + position.flatten(0, 2).to(value.dtype), value

    def _run_layer(
        self,
        index: int,
        query: Tensor,
        position: Tensor,
        cache: DecoderCache,
        bias: Tensor,
        attend_queries: Tensor | None,
    ) -> Tensor:
        layer = self.layers[index]
        if cache.projected:
            return layer.attend(query, position, *cache.projected[index], bias, attend_queries)
        arguments = (query, position, *cache.cells[index % self.num_levels], bias, attend_queries)
        if self.checkpoint_layers and self.training:
            return checkpoint(layer, *arguments, use_reentrant=False)
        return layer(*arguments)


def _resize_frames(features: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, D, T, h, w) -> (B, D, T * h' * w'), bilinear."""
    batch, channels, frames = features.shape[:3]
    # as many maps of one channel: for small results PyTorch would first copy the channels to the last place
    maps = features.transpose(1, 2).flatten(0, 2).unsqueeze(1)
    resized = F.interpolate(maps, size, mode="bilinear", align_corners=False)
    return resized.view(batch, frames, channels, -1).transpose(1, 2).flatten(2)


@torch.no_grad()
def _attention_bias(mask_embeddings: Tensor, guide: Tensor) -> Tensor:
    """(B, 1, Q, cells), added to the attention's logits: 0 inside a query's own mask and the lowest number outside;
    0 everywhere where the mask is empty.

    In place, and added instead of given as booleans: the attention would turn those into such numbers, slowly.
    """
    logits = torch.bmm(mask_embeddings, guide.to(mask_embeddings.dtype))
    nonempty = logits.amax(-1, keepdim=True) >= 0
    outside = logits.sign_().clamp_(max=0)
    return outside.mul_(nonempty * torch.finfo(logits.dtype).max).unsqueeze(1)


@torch.no_grad()
def _bias_of_masks(masks: Tensor, size: tuple[int, int], bias: Tensor) -> Tensor:
    """The bias (B, 1, N, cells) of cells that given masks touch; that of an object without a mask stays.

    Args:
        masks: bool (B, N, h, w).
        size: (height, width) of the level.
        bias: see :func:`_attention_bias`.
    """
    touched = F.adaptive_max_pool2d(masks.float(), size).flatten(2) > 0
    given = torch.zeros_like(bias[:, 0]).masked_fill_(~touched, torch.finfo(bias.dtype).min)
    return given.where(touched.any(-1, keepdim=True), bias[:, 0]).unsqueeze(1)


def _of_tokens(bias: Tensor, tokens: int) -> Tensor:
    """The bias (B, 1, N * K, cells) of all tokens of N objects: 0 for all but the first of each.

    What a further prompt points at lies where the object's mask is wrong.
    """
    if tokens == 1:
        return bias
    of_all = bias.new_zeros(*bias.shape[:3], tokens, bias.shape[-1])
    of_all[..., 0, :] = bias
    return of_all.flatten(2, 3)


def _within_groups(valid: Tensor) -> Tensor:
    """Which tokens see each other, bool (B, 1, N * K, N * K): those of a group (B, N, K) that are no padding."""
    objects, tokens = valid.shape[1:]
    group = torch.arange(objects, device=valid.device).repeat_interleave(tokens)
    return ((group.unsqueeze(1) == group) & valid.flatten(1).unsqueeze(1)).unsqueeze(1)
