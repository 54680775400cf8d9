"""Dense CLIP features: CLIP's image embedding of every position, without a new weight (arXiv:2112.01071, section 3.2).

CLIP pools an image by attention. Where a position keeps its own value instead, that is, where the value projection and
the projections after it are 1x1 convolutions, the result is an embedding of the position, to be compared with CLIP's
embeddings of texts.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from open_clip.model import _build_vision_tower
from open_clip.modified_resnet import AttentionPool2d, ModifiedResNet
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn

from omgseg.models.omgseg.clip_weights import clip_config, pixel_statistics
from omgseg.models.omgseg.image_encoder import ImageEncoder, load_visual_tower


class DenseFeatures(NamedTuple):
    """What MaskCLIP reads of an image.

    Attributes:
        embeddings: (B, E, h, w) in CLIP space, not of unit length.
        keys: (B, C, h, w), by which positions are compared (key smoothing).
    """

    embeddings: Tensor
    keys: Tensor


class DenseClip(nn.Module):
    """A frozen visual tower of open_clip, read position by position.

    Args:
        model_name: a ResNet, a ViT with a class token, or a ConvNeXt of open_clip, or one registered with
            ``open_clip.add_model_config``. OpenAI's weights of ViTs need the name that ends with ``-quickgelu``.
        pretrained: open_clip's tag, or a local file of a whole CLIP model; None is random, with a warning.
        cache_dir: folder of downloaded weights; None is the hub's own.
        published: keys of a ViT as the published code has them, see :func:`dense_block`.

    Attributes:
        stride: of the features, in pixels.
        mean, std: RGB statistics of pixel values 0..1 that CLIP was trained with.

    Raises:
        ValueError: unknown model, one without dense features, or weights of another model.
        FileNotFoundError: missing weights; the message says how to give them.
    """

    def __init__(
        self,
        model_name: str,
        pretrained: str | None = None,
        cache_dir: str | None = None,
        published: bool = False,
    ) -> None:
        super().__init__()
        config = clip_config(model_name)
        vision = config["vision_cfg"]
        if "timm_model_name" in vision:
            self.tower = ImageEncoder(model_name, pretrained, cache_dir=cache_dir)
            self.stride: int = self.tower.strides[-1]
        else:
            self.tower = _build_vision_tower(config["embed_dim"], vision, config.get("quick_gelu", False))
            _check_tower(self.tower, model_name)
            self.stride = 32 if isinstance(self.tower, ModifiedResNet) else self.tower.patch_size[0]
            _fill(self.tower, model_name, pretrained, cache_dir)
        self.published = published
        self.mean, self.std = pixel_statistics(model_name, pretrained)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> DenseClip:
        """It stays in eval mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> DenseFeatures:
        """Images (B, 3, H, W), normalised with `mean` and `std`; H and W are multiples of `stride`."""
        if isinstance(self.tower, ModifiedResNet):
            feature = self.tower.stem(images)
            for layer in (self.tower.layer1, self.tower.layer2, self.tower.layer3, self.tower.layer4):
                feature = layer(feature)
            return dense_attention_pool(self.tower.attnpool, feature)
        if isinstance(self.tower, VisionTransformer):
            return dense_vit(self.tower, images, self.published)
        return dense_convnext(self.tower, images)


def _check_tower(tower: nn.Module, model_name: str) -> None:
    """Raises ValueError for a tower whose last attention has no class token of its own."""
    if isinstance(tower, ModifiedResNet):
        return
    plain = isinstance(tower.transformer.resblocks[-1], ResidualAttentionBlock)
    if not plain or tower.attn_pool is not None or tower.pool_type != "tok":
        raise ValueError(
            f"CLIP model {model_name!r} does not read its class token after plain attention, so it has no dense "
            "features; take a ViT such as ViT-B-16-quickgelu, a ResNet such as RN50-quickgelu, or a ConvNeXt"
        )


