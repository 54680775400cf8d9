"""ResNet as image encoder: the four stages, without the classifier."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from omgseg.models.checkpoints.loading import CheckpointError, load_state, read_checkpoint
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
