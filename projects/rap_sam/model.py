"""RAP-SAM: OMG-Seg's flow with parts that run in real time."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from omgseg.models.mask_queries.output import DecoderOutput
from omgseg.models.omgseg.classifier import text_logits
from omgseg.models.omgseg.model import Features, OMGSeg
from omgseg.models.precision import full_precision
from omgseg.registry import MODELS


@MODELS.register_module()
class CosineClassifier(nn.Module):
    """Class logits of a decoder that makes class embeddings itself.

    Args:
        embed_dim: E, which the decoder's class embeddings and the words have.
        logit_scale: natural logarithm of the factor of the cosine.
    """

    def __init__(self, embed_dim: int = 768, logit_scale: float = 4.6052) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.scale = math.exp(logit_scale)

    def forward(
        self, queries: Tensor, mask_embeddings: Tensor, mask_features: Tensor, class_embeddings: Tensor
    ) -> Tensor:
        """Logits (B, Q, C + 1), the background last.

        Args:
            queries: (B, Q, E), unit length over the temperature.
            mask_embeddings, mask_features: not used.
            class_embeddings: (C, P, E), unit length.
        """
        with full_precision(queries.device):
            return text_logits(queries.float(), class_embeddings, self.scale)


NOISE = 0.004


def add_noise(boxes: Tensor) -> Tensor:
    """Boxes (..., 4), x1 y1 x2 y2, whose centres are off by up to `NOISE` of half their sides, and whose sides by up to
    `NOISE` of themselves, uniformly: the noise of the published training."""
    corner, end = boxes.chunk(2, dim=-1)
    sides = end - corner
    off_centre, off_side = (NOISE * (2 * torch.rand_like(sides) - 1) * sides for _ in range(2))
    middle, half = (corner + end + off_centre) / 2, (sides + off_side) / 2
    return torch.cat([middle - half, middle + half], dim=-1)


@MODELS.register_module()
class RapSAM(OMGSeg):
    """All-purpose segmentation in real time (arXiv:2401.10228): images, clips and prompts by one model.

    The flow, the words, the losses and the read-outs are those of OMG-Seg; the parts are a ResNet, a lite neck and a
    decoder of dynamic convolutions. Its arguments are those of OMG-Seg.
    """

    segmenter = "RapSamSegmenter"

    published_prefixes = (
        ("backbone.", "image_encoder."),
        ("neck.", "pixel_decoder."),
        ("panoptic_head.mask_tokens.", "prompt_encoder.mask_tokens."),
        ("panoptic_head.pb_embedding.", "prompt_encoder.kind_embed."),
        ("panoptic_head.pos_linear.", "prompt_encoder.position_proj."),
        ("panoptic_head.", "query_decoder."),
    )
    """See :func:`omgseg.models.checkpoints.published.to_names_of`."""

    def decode(
        self,
        features: Features,
        prompts: Mapping[str, Tensor] | None = None,
        every_layer: bool = True,
        with_classes: bool = True,
    ) -> list[DecoderOutput]:
        """See :meth:`OMGSeg.decode`. A point is a box around it, and boxes count in parts of the image without its
        padding. In training they are a little off (:func:`add_noise`)."""
        if prompts is not None:
            boxes = self._boxes_of(features, **prompts)
            prompts = {"boxes": add_noise(boxes) if self.training else boxes}
        return super().decode(features, prompts, every_layer, with_classes)

    def _boxes_of(
        self, features: Features, points: Tensor | None = None, boxes: Tensor | None = None
    ) -> Tensor:
        """Boxes (B, N, 4) that are to the padded image what the prompts are to the image."""
        if boxes is None:
            half_side = self.prompt_encoder.point_box_half_side
            boxes = torch.cat([points - half_side, points + half_side], dim=-1)
        padded = boxes.new_tensor(features.image_size)
        factors = padded / boxes.new_tensor(features.image_shapes)  # (B, 2): y, x
        return boxes * factors.flip(-1).repeat(1, 2).unsqueeze(1)
