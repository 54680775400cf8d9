"""All masks of an image, asked for with a grid of points (arXiv:2304.02643, section 5 and appendix B)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms

from omgseg.models.geometry import MaskGeometry, mask_boxes
from omgseg.structures.run_lengths import decode_masks, encode_masks

EDGE = 20.0
"""Masks whose box ends so near (pixels) to a crop's edge inside of the image are left out: the crop cuts them off."""
PIXELS_AT_ONCE = 2**24
"""Masks at the size of the crop exist a few at a time: with so many pixels together, or one."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class GridConfig:
    """How the image is asked.

    Attributes:
        points_per_side: the grid has this number squared of points.
        points_per_batch: decoded at a time.
        min_iou: masks need a higher predicted IoU; 0: all.
        min_stability: masks need at least this :func:`stability`; 0: all.
        stability_offset: distance of the two thresholds of :func:`stability` from 0, in logits.
        max_overlap: of two masks of a crop whose boxes overlap more (IoU), the one of the higher IoU stays.
        crop_layers: layer i asks 4^i crops of the image as well.
        crop_max_overlap: as `max_overlap`, between crops: the one of the smaller crop stays.
        crop_overlap: how far crops reach into each other, as a share of the shorter side, halved by layer.
        crop_points_divisor: layer i has a grid of points_per_side / divisor^i points per side.
        min_region_area: holes and islands below (pixels) are removed; 0: none.
    """

    points_per_side: int = 32
    points_per_batch: int = 64
    min_iou: float = 0.88
    min_stability: float = 0.95
    stability_offset: float = 1.0
    max_overlap: float = 0.7
    crop_layers: int = 0
    crop_max_overlap: float = 0.7
    crop_overlap: float = 512 / 1500
    crop_points_divisor: int = 1
    min_region_area: int = 0


@dataclass
class Found:
    """N masks.

    Attributes:
        rles: N run lengths of the original size.
        boxes: (N, 4), first and last column and row: x1, y1, x2, y2 with x2 and y2 inside.
        iou, stability: (N,).
        points: float64 (N, 2), that asked for them, x and y in the original image.
        crops: N boxes x1, y1, x2, y2 (exclusive).
    """

    rles: list[dict[str, Any]]
    boxes: Tensor
    iou: Tensor
    stability: Tensor
    points: np.ndarray
    crops: list[Box]

    def select(self, rows: Tensor) -> Found:
        """Some of them, in this order."""
        chosen = rows.tolist()
        return Found(
            [self.rles[row] for row in chosen],
            self.boxes[rows],
            self.iou[rows],
            self.stability[rows],
            self.points[chosen],
            [self.crops[row] for row in chosen],
        )

    @classmethod
    def join(cls, parts: Sequence[Found]) -> Found:
        """One after the other."""
        return cls(
            [rle for part in parts for rle in part.rles],
            torch.cat([part.boxes for part in parts]),
            torch.cat([part.iou for part in parts]),
            torch.cat([part.stability for part in parts]),
            np.concatenate([part.points for part in parts]),
            [crop for part in parts for crop in part.crops],
        )


class Candidates(NamedTuple):
    """The M masks that each of N prompts may mean.

    Attributes:
        logits: (N, M, h, w).
        iou: (N, M), the IoU that each is expected to have.
    """

    logits: Tensor
    iou: Tensor


Decode = Callable[[np.ndarray], Candidates]
"""Points (N, 2), in the pixels that were encoded, to masks."""
Encode = Callable[[np.ndarray], tuple[Decode, MaskGeometry]]
"""Pixels uint8 (H, W, 3) to what decodes points on them, and their sizes."""


def find_everything(encode: Encode, image: np.ndarray, config: GridConfig) -> Found:
    """All masks of an image, each thing once.

    Args:
        encode: the model.
        image: RGB uint8 (H, W, 3).

    Returns:
        Masks by falling IoU within a crop, those of smaller crops first.
    """
    size = image.shape[:2]
    found = []
    for crop, layer in crop_boxes(size, config.crop_layers, config.crop_overlap):
        x1, y1, x2, y2 = crop
        decode, geometry = encode(image[y1:y2, x1:x2])
        side = max(int(config.points_per_side / config.crop_points_divisor**layer), 1)
        points = point_grid(side) * [x2 - x1, y2 - y1]
        parts = [
            _ask(decode, geometry, batch, crop, size, config)
            for batch in np.split(
                points, range(config.points_per_batch, len(points), config.points_per_batch)
            )
        ]
        in_crop = Found.join(parts)
        found.append(in_crop.select(nms(in_crop.boxes.float(), in_crop.iou, config.max_overlap)))
    everything = Found.join(found)
    if config.crop_layers:
        area = torch.tensor([(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in everything.crops])
        kept = nms(everything.boxes.float(), 1 / area.float(), config.crop_max_overlap)
        everything = everything.select(kept)
    if config.min_region_area:
        limit = max(config.max_overlap, config.crop_max_overlap)
        everything = without_small_regions(everything, config.min_region_area, limit)
    return everything


def point_grid(side: int) -> np.ndarray:
    """float64 (side * side, 2): x and y in 0..1, at the middles of equal cells, row by row."""
    middles = np.linspace(0.5 / side, 1 - 0.5 / side, side)
    return np.stack([np.tile(middles, side), np.repeat(middles, side)], axis=1)


def crop_boxes(size: tuple[int, int], layers: int, overlap: float) -> list[tuple[Box, int]]:
    """The image itself, then the 4^i crops of each further layer i, with their layer.

    Args:
        size: (height, width).
        layers: besides the image.
        overlap: see :attr:`GridConfig.crop_overlap`.
    """
    height, width = size
    boxes: list[tuple[Box, int]] = [((0, 0, width, height), 0)]
    for layer in range(1, layers + 1):
        count = 2**layer
        shared = int(overlap * min(size) * (2 / count))
        crop_width, crop_height = (-(-(shared * (count - 1) + side) // count) for side in (width, height))
        for column, row in product(range(count), repeat=2):
            x, y = (crop_width - shared) * column, (crop_height - shared) * row
            box = (x, y, min(x + crop_width, width), min(y + crop_height, height))
            if box[0] < box[2] and box[1] < box[3]:  # not so in images of a few pixels
                boxes.append((box, layer))
    return boxes


def _ask(
    decode: Decode,
    geometry: MaskGeometry,
    points: np.ndarray,
    crop: Box,
    size: tuple[int, int],
    config: GridConfig,
) -> Found:
    """The acceptable masks of some points of a crop."""
    answers = decode(points)
    candidates = answers.iou.shape[1]
    logits, iou = answers.logits.flatten(0, 1), answers.iou.flatten()
    rows = torch.arange(len(iou), device=iou.device)
    if config.min_iou > 0:
        rows = rows[iou > config.min_iou]
    found = []
    height, width = geometry.original
    for some in rows.split(max(PIXELS_AT_ONCE // (height * width), 1)):
        resized = geometry.resize(logits[some].float())
        stable = stability(resized, config.stability_offset)
        masks = resized > 0
        boxes = mask_boxes(masks)
        kept = ~ends_at_crop(boxes, crop, size)
        if config.min_stability > 0:
            kept &= stable >= config.min_stability
        asked = (some[kept] // candidates).cpu().numpy()
        offset = boxes.new_tensor([crop[0], crop[1]]).repeat(2)
        found.append(
            Found(
                encode_masks(_uncrop(mask, crop, size) for mask in masks[kept].cpu().numpy()),
                (boxes[kept] + offset).cpu(),
                iou[some[kept]].float().cpu(),
                stable[kept].cpu(),
                points[asked] + [crop[0], crop[1]],
                [crop] * len(asked),
            )
        )
    return Found.join(found) if found else _nothing()


def _nothing() -> Found:
    return Found(
        [], torch.zeros(0, 4, dtype=torch.long), torch.zeros(0), torch.zeros(0), np.zeros((0, 2)), []
    )


def _uncrop(mask: np.ndarray, crop: Box, size: tuple[int, int]) -> np.ndarray:
    if mask.shape == size:
        return mask
    whole = np.zeros(size, dtype=bool)
    whole[crop[1] : crop[3], crop[0] : crop[2]] = mask
    return whole


def stability(logits: Tensor, offset: float, threshold: float = 0.0) -> Tensor:
    """IoU (...) of the masks (..., H, W) at a higher and at a lower threshold; NaN where both are empty."""
    inner = (logits > threshold + offset).sum((-2, -1))
    return inner / (logits > threshold - offset).sum((-2, -1))


def ends_at_crop(boxes: Tensor, crop: Box, size: tuple[int, int], tolerance: float = EDGE) -> Tensor:
    """bool (N,): boxes (N, 4) in pixels of the crop that end near its edge, where that is not the image's edge."""
    boxes = (boxes + boxes.new_tensor([crop[0], crop[1]]).repeat(2)).float()
    edges = boxes.new_tensor(crop)
    whole = boxes.new_tensor([0, 0, size[1], size[0]])
    at_crop = (boxes - edges).abs() <= tolerance
    at_image = (boxes - whole).abs() <= tolerance
    return (at_crop & ~at_image).any(1)


