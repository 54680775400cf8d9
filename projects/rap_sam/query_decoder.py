"""The decoder of RAP-SAM: three stages of dynamic convolution, then an adapter for objects and one for prompts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks.transformer import FFN
from torch import Tensor, nn

from omgseg.models.mask_queries.output import DecoderOutput
from omgseg.models.omgseg.classifier import pool_under_masks
from omgseg.models.omgseg.query_decoder import Attention, DecoderCache, mlp
from omgseg.models.precision import full_precision
from omgseg.registry import MODELS


class KernelUpdater(nn.Module):
    """Dynamic convolution: kernels change by what lies under their masks (K-Net, arXiv:2106.14855, section 3.2).

    Args:
        channels: D.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dynamic_layer = nn.Linear(channels, 2 * channels)
        self.input_layer = nn.Linear(channels, 2 * channels)
        self.input_gate = nn.Linear(channels, channels)
        self.update_gate = nn.Linear(channels, channels)
        self.norm_in = nn.LayerNorm(channels)
        self.norm_out = nn.LayerNorm(channels)
        self.input_norm_in = nn.LayerNorm(channels)
        self.input_norm_out = nn.LayerNorm(channels)
        self.fc_layer = nn.Linear(channels, channels)
        self.fc_norm = nn.LayerNorm(channels)

    def forward(self, pooled: Tensor, kernels: Tensor) -> Tensor:
        """The new kernels (B, Q, D).

        Args:
            pooled: (B, Q, D), sums of the features under the masks.
            kernels: (B, Q, D).
        """
        with full_precision(kernels.device):  # sums exceed half precision
            pooled_gate, pooled_value = self.dynamic_layer(pooled.float()).chunk(2, dim=-1)
            kernel_gate, kernel_value = self.input_layer(kernels.float()).chunk(2, dim=-1)
            product = pooled_gate * kernel_gate
            keep = self.input_norm_in(self.input_gate(product)).sigmoid()
            update = self.norm_in(self.update_gate(product)).sigmoid()
            mixed = update * self.norm_out(pooled_value) + keep * self.input_norm_out(kernel_value)
            return F.relu(self.fc_norm(self.fc_layer(mixed)))


def _normed_linear(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(channels, channels, bias=False), nn.LayerNorm(channels), nn.ReLU(inplace=True)
    )


class DecoderStage(nn.Module):
    """Kernel update, self-attention, feed-forward; what the kernels say after it.

    Args:
        channels: D.
        num_heads: attention heads.
        feedforward_channels: width of the feed-forward part.
        embed_dim: E, the size of CLIP's joint space.
    """

    def __init__(self, channels: int, num_heads: int, feedforward_channels: int, embed_dim: int) -> None:
        super().__init__()
        self.kernel_update = KernelUpdater(channels)
        self.s_atten = nn.MultiheadAttention(channels, num_heads, batch_first=True)
        self.s_atten_norm = nn.LayerNorm(channels)
        self.ffn = FFN(channels, feedforward_channels)
        self.ffn_norm = nn.LayerNorm(channels)
        self.cls_fcs = _normed_linear(channels)
        self.cls_proj = mlp(channels, channels, embed_dim)
        self.mask_fcs = _normed_linear(channels)
        self.fc_mask = nn.Linear(channels, channels)
        self.iou_embed = mlp(channels, channels, 1)

    def forward(self, pooled: Tensor, kernels: Tensor, blocked: Tensor | None) -> Tensor:
        """The new kernels (B, Q, D).

        Args:
            pooled, kernels: see :meth:`KernelUpdater.forward`.
            blocked: bool (Q, Q), True where a query may not look at another; None: it may look at all.
        """
        kernels = self.kernel_update(pooled, kernels)
        attended, _ = self.s_atten(kernels, kernels, kernels, attn_mask=blocked, need_weights=False)
        kernels = self.s_atten_norm(kernels + attended)
        return self.ffn_norm(self.ffn(kernels))

    def mask_embeddings(self, kernels: Tensor) -> Tensor:
        """(B, Q, D) -> (B, Q, D)."""
        return self.fc_mask(self.mask_fcs(kernels))

    def class_embeddings(self, kernels: Tensor) -> Tensor:
        """(B, Q, D) -> (B, Q, E)."""
        return self.cls_proj(self.cls_fcs(kernels))

    def iou(self, kernels: Tensor) -> Tensor:
        """The expected IoU (B, Q) of the masks."""
        return self.iou_embed(self.mask_fcs(kernels)).squeeze(-1)


