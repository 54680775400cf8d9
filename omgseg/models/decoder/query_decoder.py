"""The shared query decoder: one set of queries for images, clips and prompts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from omgseg.models.decoder.layers import QueryDecoderLayer, mlp
from omgseg.models.decoder.position_encoding import clip_encoding
from omgseg.registry import MODELS


@dataclass
class DecoderOutput:
    """What the queries say after one layer.

    Attributes:
        queries: (B, Q, D), as the layer left them; associates the clips of a video.
        normed_queries: (B, Q, D), after the decoder's norm; the classifier's input.
        mask_embeddings: (B, Q, D).
        mask_features: (B, D, T, h, w), shared by all layers.
        objectness_logits: (B, Q).
        class_logits: (B, Q, C + 1), filled in by the classifier where classes are wanted.
    """

    queries: Tensor
    normed_queries: Tensor
    mask_embeddings: Tensor
    mask_features: Tensor
    objectness_logits: Tensor
    class_logits: Tensor | None = None

    @property
    def mask_logits(self) -> Tensor:
        """(B, Q, T, h, w): ``mask_embeddings . mask_features``, computed at each access."""
        return torch.einsum("bqd,bdthw->bqthw", self.mask_embeddings, self.mask_features)


@dataclass
class DecoderMemory:
    """What the queries look at. It depends on the images alone, so that many prompts can share it.

    Attributes:
        mask_features: (B, D, T, h, w).
        guides: (B, D, cells) a level, the mask features at its size; cells are those of all frames, T * h_i * w_i.
        cells: key and value, both (B, cells, D), a level.
        projected: keys and values, both (B, heads, cells, D / heads), a layer; empty where each layer makes its own
            from `cells` when it runs, so that only one layer's exist at a time.
    """

    mask_features: Tensor
    guides: list[Tensor]
    cells: list[tuple[Tensor, Tensor]]
    projected: list[tuple[Tensor, Tensor]] = field(default_factory=list)


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
        prompt_queries: tuple[Tensor, Tensor] | None = None,
        every_layer: bool = True,
        memory: DecoderMemory | None = None,
    ) -> list[DecoderOutput]:
        """Decode clips.

        Args:
            mask_features: (B * T, D, h, w).
            levels: features (B * T, D, h_i, w_i), coarse to fine.
            num_frames: T.
            prompt_queries: features and positions, both (B, N, D), in place of the learned queries. Prompts do not
                see each other.
            every_layer: return the initial prediction and one a layer (training), or the last one only.
            memory: of these features, from :meth:`project_memory`; None: it is made here, and forgotten.

        Returns:
            ``num_layers + 1`` outputs, or one.
        """
        if memory is None:
            memory = self._memory(mask_features, levels, num_frames)
        batch = len(memory.mask_features)
        if prompt_queries is None:
            query = self.query_feat.weight.expand(batch, -1, -1)
            position = self.query_embed.weight.expand(batch, -1, -1)
            attend_queries = None
        else:
            query, position = prompt_queries
            attend_queries = torch.eye(query.shape[1], dtype=torch.bool, device=query.device)

        outputs = []
        for index in range(len(self.layers) + 1):
            last = index == len(self.layers)
            normed = self.post_norm(query)
            embedding = self.mask_embed(normed)
            if every_layer or last:
                objectness = self.objectness(normed).squeeze(-1)
                outputs.append(DecoderOutput(query, normed, embedding, memory.mask_features, objectness))
            if last:
                return outputs
            bias = _attention_bias(embedding.detach(), memory.guides[index % self.num_levels])
            query = self._run_layer(index, query, position, memory, bias, attend_queries)

    def project_memory(
        self, mask_features: Tensor, levels: list[Tensor], num_frames: int = 1
    ) -> DecoderMemory:
        """What :meth:`forward` takes from the features, made once for many calls on them.

        It holds the keys and values of all layers: 138 MB in float32 for an image of 1280x736 with the published
        sizes (9 layers, D = 256, strides 8 to 32), of which the guides are 20 MB.

        Args:
            mask_features, levels, num_frames: see :meth:`forward`.
        """
        memory = self._memory(mask_features, levels, num_frames)
        projected = [
            # a head's cells side by side: few queries then attend twice as fast
            tuple(x.contiguous() for x in layer.cross_attn.project(*memory.cells[index % self.num_levels]))
            for index, layer in enumerate(self.layers)
        ]
        return replace(memory, cells=[], projected=projected)

    def _memory(self, mask_features: Tensor, levels: list[Tensor], num_frames: int) -> DecoderMemory:
        mask_features = mask_features.unflatten(0, (-1, num_frames)).transpose(1, 2)
        sizes = [tuple(level.shape[-2:]) for level in levels]
        guides = {size: _resize_frames(mask_features.detach(), size) for size in sizes}
        cells = [self._cells(index, level, num_frames) for index, level in enumerate(levels)]
        return DecoderMemory(mask_features, [guides[size] for size in sizes], cells)

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
        memory: DecoderMemory,
        bias: Tensor,
        attend_queries: Tensor | None,
    ) -> Tensor:
        layer = self.layers[index]
        if memory.projected:
            return layer.attend(query, position, *memory.projected[index], bias, attend_queries)
        arguments = (query, position, *memory.cells[index % self.num_levels], bias, attend_queries)
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
