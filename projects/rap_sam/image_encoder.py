"""What the lite neck takes its features from: ResNet without the classifier, or CLIP's ConvNeXt."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.layers import SinePositionalEncoding
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from omgseg.models.checkpoints.loading import CheckpointError, load_state, read_checkpoint
from omgseg.models.omgseg.image_encoder import ImageEncoder
from omgseg.registry import MODELS

DEPTHS = {18: (BasicBlock, [2, 2, 2, 2]), 50: (Bottleneck, [3, 4, 6, 3])}
"""Block and number of blocks in each stage."""
CLASSIFIER = ("fc.weight", "fc.bias")


@MODELS.register_module()
class RapSamImageEncoder(ResNet):
    """torchvision's ResNet (arXiv:1512.03385, with the stride in the 3x3 convolution) under torchvision's names.

    Args:
        depth: 18 or 50.
        pretrained: a file of ImageNet weights in torchvision's names, e.g. ``resnet50-0676ba61.pth``; its classifier is
            left out. None: random weights.
        norm_eval: keep the statistics of the batch norms in training, too, as batches of one or two images say little
            about them.

    Attributes:
        channels, strides: of the four features.
        mean, std: (3,) of pixel values in 0..1.

    Raises:
        ValueError: another depth.
        CheckpointError: the file does not hold these weights.
    """

    strides = (4, 8, 16, 32)

    def __init__(self, depth: int = 50, pretrained: str | None = None, norm_eval: bool = False) -> None:
        if depth not in DEPTHS:
            raise ValueError(f"depth is one of {sorted(DEPTHS)}, not {depth!r}")
        block, blocks = DEPTHS[depth]
        self._norm_eval = norm_eval
        super().__init__(block, blocks)
        del self.fc, self.avgpool
        self.channels = [width * block.expansion for width in (64, 128, 256, 512)]
        self.mean = torch.tensor([123.675, 116.28, 103.53]) / 255
        self.std = torch.tensor([58.395, 57.12, 57.375]) / 255
        if pretrained is not None:
            weights = read_checkpoint(pretrained)["state_dict"]
            try:
                load_state(self, {name: value for name, value in weights.items() if name not in CLASSIFIER})
            except ValueError as error:
                raise CheckpointError(
                    f"{pretrained} does not hold torchvision's ResNet-{depth}: {error}"
                ) from error

    def train(self, mode: bool = True) -> RapSamImageEncoder:
        super().train(mode)
        if self._norm_eval:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised images (B, 3, H, W) to four features (B, C_i, H / s_i, W / s_i), strides 4, 8, 16 and 32."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        features = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            features.append(x)
        return features


@MODELS.register_module()
class PyramidClipEncoder(ImageEncoder):
    """CLIP's ConvNeXt as trunk where it is not one by itself, as the toy CLIP is not: its last three features have one
    stride, and its small kernels cannot tell where in the image they are, as the padding of a deep ResNet does.

    Each of the four features is the last one of at most its stride, averaged down to it, followed by the sine code of
    its cells' positions. The arguments are those of ``CLIPImageEncoder``.
    """

    POSITION_CHANNELS = 64

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        wanted = RapSamImageEncoder.strides
        sources = [max(i for i, own in enumerate(self.strides) if own <= stride) for stride in wanted]
        self._sources = [(i, stride // self.strides[i]) for i, stride in zip(sources, wanted, strict=True)]
        self._position_code = SinePositionalEncoding(self.POSITION_CHANNELS // 2, normalize=True)
        self.channels = [self.channels[i] + self.POSITION_CHANNELS for i in sources]
        self.strides = list(wanted)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """See :meth:`ImageEncoder.forward`."""
        features = super().forward(images)
        return tuple(self._with_positions(F.avg_pool2d(features[i], factor)) for i, factor in self._sources)

    def _with_positions(self, feature: Tensor) -> Tensor:
        everywhere = feature.new_zeros(len(feature), *feature.shape[-2:], dtype=torch.bool)
        return torch.cat([feature, self._position_code(everywhere).to(feature.dtype)], dim=1)