@MODELS.register_module()
class DynamicQueryDecoder(nn.Module):
    """Decoder with pooling and dynamic convolution in the place of cross-attention (RAP-SAM, arXiv:2401.10228,
    section 3.2).

    Queries are kernels. A stage pools the mask features of the whole clip under a kernel's last masks and updates the
    kernel by them; kernels then see each other, but prompts do not. The learned queries end with one more update (the
    object adapter), prompts with a cross-attention to all cells (the prompt adapter); the masks of an adapter are its
    kernels dot the features.

    Args:
        num_queries: learned queries.
        num_stages: stages before the adapters.
        channels: D.
        num_heads: attention heads.
        feedforward_channels: width of the feed-forward part.
        embed_dim: E, the size of CLIP's joint space.
        temperature: the class scores of the stages, not those of the object adapter, are divided by it.
    """

    def __init__(
        self,
        num_queries: int = 100,
        num_stages: int = 3,
        channels: int = 256,
        num_heads: int = 8,
        feedforward_channels: int = 2048,
        embed_dim: int = 768,
        temperature: float = 0.1,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.kernels = nn.Embedding(num_queries, channels)
        self.mask_heads = nn.ModuleList(
            DecoderStage(channels, num_heads, feedforward_channels, embed_dim) for _ in range(num_stages)
        )
        self.panoptic_attn = KernelUpdater(channels)
        self.panoptic_cls = nn.Sequential(nn.Linear(channels, embed_dim))
        self.prompt_attn = Attention(channels, num_heads)
        self.prompt_norm = nn.LayerNorm(channels)
        self.prompt_iou = nn.Linear(channels, 1)

    def forward(
        self,
        mask_features: Tensor,
        levels: list[Tensor],
        num_frames: int = 1,
        prompt_queries: tuple[Tensor, Tensor] | None = None,
        every_layer: bool = True,
        cache: DecoderCache | None = None,
    ) -> list[DecoderOutput]:
        """Decode clips; see :meth:`SharedQueryDecoder.forward`.

        Args:
            mask_features: (B * T, D, h, w).
            levels: not used.
            num_frames: T.
            prompt_queries: features and positions, both (B, N, D), which add up to the kernels of prompts; None: the
                learned queries.
            every_layer: return an output per stage and the adapter's (training), or the adapter's only.
            cache: of these features, from :meth:`make_cache`.

        Returns:
            ``num_stages + 1`` outputs, or one. Their `normed_queries` are class embeddings (B, Q, E), of unit length
            over the temperature, or None for prompts' adapter.
        """
        if cache is not None:
            clips = cache.mask_features
        else:
            clips = mask_features.unflatten(0, (-1, num_frames)).transpose(1, 2)
        blocked = None
        if prompt_queries is None:
            kernels = self.kernels.weight.expand(len(clips), -1, -1)
        else:
            kernels = sum(prompt_queries)
            blocked = ~torch.eye(kernels.shape[1], dtype=torch.bool, device=kernels.device)
        embeddings, outputs = kernels, []
        cells = clips.flatten(2)
        for stage in self.mask_heads:
            pooled = pool_under_masks(embeddings.detach(), cells, mean=False)
            kernels = stage(pooled, kernels, blocked)
            embeddings = stage.mask_embeddings(kernels)
            if every_layer:
                classes = self._unit(stage.class_embeddings(kernels)) / self.temperature
                outputs.append(DecoderOutput(kernels, classes, embeddings, clips, iou=stage.iou(kernels)))
        if prompt_queries is not None:
            return [*outputs, self._prompt_adapter(kernels, clips, cells, cache)]
        iou = self.mask_heads[-1].iou(kernels)
        kernels = self.panoptic_attn(pool_under_masks(embeddings.detach(), cells, mean=False), kernels)
        classes = self._unit(self.panoptic_cls(kernels))
        return [*outputs, DecoderOutput(kernels, classes, kernels, clips, iou=iou)]

    def make_cache(self, mask_features: Tensor, levels: list[Tensor], num_frames: int = 1) -> DecoderCache:
        """What prompts need of the features, made once for many calls on them: the keys and values of the prompt
        adapter, 121 MB in float32 for an image of 1280x736.

        Args:
            mask_features, levels, num_frames: see :meth:`forward`.
        """
        clips = mask_features.unflatten(0, (-1, num_frames)).transpose(1, 2)
        return DecoderCache(clips, [], [], [self._project(clips.flatten(2))])

    def _project(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        cells = cells.transpose(1, 2)
        return self.prompt_attn.project(cells, cells)

    def _prompt_adapter(
        self, kernels: Tensor, clips: Tensor, cells: Tensor, cache: DecoderCache | None
    ) -> DecoderOutput:
        keys, values = self._project(cells) if cache is None else cache.projected[0]
        kernels = self.prompt_norm(self.prompt_attn(kernels, keys, values, kernels.new_zeros(())))
        return DecoderOutput(kernels, kernels, kernels, clips, iou=self.prompt_iou(kernels).squeeze(-1))

    @staticmethod
    def _unit(embeddings: Tensor) -> Tensor:
        return F.normalize(embeddings.float(), dim=-1)
