"""The network of YOLACT: a ResNet, perhaps with deformable convolutions, a pyramid, prototypes and one shared head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from omgseg.registry import MODELS

RATIOS = (1.0, 0.5, 2.0)
"""Width to height of the anchors, in the order of the published weights."""
TAPS = 9
"""Of a 3x3 convolution."""
SMALLEST_RESCORED = 63
"""Side of the smallest prototypes that five convolutions of stride 2 without padding leave a cell of."""


class Outputs(NamedTuple):
    """What the network says of B images with P anchors.

    Attributes:
        boxes: (B, P, 4), offsets of the anchors.
        classes: (B, P, C + 1), logits; the background is the first.
        coefficients: (B, P, K), in -1..1.
        prototypes: (B, h, w, K), not negative.
        anchors: (P, 4), centre and size in parts of the image.
        semantic: (B, C, h', w'), logits at the finest level; None where it is not asked for.
    """

    boxes: Tensor
    classes: Tensor
    coefficients: Tensor
    prototypes: Tensor
    anchors: Tensor
    semantic: Tensor | None


class DeformableConvolution(nn.Module):
    """Modulated deformable 3x3 convolution (arXiv:1811.11168) under the published names.

    Args:
        convolution: the ordinary one whose place it takes, with its channels and stride.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.stride = convolution.stride
        self.weight = nn.Parameter(convolution.weight.detach().clone())
        self.bias = nn.Parameter(self.weight.new_zeros(len(self.weight)))
        self.conv_offset_mask = nn.Conv2d(
            convolution.in_channels, 3 * TAPS, 3, stride=convolution.stride, padding=1
        )
        self.reset_offsets()

    def reset_offsets(self) -> None:
        """Begin as an ordinary convolution of half the strength."""
        nn.init.zeros_(self.conv_offset_mask.weight)
        nn.init.zeros_(self.conv_offset_mask.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C', h / stride, w / stride)."""
        offsets, masks = self.conv_offset_mask(x).split([2 * TAPS, TAPS], dim=1)
        return deform_conv2d(
            x, offsets, self.weight, self.bias, stride=self.stride, padding=1, mask=masks.sigmoid()
        )


def deform(resnet: nn.Module, interval: int) -> None:
    """Replace the 3x3 convolution of every `interval`-th block of the last three stages (arXiv:1912.06218, section
    6.2)."""
    for stage in (resnet.layer2, resnet.layer3, resnet.layer4):
        for block in list(stage)[::interval]:
            block.conv2 = DeformableConvolution(block.conv2)


class Pyramid(nn.Module):
    """FPN (arXiv:1612.03144) as YOLACT has it: bilinear, ReLU after P3 to P5, and P6 and P7 from P5 without one.

    Layers are numbered from the coarsest one, as published.

    Args:
        in_channels: of the features, fine to coarse.
        channels: of all levels.
    """

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.lat_layers = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in reversed(in_channels))
        self.pred_layers = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in in_channels)
        self.downsample_layers = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, stride=2, padding=1) for _ in range(2)
        )
        self._register_load_state_dict_pre_hook(self._drop_surplus)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Features of strides 8, 16 and 32 to levels of strides 8 to 128, (B, D, h_i, w_i)."""
        levels: list[Tensor] = []
        x = None
        for feature, lateral, predict in zip(
            reversed(features), self.lat_layers, self.pred_layers, strict=True
        ):
            side = lateral(feature)
            x = side if x is None else side + _resized(x, side.shape[-2:])
            levels.insert(0, F.relu(predict(x)))
        for down in self.downsample_layers:
            levels.append(down(levels[-1]))
        return levels

    def _drop_surplus(self, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
        """Old published files hold layers that are not used."""
        start = f"{prefix}downsample_layers."
        for name in [name for name in state_dict if name.startswith(start)]:
            if int(name.removeprefix(start).partition(".")[0]) >= len(self.downsample_layers):
                del state_dict[name]


class DoubleSize(nn.Module):
    """Bilinear upsampling by 2."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, 2 h, 2 w)."""
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def make_prototype_net(channels: int, prototypes: int) -> nn.Sequential:
    """Protonet: P3 (B, D, h, w) to prototypes (B, K, 2 h, 2 w), without the last ReLU."""
    layers: list[nn.Module] = []
    for _ in range(3):
        layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU()]
    layers += [DoubleSize(), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(channels, prototypes, 1))


