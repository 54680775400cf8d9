"""Random inputs of the benchmark, equal for both heads."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from omgseg.benchmark.sizes import STRIDES, HeadSizes

NUM_ENTITIES = 40
"""Regions that a scene is cut into."""


def image_features(sizes: HeadSizes, image_size: tuple[int, int]) -> list[Tensor]:
    """What an image encoder gives for one image: (1, C_i, h_i, w_i), strides 4 to 32."""
    torch.manual_seed(1)
    height, width = image_size
    return [
        torch.randn(1, channels, height // stride, width // stride)
        for channels, stride in zip(sizes.image_channels, STRIDES, strict=True)
    ]


def pixel_features(sizes: HeadSizes, image_size: tuple[int, int]) -> tuple[Tensor, list[Tensor]]:
    """What a pixel decoder gives for one image: mask features, and three levels from coarse to fine."""
    torch.manual_seed(2)
    height, width = image_size
    maps = [torch.randn(1, sizes.channels, height // stride, width // stride) for stride in STRIDES]
    return maps[0], maps[:0:-1]


def objects(sizes: HeadSizes) -> tuple[Tensor, Tensor]:
    """Labels (N,) and bool masks (N, H, W) of a training image: rectangles that may overlap."""
    torch.manual_seed(3)
    height, width = sizes.train_size
    masks = torch.zeros(sizes.num_objects, height, width, dtype=torch.bool)
    for mask in masks:
        top, left = int(torch.randint(height // 2, ())), int(torch.randint(width // 2, ()))
        mask[top : top + height // 4, left : left + width // 3] = True
    return torch.randint(sizes.num_classes, (sizes.num_objects,)), masks


def scene(sizes: HeadSizes) -> tuple[Tensor, Tensor]:
    """Class logits (Q, C + 1) and stride-4 mask logits (Q, h, w) as a trained head gives them for a full image.

    The image is cut into regions with rough borders. Each has one query with a high score and several duplicates with
    lower ones and other borders; all name a class, so that none is left out for its score and masks overlap.
    """
    generator = torch.Generator().manual_seed(4)
    height, width = (side // STRIDES[0] for side in sizes.map_size)
    count, queries = min(NUM_ENTITIES, sizes.num_queries), sizes.num_queries

    def rand(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    def smooth_noise(maps: int) -> Tensor:
        coarse = torch.randn(1, maps, max(height // 8, 2), max(width // 8, 2), generator=generator)
        return F.interpolate(coarse, (height, width), mode="bicubic")[0]

    y = torch.linspace(0, 1, height).view(1, -1, 1)
    x = torch.linspace(0, 1, width).view(1, 1, -1)
    distance = ((y - rand(count, 1, 1)) / (0.5 + rand(count, 1, 1))) ** 2
    distance = (
        distance + ((x - rand(count, 1, 1)) / (0.5 + rand(count, 1, 1))) ** 2 + 0.01 * smooth_noise(count)
    )
    nearest = distance.topk(min(2, count), dim=0, largest=False)
    is_nearest = torch.arange(count).view(-1, 1, 1) == nearest.indices[0]
    margin = torch.where(is_nearest, nearest.values[-1], nearest.values[0]) - distance

    entity = torch.cat([torch.arange(count), torch.randint(count, (queries - count,), generator=generator)])
    is_first = torch.arange(queries) < count
    order = torch.randperm(queries, generator=generator)
    entity, is_first = entity[order], is_first[order]
    masks = margin[entity] * (100 + 300 * rand(queries, 1, 1))
    masks = masks.clamp_(-12, 8).add_(smooth_noise(queries))

    classes = torch.randn(queries, sizes.num_classes + 1, generator=generator)
    label = torch.randint(sizes.num_classes, (count,), generator=generator)[entity]
    classes[torch.arange(queries), label] += torch.where(is_first, 10.0, 5.0) + 2 * rand(queries)
    return classes, masks
