"""SAM as two graphs for ONNX: image to embedding, embedding and prompts to masks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from omgseg.models.sam.model import SAM
from omgseg.models.sam.prompt_encoder import LOWER_RIGHT, PADDING, UPPER_LEFT
from omgseg.protocols import ExportGraph

_PROMPTS = torch.tensor(
    [
        [1, 0, 1, PADDING],  # clicks
        [UPPER_LEFT, LOWER_RIGHT, PADDING, PADDING],  # a box, filled up
        [0, 1, UPPER_LEFT, LOWER_RIGHT],  # clicks and a box
    ]
)
"""Labels of the test prompts: every kind of token."""


def sam_graphs(model: SAM) -> list[ExportGraph]:
    """Image encoder and mask decoder of a SAM, or of a model with its decoder, with test images and prompts."""
    side, mask_side = model.image_size, model.prompt_encoder.mask_size
    device = model.pixel_mean.device
    random = torch.Generator().manual_seed(0)

    def picture(height: int, width: int) -> Tensor:
        pixels = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=random)
        return pixels.to(device)

    def prompts(labels: Tensor) -> tuple[Tensor, ...]:
        points = torch.rand(*labels.shape, 2, generator=random) * side
        masks = torch.randn(len(labels), 1, mask_side, mask_side, generator=random) * 8
        has_mask = torch.arange(len(labels)) % 2 == 0
        return tuple(given.to(device) for given in (points, labels, masks, has_mask))

    encoder, decoder = ImageEncoderGraph(model).eval(), MaskDecoderGraph(model).eval()
    images = [
        picture(side * 3 // 4, side // 2),
        picture(side // 3, side),
    ]  # the traced one has padding on both axes
    with torch.no_grad():
        embedding = encoder(images[0])
    return [
        ExportGraph(
            name="image_encoder",
            module=encoder,
            inputs={"image": f"RGB, (height, width, 3), resized so that its longer side is {side} pixels"},
            outputs={"embedding": "of the image, for all its prompts"},
            axes={"image": {0: "height", 1: "width"}},
            calls=[(image,) for image in images],
        ),
        ExportGraph(
            name="mask_decoder",
            module=decoder,
            inputs={
                "embedding": "what the image encoder gave",
                "points": "x and y in pixels of the resized image",
                "labels": f"of the points: 1 on the object, 0 not on it, {UPPER_LEFT} upper left and {LOWER_RIGHT} "
                f"lower right corner of a box, {PADDING} padding; an object without a box needs at least one padding",
                "masks": "logits of an earlier answer, which the points correct",
                "has_mask": "whether the object has an earlier answer; else its masks are not read",
            },
            outputs={
                "logits": "the mask for unambiguous prompts, then the candidates for a single click; above 0 is the "
                "object. They cover the padded square, of which the resized image is the upper left part",
                "iou": "the IoU that each mask is expected to have",
            },
            axes={
                "points": {0: "objects", 1: "points"},
                "labels": {0: "objects", 1: "points"},
                "masks": {0: "objects"},
                "has_mask": {0: "objects"},
            },
            calls=[
                (embedding, *prompts(labels)) for labels in (_PROMPTS, _PROMPTS[:1, 2:], _PROMPTS[1:, :2])
            ],
        ),
    ]


class ImageEncoderGraph(nn.Module):
    """Normalises and pads an image, and encodes it."""

    def __init__(self, model: SAM) -> None:
        super().__init__()
        self.encoder = model.image_encoder
        self.side = model.image_size
        self.register_buffer("mean", model.pixel_mean)
        self.register_buffer("std", model.pixel_std)

    def forward(self, image: Tensor) -> Tensor:
        """RGB uint8 (h, w, 3), at most `side` pixels high and wide, to (1, E, side / stride, side / stride)."""
        normalized = (image.permute(2, 0, 1).float() - self.mean) / self.std
        height, width = normalized.shape[1:]
        # not F.pad: with a negative size, of an image that was not resized, it crops where new_zeros fails
        below = normalized.new_zeros(3, self.side - height, width)
        beside = normalized.new_zeros(3, self.side, self.side - width)
        padded = torch.cat([torch.cat([normalized, below], dim=1), beside], dim=2)
        return self.encoder(padded.unsqueeze(0))


class MaskDecoderGraph(nn.Module):
    """Prompt encoder and mask decoder. Boxes are two points, as in the prompt encoder's tokens."""

    def __init__(self, model: SAM) -> None:
        super().__init__()
        self.prompt_encoder = model.prompt_encoder
        self.mask_decoder = model.mask_decoder

    def forward(
        self, embedding: Tensor, points: Tensor, labels: Tensor, masks: Tensor, has_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits (N, M + 1, m, m) and IoU (N, M + 1) of N objects.

        Args:
            embedding: (1, E, h, w).
            points: (N, K, 2), x and y in pixels of the padded input.
            labels: (N, K) int64, see :mod:`omgseg.models.sam.prompt_encoder`.
            masks: (N, 1, m, m), logits.
            has_mask: bool (N,).
        """
        sparse = self.prompt_encoder.embed_points(points, labels)
        without = self.prompt_encoder.embed_masks(None)
        dense = torch.where(has_mask.view(-1, 1, 1, 1), self.prompt_encoder.embed_masks(masks), without)
        found = self.mask_decoder(embedding, self.prompt_encoder.dense_positions(), sparse, dense)
        return found.logits, found.iou