class PredictionHead(nn.Module):
    """Offsets, class logits and coefficients of each anchor; the same layers for every level.

    Args:
        channels: of the levels.
        anchors: of a cell.
        num_classes: without the background.
        prototypes: K.
    """

    def __init__(self, channels: int, anchors: int, num_classes: int, prototypes: int) -> None:
        super().__init__()
        self.upfeature = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU())
        self.bbox_layer = nn.Conv2d(channels, anchors * 4, 3, padding=1)
        self.conf_layer = nn.Conv2d(channels, anchors * (num_classes + 1), 3, padding=1)
        self.mask_layer = nn.Conv2d(channels, anchors * prototypes, 3, padding=1)
        self.anchors = anchors

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, D, h, w) to (B, h * w * A, 4), (B, h * w * A, C + 1) and (B, h * w * A, K)."""
        x = self.upfeature(level)
        boxes, classes, coefficients = (
            layer(x).permute(0, 2, 3, 1).unflatten(3, (self.anchors, -1)).flatten(1, 3)
            for layer in (self.bbox_layer, self.conf_layer, self.mask_layer)
        )
        return boxes, classes, coefficients.tanh()


class MaskIoUNet(nn.Module):
    """Mask re-scoring of YOLACT++: the IoU that a mask of each class is expected to have (arXiv:1912.06218, 6.1).

    Args:
        num_classes: C.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        widths = (1, 8, 16, 32, 64, 128)
        layers: list[nn.Module] = []
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(before, after, 3, stride=2), nn.ReLU()]
        self.maskiou_net = nn.Sequential(*layers, nn.Conv2d(widths[-1], num_classes, 1), nn.ReLU())

    def forward(self, masks: Tensor) -> Tensor:
        """Cropped mask probabilities (N, h, w) to IoU (N, C).

        Raises:
            ValueError: the masks are smaller than :data:`SMALLEST_RESCORED`.
        """
        if min(masks.shape[-2:]) < SMALLEST_RESCORED:
            raise ValueError(
                f"masks of {masks.shape[-1]}x{masks.shape[-2]} cells are too small for mask re-scoring, which needs "
                f"{SMALLEST_RESCORED}: use image_size={4 * SMALLEST_RESCORED} or larger, or rescoring=False"
            )
        return self.maskiou_net(masks.unsqueeze(1)).amax((2, 3))


def make_anchors(
    sizes: Sequence[tuple[int, int]],
    scales: Sequence[Sequence[float]],
    image_size: int,
    square: bool,
    device: torch.device | None = None,
) -> Tensor:
    """Anchors (P, 4) of all levels: centre and size in parts of the image; row by row, then by scale, then by ratio.

    Args:
        sizes: (height, width) of each level.
        scales: of each level, in pixels of the image.
        image_size: side of the image, in pixels.
        square: as the published COCO models: heights are those of the widths, which the published code calls a mistake
            that its weights were trained with.
    """
    levels = []
    for (rows, columns), of_level in zip(sizes, scales, strict=True):
        shapes = torch.tensor(
            [(scale * ratio**0.5, scale / ratio**0.5) for scale in of_level for ratio in RATIOS],
            dtype=torch.float64,
        )
        if square:
            shapes[:, 1] = shapes[:, 0]
        y, x = torch.meshgrid(
            (torch.arange(rows, dtype=torch.float64) + 0.5) / rows,
            (torch.arange(columns, dtype=torch.float64) + 0.5) / columns,
            indexing="ij",
        )
        centres = torch.stack([x, y], dim=-1).view(-1, 1, 2).expand(-1, len(shapes), 2)
        levels.append(torch.cat([centres, (shapes / image_size).expand_as(centres)], dim=-1).flatten(0, 1))
    return torch.cat(levels).float().to(device)


class YolactNetwork(BaseModule):
    """All layers, under the published names but for those of the ResNet's stages.

    Args:
        backbone: config of mmdet's ResNet.
        num_classes: C, without the background.
        image_size: side of the image, in pixels, that anchors are made for.
        scales: of the anchors of each of five levels, see :func:`make_anchors`.
        square_anchors: see :func:`make_anchors`.
        deform_interval: see :func:`deform`; 0: no deformable convolutions.
        rescoring: whether masks are re-scored.
        channels: of the pyramid.
        prototypes: K.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        num_classes: int,
        image_size: int,
        scales: Sequence[Sequence[float]],
        square_anchors: bool,
        deform_interval: int,
        rescoring: bool,
        channels: int,
        prototypes: int,
    ) -> None:
        super().__init__()
        self.backbone = MODELS.build(
            dict(_scope_="mmdet", type="ResNet", out_indices=(1, 2, 3), norm_eval=False, **backbone)
        )
        if deform_interval:
            deform(self.backbone, deform_interval)
        widths = [self.backbone.feat_dim // 2**step for step in (2, 1, 0)]
        self.fpn = Pyramid(widths, channels)
        self.proto_net = make_prototype_net(channels, prototypes)
        anchors = len(scales[0]) * len(RATIOS)
        self.prediction_layers = nn.ModuleList([PredictionHead(channels, anchors, num_classes, prototypes)])
        self.semantic_seg_conv = nn.Conv2d(channels, num_classes, 1)
        self.maskiou_net = MaskIoUNet(num_classes) if rescoring else None
        self.image_size, self.scales, self.square_anchors = image_size, scales, square_anchors
        for part in self.children():
            if part is not self.backbone:
                part.apply(_start)

    def init_weights(self) -> None:
        """As a training starts: the ResNet's weights, by its config, which also touch the layers of the offsets."""
        super().init_weights()
        for module in self.modules():
            if isinstance(module, DeformableConvolution):
                module.reset_offsets()

    def forward(self, images: Tensor, with_semantic: bool = False) -> Outputs:
        """Normalised images (B, 3, H, W)."""
        levels = self.fpn(self.backbone(images))
        prototypes = F.relu(self.proto_net(levels[0])).permute(0, 2, 3, 1)
        head = self.prediction_layers[0]
        parts = zip(*(head(level) for level in levels), strict=True)
        boxes, classes, coefficients = (torch.cat(part, dim=1) for part in parts)
        sizes = [tuple(level.shape[-2:]) for level in levels]
        anchors = make_anchors(sizes, self.scales, self.image_size, self.square_anchors, images.device)
        semantic = self.semantic_seg_conv(levels[0]) if with_semantic else None
        return Outputs(boxes, classes, coefficients, prototypes, anchors, semantic)


def _resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