def _fill(tower: nn.Module, model_name: str, pretrained: str | None, cache_dir: str | None) -> None:
    if pretrained is not None:
        load_visual_tower(tower, model_name, pretrained, cache_dir)
        return
    print_log(
        f"CLIP image encoder {model_name!r} has RANDOM weights (pretrained=None): labels mean nothing",
        logger="current",
        level=logging.WARNING,
    )


def dense_attention_pool(pool: AttentionPool2d, feature: Tensor) -> DenseFeatures:
    """CLIP's attention pool without pooling: value and output projection as 1x1 convolutions.

    Neither the mean token nor positions take part.

    Args:
        pool: of a ResNet.
        feature: (B, C, h, w), the last one.
    """
    return DenseFeatures(_conv(pool.c_proj, _conv(pool.v_proj, feature)), _conv(pool.k_proj, feature))


def _conv(linear: nn.Linear, feature: Tensor) -> Tensor:
    """A linear layer as a 1x1 convolution."""
    return F.conv2d(feature, linear.weight[..., None, None], linear.bias)


def dense_vit(tower: VisionTransformer, images: Tensor, published: bool = False) -> DenseFeatures:
    """A ViT of any input size: the last block by :func:`dense_block`, all others as they are.

    Positions are resized (bicubic) to the grid of the image.
    """
    patches = tower.conv1(images)
    grid = patches.shape[-2:]
    classes = tower.class_embedding.expand(len(images), 1, -1).to(patches.dtype)
    tokens = torch.cat([classes, patches.flatten(2).transpose(1, 2)], dim=1)
    tokens = tower.ln_pre(tokens + _positions(tower, grid).to(tokens.dtype))
    *blocks, last = tower.transformer.resblocks
    for block in blocks:
        tokens = block(tokens)
    tokens, keys = dense_block(last, tokens, published)
    embeddings = tower.ln_post(tokens)[:, 1:] @ tower.proj.to(tokens.dtype)
    return DenseFeatures(*(x.transpose(1, 2).unflatten(2, grid) for x in (embeddings, keys[:, 1:])))


def _positions(tower: VisionTransformer, grid: tuple[int, int]) -> Tensor:
    """Positions (1 + h * w, C) of the class token and of a grid (h, w)."""
    known = tower.positional_embedding
    if tuple(grid) == tuple(tower.grid_size):
        return known
    of_grid = known[1:].T.unflatten(1, tower.grid_size).unsqueeze(0)
    of_grid = F.interpolate(of_grid.float(), tuple(grid), mode="bicubic", align_corners=False)
    return torch.cat([known[:1], of_grid[0].flatten(1).T.to(known.dtype)])


def dense_block(
    block: ResidualAttentionBlock, tokens: Tensor, published: bool = False
) -> tuple[Tensor, Tensor]:
    """The last block of a ViT, in which every token attends to itself alone; the residual and the MLP stay.

    Args:
        block: of a CLIP's visual transformer.
        tokens: (B, 1 + L, C), the class token first.
        published: take the keys through the output projection, as the published code does.

    Returns:
        Tokens and keys, (B, 1 + L, C) each.
    """
    attention = block.attn
    normed = block.ln_1(tokens)
    weights, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
    _, keys, values = (F.linear(normed, weight, bias) for weight, bias in zip(weights, biases, strict=True))
    tokens = tokens + block.ls_1(attention.out_proj(values))
    tokens = tokens + block.ls_2(block.mlp(block.ln_2(tokens)))
    return tokens, attention.out_proj(keys) if published else keys


def dense_convnext(encoder: ImageEncoder, images: Tensor) -> DenseFeatures:
    """A ConvNeXt, whose pooling is a mean without attention: its head on every position.

    There are no keys; the features that the head reads take their place.
    """
    feature = encoder.norm_pre(encoder(images)[-1])
    height, width = feature.shape[-2:]
    tokens = feature.flatten(2).transpose(1, 2)
    embeddings = encoder.embed_pooled(tokens, tokens.new_ones(tokens.shape[:2]))
    return DenseFeatures(embeddings.transpose(1, 2).unflatten(2, (height, width)), feature)
