"""EfficientSAM: what differs from SAM in prompts, mask decoder, preprocessing and read-out."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omgseg.models.geometry import MaskGeometry
from omgseg.models.sam.adapter import SamFamilySegmenter
from omgseg.models.sam.mask_decoder import SamMaskDecoder, TwoWayLayer
from omgseg.models.sam.model import SAM
from omgseg.models.sam.prompt_encoder import LOWER_RIGHT, UPPER_LEFT, FourierPositions
from omgseg.projects.efficient_sam.export import efficient_sam_graphs
from omgseg.protocols import ExportGraph
from omgseg.registry import MODELS, SEGMENTERS

NUM_POINTS = 6
"""Points of a query, corners of its box included: further ones are cut, fewer are filled up."""
PUBLISHED_NAMES = (
    (r"(mlps\.\d+|iou_prediction_head)\.layers\.(\d+)\.0\.", r"\1.layers.\2."),
    (r"(mlps\.\d+|iou_prediction_head)\.fc\.", r"\1.layers.{last}."),
    (r"\.mlp\.layers\.0\.0\.", ".mlp.lin1."),
    (r"\.mlp\.fc\.", ".mlp.lin2."),
    (r"^final_output_upscaling_layers\.0\.", "output_upscaling."),
    (r"^final_output_upscaling_layers\.1\.0\.", "output_upscaling.3."),
)
"""Regular expressions of the mask decoder's published names, and ours; `last` is the number of an MLP's last layer."""


@MODELS.register_module()
class EfficientSamPromptEncoder(nn.Module):
    """Points and boxes to tokens, as published. There are no mask prompts.

    A query always has :data:`NUM_POINTS` tokens. A token is the position of a point plus an embedding of what it is: a
    point on the object, a corner of its box, or none. A point beside the object has its position alone.

    Args:
        embed_dim: channels of the embeddings.
        image_size: side of the square input, in pixels.
        stride: of the image embedding.
        position_scale: see :class:`~omgseg.models.sam.SamPromptEncoder`.
    """

    def __init__(
        self, embed_dim: int = 256, image_size: int = 1024, stride: int = 16, position_scale: float = 1.0
    ) -> None:
        super().__init__()
        self.image_size = image_size
        self.grid = image_size // stride
        self.pe_layer = FourierPositions(embed_dim // 2, position_scale)
        self.invalid_points = nn.Embedding(1, embed_dim)
        self.point_embeddings = nn.Embedding(1, embed_dim)
        self.bbox_top_left_embeddings = nn.Embedding(1, embed_dim)
        self.bbox_bottom_right_embeddings = nn.Embedding(1, embed_dim)

    @property
    def mask_size(self) -> int:
        """Side of the decoder's masks."""
        return 4 * self.grid

    def forward(
        self,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Embed the prompts of N objects.

        Args:
            points, labels, boxes: see :class:`~omgseg.models.sam.SamPromptEncoder`; at least one of points and boxes.
            masks: None.

        Returns:
            ``sparse`` (N, :data:`NUM_POINTS`, E), corners before points; ``dense`` zeros (1, E, 1, 1).

        Raises:
            ValueError: there are masks.
        """
        if masks is not None:
            raise ValueError("EfficientSAM takes no mask prompts: give all points of an object, and its box")
        places, kinds = [], []
        if boxes is not None:
            places.append(boxes.view(-1, 2, 2))
            corners = torch.tensor([UPPER_LEFT, LOWER_RIGHT], device=boxes.device).expand(len(boxes), 2)
            kinds.append(corners.masked_fill(boxes.isnan().any(1, keepdim=True), -1))
        if points is not None:
            places.append(points)
            kinds.append(labels)
        return self.embed_points(torch.cat(places, dim=1), torch.cat(kinds, dim=1)), self.embed_masks()

    def embed_points(self, points: Tensor, labels: Tensor) -> Tensor:
        """Tokens (N, :data:`NUM_POINTS`, E) of points (N, K, 2) with labels (N, K), corners included; negative labels
        are none."""
        # more than are missing, and cut: so an exported graph takes any number of points
        missing = labels.new_full((labels.shape[0], NUM_POINTS), -1)
        labels = torch.cat([labels, missing], dim=1)[:, :NUM_POINTS].unsqueeze(-1)
        points = torch.cat([points, points.new_zeros(*missing.shape, 2)], dim=1)[:, :NUM_POINTS]
        # what is none lies at (-1, -1), and keeps that position
        tokens = self.pe_layer((points.masked_fill(labels < 0, -1.0) + 0.5) / self.image_size)
        tokens = tokens + self.invalid_points.weight * (labels < 0)
        tokens = tokens + self.point_embeddings.weight * (labels == 1)
        tokens = tokens + self.bbox_top_left_embeddings.weight * (labels == UPPER_LEFT)
        return tokens + self.bbox_bottom_right_embeddings.weight * (labels == LOWER_RIGHT)

    def embed_masks(self, masks: Tensor | None = None) -> Tensor:
        """Zeros (1, E, 1, 1): SAM's training offers the mask so far, which does not go in here."""
        return self.invalid_points.weight.new_zeros(1, self.invalid_points.embedding_dim, 1, 1)

    def dense_positions(self) -> Tensor:
        """Positions (1, E, grid, grid) of the cells of the image embedding."""
        return self.pe_layer.of_cells(self.grid)


class AddingLayer(TwoWayLayer):
    """Self-attention is added in the first layer, too; later, tokens keep the positions that are added to them."""

    activation = staticmethod(F.gelu)

    def attend_to_each_other(self, tokens: Tensor, start: Tensor) -> Tensor:
        if not self.is_first:
            tokens = tokens + start
        return tokens + self.self_attn(tokens, tokens, tokens)


@MODELS.register_module()
class EfficientSamMaskDecoder(SamMaskDecoder):
    """SAM's mask decoder with GELU, :class:`AddingLayer`, and a norm over all channels and pixels in the upscaling.

    Args:
        embed_dim, args, kwargs: see :class:`~omgseg.models.sam.SamMaskDecoder`.
    """

    def __init__(self, embed_dim: int = 256, *args: Any, **kwargs: Any) -> None:
        super().__init__(embed_dim, *args, **kwargs)
        self.output_upscaling[1] = nn.GroupNorm(1, embed_dim // 4)
        self._register_load_state_dict_pre_hook(self._rename_published)

    @property
    def layer_type(self) -> type[TwoWayLayer]:
        return AddingLayer

    def normalize_pixels(self, pixels: Tensor, norm: nn.GroupNorm) -> Tensor:
        """Each object's mean and variance are those of all pixels and channels (N, h, w, 2, 2, E / 4)."""
        return F.layer_norm(pixels, pixels.shape[1:], eps=norm.eps) * norm.weight + norm.bias

    def _rename_published(self, state_dict: dict[str, Tensor], prefix: str, *_: Any) -> None:
        """The published names of this module's tensors become ours, in place."""
        if not any(name.startswith(f"{prefix}final_output_upscaling_layers.") for name in state_dict):
            return
        last = len(self.iou_prediction_head.layers) - 1
        for name in [name for name in state_dict if name.startswith(prefix)]:
            ours = name.removeprefix(prefix)
            for pattern, replacement in PUBLISHED_NAMES:
                ours = re.sub(pattern, replacement.replace("{last}", str(last)), ours)
            state_dict[prefix + ours] = state_dict.pop(name)


@dataclass(frozen=True)
class StretchedGeometry(MaskGeometry):
    """Of an image that fills the square, whatever its shape."""

    def resize(self, logits: Tensor) -> Tensor:
        """Masks (K, h, w) -> (K, H, W) at the original size, bicubic, in one step."""
        if not len(logits):
            return logits.new_empty(0, *self.original)
        return F.interpolate(logits.unsqueeze(0), self.original, mode="bicubic", align_corners=False)[0]


@MODELS.register_module()
class EfficientSAM(SAM):
    """SAM's training and prompts with the parts of this project."""

    segmenter = "EfficientSamSegmenter"

    def preprocess(self, pixels: np.ndarray) -> tuple[Tensor, MaskGeometry]:
        """Stretch an image RGB uint8 (H, W, 3) over the square, as published: (1, 3, S, S), normalised; its sizes."""
        square = (self.image_size, self.image_size)
        image = torch.from_numpy(pixels).to(self.pixel_mean.device).permute(2, 0, 1).unsqueeze(0).float()
        image = F.interpolate(image, square, mode="bilinear", align_corners=False)
        return self.normalize(image, [square]), StretchedGeometry(square, square, pixels.shape[:2])


@SEGMENTERS.register_module()
class EfficientSamSegmenter(SamFamilySegmenter):
    """A loaded EfficientSAM: clicks, boxes, and everything."""

    def _start(self, *args: Any, **options: Any) -> None:
        super()._start(*args, **options)
        self.abilities = replace(self.abilities, prompts=self.abilities.prompts - {"masks"})

    def export_graphs(self) -> list[ExportGraph]:
        """See :meth:`Exportable.export_graphs`."""
        return efficient_sam_graphs(self.model)
