"""A frozen CLIP, a ResNet or OMG-Seg's ConvNeXt, whose features become SAM's embedding by the SAM2CLIP adapter."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn

from omgseg.models.checkpoints.loading import leave_out_of_checkpoints
from omgseg.models.omgseg.clip_weights import clip_config
from omgseg.models.omgseg.image_encoder import ImageEncoder, load_visual_tower
from omgseg.models.sam.image_encoder import Block, make_neck
from omgseg.models.sam.model import PIXEL_MEAN, PIXEL_STD
from omgseg.projects.ov_sam.recognition import cut_regions
from omgseg.registry import MODELS

HEAD_WIDTH = 64
"""Channels of a head of CLIP's attention pool."""


@MODELS.register_module()
class ClipResNet(ModifiedResNet):
    """A frozen ResNet of CLIP (arXiv:2103.00020, section 2.4): four features, and the embeddings of regions.

    It is always in eval mode, without gradients, and not written into checkpoints while `pretrained` supplies the
    weights. Tensors have the names of open_clip's visual tower.

    Args:
        model_name: one of open_clip's ResNets.
        pretrained: open_clip's tag, or a local file of a whole CLIP model; None is random, with a warning.
        cache_dir: folder of downloaded weights; None is the hub's own.

    Attributes:
        channels, strides: of the four features.
        embed_dim: E, the size of CLIP space.
        mean, std: (3,) RGB statistics of pixel values 0..1 that images are normalised with: SAM's, as published.
        region_size: side of the regions that :meth:`embed_regions` takes, in cells of the last feature.

    Raises:
        ValueError: unknown model, not a ResNet, or weights of another model.
        FileNotFoundError: missing weights; the message says how to give them.
    """

    mean = tuple(value / 255 for value in PIXEL_MEAN)
    std = tuple(value / 255 for value in PIXEL_STD)

    def __init__(
        self, model_name: str = "RN50x16", pretrained: str | None = None, cache_dir: str | None = None
    ) -> None:
        config = clip_config(model_name)
        vision = config["vision_cfg"]
        if not isinstance(vision.get("layers"), Sequence):
            raise ValueError(
                f"CLIP model {model_name!r} is not a ResNet: take RN50, RN101, RN50x4, RN50x16 or RN50x64"
            )
        width = vision["width"]
        heads = 32 * width // HEAD_WIDTH
        super().__init__(vision["layers"], config["embed_dim"], heads, vision["image_size"], width)
        self.channels = [width * 4 * 2**level for level in range(4)]
        self.strides = [4, 8, 16, 32]
        self.embed_dim: int = config["embed_dim"]
        self.region_size: int = vision["image_size"] // self.strides[-1]
        if pretrained is None:
            print_log(
                f"CLIP image encoder {model_name!r} has RANDOM weights (pretrained=None): names mean nothing "
                "unless trained weights are loaded from a checkpoint",
                logger="current",
                level=logging.WARNING,
            )
        else:
            load_visual_tower(self, model_name, pretrained, cache_dir)
        self.requires_grad_(False)
        self.eval()
        self.has_own_source = pretrained is not None
        leave_out_of_checkpoints(self)

    def train(self, mode: bool = True) -> ClipResNet:
        """It stays in eval mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, H, W) to features (B, channels[i], H / strides[i], W / strides[i]).

        H and W are multiples of 32.
        """
        feature = self.stem(images)
        features = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            feature = layer(feature)
            features.append(feature)
        return tuple(features)

    @torch.no_grad()
    def embed_regions(self, regions: Tensor) -> Tensor:
        """Regions (N, channels[-1], `region_size`, `region_size`) of the last feature to embeddings (N, E), not of unit
        length: CLIP's attention pool."""
        if not len(regions):
            return regions.new_empty(0, self.embed_dim)
        return self.attnpool(regions)

    def look_at(self, last: Tensor, boxes: Tensor, logits: Tensor) -> Tensor:
        """CLIP's own embeddings (N, E) of objects: of their boxes (N, 4), in pixels, on the last feature. Masks do not
        count."""
        return self.embed_regions(cut_regions(last, boxes, self.region_size, self.strides[-1]))


@MODELS.register_module()
class ClipConvNeXt(ImageEncoder):
    """The ConvNeXt of CLIP that OMG-Seg has, as a trunk; see :class:`ImageEncoder`."""

    def look_at(self, last: Tensor, boxes: Tensor, logits: Tensor) -> Tensor:
        """CLIP's own embeddings (N, E) of objects, pooled under their masks, logits (N, h, w), as OMG-Seg does; zero
        for a mask without a cell on the last feature (1, C, h', w'). Their boxes do not count."""
        return self.embed_masks(last, logits.unsqueeze(0))[0][0]


