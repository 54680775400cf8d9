"""EfficientSAM as two graphs for ONNX: image to embedding, embedding and prompts to masks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omgseg.models.sam.model import SAM
from omgseg.models.sam.prompt_encoder import LOWER_RIGHT, PADDING, UPPER_LEFT
from omgseg.protocols import ExportGraph

_PROMPTS = torch.tensor(
    [
        [1, 0, 1, PADDING],  # clicks
        [UPPER_LEFT, LOWER_RIGHT, PADDING, PADDING],  # a box, filled up
        [UPPER_LEFT, LOWER_RIGHT, 1, 0],  # a box and clicks
    ]
)
"""Labels of the test prompts: every kind of token."""


def efficient_sam_graphs(model: SAM) -> list[ExportGraph]:
    """Image encoder and mask decoder of an EfficientSAM, with test images and prompts."""
    side, device = model.image_size, model.pixel_mean.device
    random = torch.Generator().manual_seed(0)

    def picture(height: int, width: int) -> Tensor:
        return torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=random).to(device)

    def prompts(labels: Tensor) -> tuple[Tensor, Tensor]:
        points = torch.rand(*labels.shape, 2, generator=random) * side
        return points.to(device), labels.to(device)

    encoder, decoder = ImageEncoderGraph(model).eval(), MaskDecoderGraph(model).eval()
    images = [picture(side // 2, side * 3 // 4), picture(side * 3 // 2, side // 3)]
    with torch.no_grad():
        embedding = encoder(images[0])
    return [
        ExportGraph(
            name="image_encoder",
            module=encoder,
            inputs={
                "image": f"RGB, (height, width, 3), of any size: the graph stretches it to {side} x {side} pixels"
            },
            outputs={"embedding": "of the image, for all its prompts"},
            axes={"image": {0: "height", 1: "width"}},
            calls=[(image,) for image in images],
        ),
        ExportGraph(
            name="mask_decoder",
            module=decoder,
            inputs={
                "embedding": "what the image encoder gave",
                "points": f"x and y in pixels of the stretched image: x * {side} / width, y * {side} / height",
                "labels": f"of the points: 1 on the object, 0 not on it, {UPPER_LEFT} upper left and {LOWER_RIGHT} "
                f"lower right corner of a box, {PADDING} padding; what comes after the sixth point does not count",
            },
            outputs={
                "logits": "the mask that a training of your own trains for boxes and several points, then three "
                "candidates; above 0 is the object. They cover the stretched image: resize them (bicubic) to the "
                "size of the image",
                "iou": "the IoU that each mask is expected to have",
            },
            axes={"points": {0: "objects", 1: "points"}, "labels": {0: "objects", 1: "points"}},
            calls=[
                (embedding, *prompts(labels))
                for labels in (_PROMPTS, _PROMPTS[:1, :1], _PROMPTS.repeat(1, 2))
            ],
        ),
    ]


class ImageEncoderGraph(nn.Module):
    """Stretches an image over the square, normalises it, and encodes it; see :meth:`EfficientSAM.preprocess`."""

    def __init__(self, model: SAM) -> None:
        super().__init__()
        self.encoder = model.image_encoder
        self.side = model.image_size
        self.register_buffer("mean", model.pixel_mean)
        self.register_buffer("std", model.pixel_std)

    def forward(self, image: Tensor) -> Tensor:
        """RGB uint8 (h, w, 3) to (1, E, side / stride, side / stride)."""
        pixels = image.permute(2, 0, 1).unsqueeze(0).float()
        pixels = F.interpolate(pixels, (self.side, self.side), mode="bilinear", align_corners=False)
        return self.encoder((pixels - self.mean) / self.std)


class MaskDecoderGraph(nn.Module):
    """Prompt encoder and mask decoder. Boxes are two points, as in the prompt encoder's tokens."""

    def __init__(self, model: SAM) -> None:
        super().__init__()
        self.prompt_encoder = model.prompt_encoder
        self.mask_decoder = model.mask_decoder

    def forward(self, embedding: Tensor, points: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, M + 1, m, m) and IoU (N, M + 1) of N objects.

        Args:
            embedding: (1, E, h, w).
            points: (N, K, 2), x and y in pixels of the stretched image.
            labels: (N, K) int64, see :class:`EfficientSamPromptEncoder`.
        """
        encoder = self.prompt_encoder
        sparse = encoder.embed_points(points, labels)
        found = self.mask_decoder(embedding, encoder.dense_positions(), sparse, encoder.embed_masks())
        return found.logits, found.iou
