"""SAM's prompt encoder: points, boxes and masks to tokens and to a map."""

from __future__ import annotations

import math

import torch
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from omgseg.registry import MODELS

UPPER_LEFT, LOWER_RIGHT = 2, 3
"""Labels of the corners of a box, as points."""
PADDING, IGNORED = -1, -2
"""Labels of points that are none: a learned token, and a token of zeros."""


@MODELS.register_module()
class SamPromptEncoder(nn.Module):
    """Prompts to embeddings (arXiv:2304.02643, section 3 and appendix A).

    Parameters have the names of the published checkpoints.

    Args:
        embed_dim: channels of the embeddings.
        image_size: side of the padded square input, in pixels.
        stride: of the image embedding.
        mask_channels: hidden channels of the mask prompt's convolutions.
        position_scale: standard deviation of the random frequencies of positions, in periods per half side. Smaller
            grids want lower ones. Checkpoints hold the frequencies.
    """

    def __init__(
        self,
        embed_dim: int = 256,
        image_size: int = 1024,
        stride: int = 16,
        mask_channels: int = 16,
        position_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.image_size = image_size
        self.grid = image_size // stride
        self.pe_layer = FourierPositions(embed_dim // 2, position_scale)
        # beside the point, on it, upper left corner of a box, lower right corner
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, embed_dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, embed_dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, mask_channels // 4, 2, 2),
            LayerNorm2d(mask_channels // 4, eps=1e-6),
            nn.GELU(),
            nn.Conv2d(mask_channels // 4, mask_channels, 2, 2),
            LayerNorm2d(mask_channels, eps=1e-6),
            nn.GELU(),
            nn.Conv2d(mask_channels, embed_dim, 1),
        )
        self.no_mask_embed = nn.Embedding(1, embed_dim)

    @property
    def mask_size(self) -> int:
        """Side of a mask prompt, 4 times the embedding's."""
        return 4 * self.grid

    def forward(
        self,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Embed the prompts of N objects. At least one of points, boxes and masks is given.

        Args:
            points: (N, K, 2), x and y in pixels of the padded input.
            labels: (N, K): 1 on the object, 0 not on it, :data:`PADDING`, :data:`IGNORED`.
            boxes: (N, 4), x1, y1, x2, y2; NaN: this object has none, and both corners become padding.
            masks: (N, 1, `mask_size`, `mask_size`), logits.

        Returns:
            ``sparse`` (N, tokens, E), points before corners; a padding point follows the points where no box is given.
            ``dense`` (N, E, grid, grid), or (1, E, 1, 1) without masks.
        """
        tokens = []
        if points is not None:
            tokens.append(self.embed_points(points, labels))
            if boxes is None:
                tokens.append(self.not_a_point_embed.weight.expand(len(points), 1, -1))
        if boxes is not None:
            corners = torch.tensor([UPPER_LEFT, LOWER_RIGHT], device=boxes.device).expand(len(boxes), 2)
            corners = corners.masked_fill(boxes.isnan().any(1, keepdim=True), PADDING)
            tokens.append(self.embed_points(boxes.view(-1, 2, 2), corners))
        width = self.no_mask_embed.embedding_dim
        sparse = torch.cat(tokens, dim=1) if tokens else masks.new_zeros(len(masks), 0, width)
        return sparse, self.embed_masks(masks)

    def embed_points(self, points: Tensor, labels: Tensor) -> Tensor:
        """Tokens (N, K, E) of points (N, K, 2) with labels (N, K), corners included."""
        labels = labels.unsqueeze(-1)
        tokens = self.pe_layer((points + 0.5) / self.image_size)  # pixels have their centres at halves
        tokens = torch.where(labels == PADDING, self.not_a_point_embed.weight, tokens)
        for value, embedding in enumerate(self.point_embeddings):
            tokens = tokens + embedding.weight * (labels == value)
        return tokens.masked_fill(labels == IGNORED, 0.0)

    def embed_masks(self, masks: Tensor | None) -> Tensor:
        """Logits (N, 1, `mask_size`, `mask_size`) to (N, E, grid, grid); None to (1, E, 1, 1)."""
        if masks is None:
            return self.no_mask_embed.weight[..., None, None]
        return self.mask_downscaling(masks)

    def dense_positions(self) -> Tensor:
        """Positions (1, E, grid, grid) of the cells of the image embedding."""
        return self.pe_layer.of_cells(self.grid)


class FourierPositions(nn.Module):
    """Positions by random Fourier features (arXiv:2006.10739).

    Args:
        num_frequencies: half of the channels.
        scale: standard deviation of the frequencies.
    """

    def __init__(self, num_frequencies: int, scale: float = 1.0) -> None:
        super().__init__()
        frequencies = torch.randn(2, num_frequencies) * scale
        self.register_buffer("positional_encoding_gaussian_matrix", frequencies)

    def forward(self, points: Tensor) -> Tensor:
        """(..., 2), x and y in 0..1, to (..., 2 num_frequencies)."""
        x, y = self.positional_encoding_gaussian_matrix
        centred = 2 * points.to(x.dtype).unsqueeze(-1) - 1
        # not a matrix product: autocast would compute it with 8 bits, which is a few degrees of these angles
        angles = 2 * math.pi * (centred[..., 0, :] * x + centred[..., 1, :] * y)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)

    def of_cells(self, grid: int) -> Tensor:
        """Positions (1, 2 num_frequencies, grid, grid) of the middles of a square's cells."""
        cells = (torch.arange(grid, device=self.positional_encoding_gaussian_matrix.device) + 0.5) / grid
        y, x = torch.meshgrid(cells, cells, indexing="ij")
        return self(torch.stack([x, y], dim=-1)).permute(2, 0, 1).unsqueeze(0)
