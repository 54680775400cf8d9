"""The lite neck of RAP-SAM: deformable convolutions upwards, one sum of all levels, and the coordinates."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from omgseg.registry import MODELS


class DeformableConvolution(nn.Module):
    """Modulated deformable 3x3 convolution (DCNv2, arXiv:1811.11168), then twice the size by a transposed one.

    Args:
        in_channels, out_channels: of the features.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.dcn_offset = nn.Conv2d(in_channels, 27, 3, padding=1)
        self.dcn = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.dcn_bn = nn.BatchNorm2d(out_channels)
        self.up_sample = nn.ConvTranspose2d(out_channels, out_channels, 4, stride=2, padding=1, bias=False)
        self.up_bn = nn.BatchNorm2d(out_channels)
        nn.init.zeros_(self.dcn_offset.weight)
        nn.init.zeros_(self.dcn_offset.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C', 2 h, 2 w)."""
        x = F.relu(self.dcn_bn(self.deform(x)))
        return F.relu(self.up_bn(self.up_sample(x)))

    def deform(self, x: Tensor) -> Tensor:
        """The deformable convolution alone: (B, C, h, w) -> (B, C', h, w)."""
        # 9 taps: their (dy, dx) come first, then how much each counts
        offset, modulation = self.dcn_offset(x).split([18, 9], dim=1)
        return deform_conv2d(x, offset, self.dcn.weight, padding=1, mask=modulation.sigmoid())


class MultiScale(nn.Module):
    """Features of all strides, brought to stride 4 and added up.

    Args:
        in_channels: of the four features, fine to coarse.
        widths: channels of the path upwards, fine to coarse; the first is that of the result.
    """

    def __init__(self, in_channels: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        (c2, c3, c4, c5), (w2, w3, w4, w5) = in_channels, widths
        self.bias = nn.Parameter(torch.zeros(1, w2, 1, 1))
        self.lateral_conv0 = nn.Conv2d(c5, w5, 1)
        self.deform_conv1 = DeformableConvolution(w5, w4)
        self.lateral_conv1 = nn.Conv2d(c4, w4, 1)
        self.deform_conv2 = DeformableConvolution(w4, w3)
        self.lateral_conv2 = nn.Conv2d(c3, w3, 1)
        self.deform_conv3 = DeformableConvolution(w3, w2)
        self.lateral_conv3 = nn.Conv2d(c2, w2, 1)
        self.output_conv = nn.Conv2d(w2, w2, 3, padding=1)
        self.conv_a5 = nn.Conv2d(w5, w2, 1, bias=False)
        self.conv_a4 = nn.Conv2d(w4, w2, 1, bias=False)
        self.conv_a3 = nn.Conv2d(w3, w2, 1, bias=False)
        self.conv_a2 = nn.Conv2d(w2, w2, 1, bias=False)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Four features, fine to coarse, to (B, widths[0], h, w) at stride 4."""
        c2, c3, c4, c5 = features
        x5 = self.lateral_conv0(c5)
        x4 = self.deform_conv1(x5) + self.lateral_conv1(c4)
        x3 = self.deform_conv2(x4) + self.lateral_conv2(c3)
        x2 = self.deform_conv3(x3) + self.lateral_conv3(c2)
        fused = self.conv_a2(x2) + self.bias
        for conv, x in ((self.conv_a3, x3), (self.conv_a4, x4), (self.conv_a5, x5)):
            fused = fused + F.interpolate(conv(x), x2.shape[-2:], mode="bilinear", align_corners=False)
        return self.output_conv(fused)


def coordinates(height: int, width: int, device: torch.device) -> Tensor:
    """(2, height, width): x, then y, from -1 at the first to 1 at the last cell."""
    x, y = (torch.linspace(-1, 1, length, device=device) for length in (width, height))
    return torch.stack([x.expand(height, -1), y.unsqueeze(1).expand(-1, width)])


@MODELS.register_module()
class LitePixelDecoder(nn.Module):
    """Mask features from the four features of an image encoder (RAP-SAM, arXiv:2401.10228, section 3.2; the neck is
    that of YOSO, arXiv:2303.14651).

    Args:
        in_channels: of the four features, fine to coarse.
        strides: of the features; 4, 8, 16 and 32.
        channels: D, of the mask features.
        widths: channels of the path upwards, fine to coarse.

    Raises:
        ValueError: other strides.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int] = (4, 8, 16, 32),
        channels: int = 256,
        widths: Sequence[int] = (128, 256, 512, 1024),
    ) -> None:
        super().__init__()
        if tuple(strides) != (4, 8, 16, 32):
            raise ValueError(
                f"LitePixelDecoder takes features of strides 4, 8, 16 and 32, not {tuple(strides)}"
            )
        self.deconv = MultiScale(in_channels, widths)
        self.loc_conv = nn.Conv2d(widths[0] + 2, channels, 1)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Four features (B, C_i, h_i, w_i), fine to coarse, to mask features (B, D, h, w) at stride 4; no other
        levels."""
        fused = self.deconv(features)
        places = coordinates(*fused.shape[-2:], fused.device).to(fused.dtype).expand(len(fused), -1, -1, -1)
        return self.loc_conv(torch.cat([fused, places], dim=1)), []