def without_small_regions(found: Found, min_area: int, max_overlap: float) -> Found:
    """Fill small holes and remove small islands; of masks that become alike, an unchanged one stays."""
    if not found.rles:
        return found
    rles, boxes, unchanged = [], [], []
    for rle, box in zip(found.rles, found.boxes, strict=True):
        mask, filled = remove_regions(decode_masks([rle], tuple(rle["size"]))[0], min_area, holes=True)
        mask, cut = remove_regions(mask, min_area, holes=False)
        changed = filled or cut
        rles.append(encode_masks([mask])[0] if changed else rle)
        boxes.append(mask_boxes(torch.from_numpy(mask[None]))[0] if changed else box)
        unchanged.append(float(not changed))
    found = Found(rles, torch.stack(boxes), found.iou, found.stability, found.points, found.crops)
    return found.select(nms(found.boxes.float(), torch.tensor(unchanged), max_overlap))


def remove_regions(mask: np.ndarray, min_area: int, holes: bool) -> tuple[np.ndarray, bool]:
    """Remove 8-connected regions of less than `min_area` pixels.

    Args:
        mask: bool (H, W).
        holes: regions outside of the mask, which are filled; else regions of the mask, of which the largest stays
            where all are small.

    Returns:
        The mask, and whether anything changed.
    """
    count, regions, stats, _ = cv2.connectedComponentsWithStats(
        (mask ^ holes).astype(np.uint8), connectivity=8
    )
    areas = stats[1:, cv2.CC_STAT_AREA]
    small = np.flatnonzero(areas < min_area) + 1
    if not len(small):
        return mask, False
    if not holes and len(small) == count - 1:
        small = small[small != areas.argmax() + 1]
    return mask ^ np.isin(regions, small), True