@MODELS.register_module()
class OnePassConvNeXt(ClipConvNeXt):
    """A trunk of several models: one that asks for the features of the image that was encoded last gets them without
    another pass. They stay in memory until the next image.

    Args:
        args, kwargs: see :class:`ImageEncoder`.

    Raises:
        ValueError: it is not frozen.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.frozen:
            raise ValueError("a trunk that models share is frozen: set frozen=True")
        self._last: tuple[Tensor, tuple[Tensor, ...]] | None = None

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """See :meth:`ImageEncoder.forward`. Batches are encoded anew each time."""
        if len(images) > 1:
            return super().forward(images)
        last = self._last  # read once: other threads may encode other images
        if last is not None and last[0].device == images.device and torch.equal(last[0], images):
            return last[1]
        del last
        self._last = None  # before encoding, so that only one image is in memory
        features = super().forward(images)
        self._last = images, features
        return features


class Sam2ClipAdapter(nn.Module):
    """Features of CLIP to SAM's embedding (arXiv:2401.02955, section 3.2).

    Each level becomes tokens of one stride, with a code of the level; their sum, with SAM's positions, goes through a
    few blocks of SAM, of which the last one is global. The paper writes of bilinear upsampling; the published weights
    are those of (transposed) convolutions.

    Args:
        in_channels, strides: of the features.
        image_size: side of the padded square input, in pixels.
        width, depth, num_heads, window_size: of the blocks.
        embed_dim: channels of the embedding.
        stride: of the embedding, in pixels.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int],
        image_size: int = 1024,
        width: int = 1280,
        depth: int = 5,
        num_heads: int = 16,
        window_size: int = 14,
        embed_dim: int = 256,
        stride: int = 16,
    ) -> None:
        super().__init__()
        self.stride = stride
        grid = image_size // stride
        self.projections = nn.ModuleList(
            self._projection(channels, width, stride)
            for channels, stride in zip(in_channels, strides, strict=True)
        )
        self.level_encoding = nn.Embedding(len(in_channels), width)
        self.register_buffer("pos_embed", torch.zeros(1, grid, grid, width))  # SAM's, not learned
        self.blocks = nn.ModuleList(
            Block(width, num_heads, 4 * width, grid, 0 if layer == depth - 1 else window_size)
            for layer in range(depth)
        )
        self.neck = make_neck(width, embed_dim)

    def _projection(self, channels: int, width: int, stride: int) -> nn.Module:
        if stride > self.stride:
            factor = stride // self.stride
            return nn.ConvTranspose2d(channels, width, factor, factor)
        factor = self.stride // stride
        return nn.Conv2d(channels, width, factor, factor)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features (B, C_i, S / strides[i], S / strides[i]) to embeddings (B, E, S / stride, S / stride)."""
        tokens = self.embed(features)
        for block in self.blocks:
            tokens = block(tokens)
        return self.neck(tokens.permute(0, 3, 1, 2))

    def embed(self, features: Sequence[Tensor]) -> Tensor:
        """The tokens (B, h, w, width) that the blocks start from."""
        levels = zip(self.projections, features, self.level_encoding.weight, strict=True)
        return sum(project(x).permute(0, 2, 3, 1) + code for project, x, code in levels) + self.pos_embed


@MODELS.register_module()
class OVSamImageEncoder(nn.Module):
    """A frozen CLIP and the adapter, in the place of SAM's image encoder.

    Args:
        trunk: :class:`ClipResNet` or :class:`ClipConvNeXt`, or its config.
        image_size, width, depth, num_heads, window_size, embed_dim, stride: see :class:`Sam2ClipAdapter`.
    """

    def __init__(
        self,
        trunk: dict[str, Any] | nn.Module,
        image_size: int = 1024,
        width: int = 1280,
        depth: int = 5,
        num_heads: int = 16,
        window_size: int = 14,
        embed_dim: int = 256,
        stride: int = 16,
    ) -> None:
        super().__init__()
        self.image_size = image_size
        self.stride = stride
        self.embed_dim = embed_dim
        self.trunk = MODELS.build(trunk) if isinstance(trunk, dict) else trunk
        self.adapter = Sam2ClipAdapter(
            self.trunk.channels,
            self.trunk.strides,
            image_size,
            width,
            depth,
            num_heads,
            window_size,
            embed_dim,
            stride,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, S, S), padded to `image_size`, to embeddings (B, E, S / stride, S / stride)."""
        return self.adapter(self.trunk(images))
