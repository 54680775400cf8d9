"""Read-outs of guests: the maps of transformers' ``post_process_*_segmentation``, with little memory.

Where masks are resized twice, the published steps and their order are kept, so that users get what they get there.
Values are equal to rounding: a pixel may differ where two queries are equal to 1e-6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from omgseg.guests.guest import Found
from omgseg.models.geometry import MaskGeometry, interpolate
from omgseg.models.mask_queries.winners import mask_areas, winning_queries
from omgseg.protocols import Request
from omgseg.structures import Segments
from omgseg.structures.run_lengths import encode_map, encode_masks
from omgseg.structures.run_lengths import mask_areas as mask_pixels

MIN_OWN_SHARE = 0.8
"""``overlap_mask_area_threshold``: a segment survives when it wins at least this share of the pixels of its mask."""
CLASSES_AT_ONCE = 16
"""Class maps that exist at full size together."""


def confident_queries(class_logits: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """Queries (K,) with a class, their scores (K,) and classes (K,).

    Args:
        class_logits: (Q, C + 1), "no object" last.
        threshold: lower scores, and equal ones, are left out.
    """
    scores, classes = class_logits.softmax(-1).max(-1)
    kept = ((classes != class_logits.shape[-1] - 1) & (scores > threshold)).nonzero().squeeze(1)
    return kept, scores[kept], classes[kept]


def read_panoptic(
    maps: Tensor,
    queries: Tensor,
    weights: Tensor,
    scores: Tensor,
    classes: Tensor,
    is_thing: np.ndarray,
    geometry: MaskGeometry,
    activation: Callable[[Tensor], Tensor],
    only_inside: bool,
) -> Found:
    """Segments that share the pixels of an image; those of a class of stuff are one.

    Args:
        maps: (K, h, w), of which `activation` makes values in 0..1 at the original size.
        queries: (K,), of the maps.
        weights: (K,): the query of the highest weight x value wins a pixel.
        scores, classes: (K,).
        is_thing: (C,).
        geometry: sizes.
        activation: elementwise, rising.
        only_inside: whether a segment ends at its own mask, the values of at least one half.
    """
    if not len(maps):
        return Found([], np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.int64))
    rows, inside = winning_queries(maps, weights, geometry, activation)
    won = torch.bincount(rows.flatten(), minlength=len(maps))
    winning = won.nonzero().squeeze(1)
    areas = torch.zeros_like(won)
    areas[winning] = mask_areas(maps[winning], geometry, activation)
    survives = (areas > 0) & (won / areas.clamp(min=1) >= MIN_OWN_SHARE)
    values = torch.zeros(len(maps), dtype=torch.int32)
    found: list[tuple[int, float, int]] = []
    stuff: dict[int, int] = {}
    kinds, ratings, numbers = classes.tolist(), scores.tolist(), queries.tolist()
    for row in survives.nonzero().squeeze(1).tolist():
        kind, score = kinds[row], ratings[row]
        if kind in stuff:
            values[row] = stuff[kind]
            _, before, first = found[stuff[kind] - 1]
            found[stuff[kind] - 1] = (kind, max(score, before), first)
            continue
        found.append((kind, score, numbers[row]))
        values[row] = len(found)
        if not is_thing[kind]:
            stuff[kind] = len(found)
    segments = values.to(rows.device)[rows.long()]
    if only_inside:
        segments = segments.where(inside, segments.new_tensor(0))
    segments = segments.cpu().numpy()
    present = [value for value in np.unique(segments).tolist() if value]
    return Found(
        encode_map(segments, present),
        np.array([found[value - 1][0] for value in present], np.int64),
        np.array([found[value - 1][1] for value in present], np.float32),
        np.array([found[value - 1][2] for value in present], np.int64),
    )


def read_instances(
    mask_logits: Tensor, scores: Tensor, classes: Tensor, size: tuple[int, int], min_score: float
) -> Found:
    """Masks that may overlap, by falling score: the class score times the mean probability inside the mask.

    Args:
        mask_logits: (K, h, w); masks are resized to `size` (nearest pixel) after they are cut at one half.
        scores, classes: (K,).
        size: (height, width) of the original image.
        min_score: lower scores are left out.
    """
    binary = mask_logits > 0
    inside = (mask_logits.sigmoid() * binary).flatten(1).sum(1) / (binary.flatten(1).sum(1) + 1e-6)
    scores = scores * inside
    order = scores.argsort(descending=True, stable=True)
    order = order[(scores[order] >= min_score) & binary[order].flatten(1).any(1)]
    masks = (
        F.interpolate(binary[row][None, None].byte(), size, mode="nearest")[0, 0] for row in order.tolist()
    )
    return without_empty(encode_masks(mask.cpu().numpy() for mask in masks), classes[order], scores[order])


def without_empty(rles: list, classes: Tensor, scores: Tensor, queries: Tensor | None = None) -> Found:
    """Segments with pixels."""
    kept = [row for row, area in enumerate(mask_pixels(rles)) if area]
    return Found(
        [rles[row] for row in kept],
        classes.cpu().numpy().astype(np.int64)[kept],
        scores.float().cpu().numpy()[kept],
        None if queries is None else queries.cpu().numpy()[kept],
    )


def read_semantic(maps: Tensor, size: tuple[int, int]) -> Found:
    """The class of the highest value at each pixel.

    Args:
        maps: (C, h, w), resized (bilinear) to `size`, a few classes at a time.
        size: (height, width) of the original image.
    """
    chunks = (interpolate(some, size) for some in maps.split(CLASSES_AT_ONCE))
    return found_labels(highest(chunks)[1].cpu().numpy())


def highest(chunks: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """The highest value of all classes at each pixel, and its class, (H, W) each; of equal ones the first.

    Args:
        chunks: maps (c, H, W) of the classes in their order, a few at a time; at least one.
    """
    best: Tensor | None = None
    start = 0
    for maps in chunks:
        values, places = maps.max(0)
        if best is None:
            best, labels = values, places
        else:
            better = values > best
            labels = torch.where(better, places + start, labels)
            best = torch.where(better, values, best)
        start += len(maps)
    return best, labels


def found_labels(labels: np.ndarray) -> Found:
    """A segment for each class in a map (H, W); below 0 is none."""
    present = [label for label in np.unique(labels).tolist() if label >= 0]
    return Found(encode_map(labels, present), np.array(present, np.int64), np.ones(len(present), np.float32))


def segments_of_map(values: Tensor, labels: Tensor, request: Request) -> Segments:
    """A segment for each word that has pixels; its score is their mean value.

    Args:
        values: (H, W) of the original image, 0..1.
        labels: int64 (H, W), places in the words of the request; below 0 is none.
        request: its `min_score` leaves segments out.
    """
    best, places = values.cpu().numpy(), labels.cpu().numpy()
    present = [label for label in np.unique(places).tolist() if label >= 0]
    scores = np.array([best[places == label].mean() for label in present], np.float32)
    kept = np.flatnonzero(scores >= request.min_score)
    present = [present[row] for row in kept]
    rles = encode_map(places, present)
    return Segments(request.task, places.shape, rles, present, scores[kept], vocabulary=request.words)
