"""From the network's outputs to objects: boxes, Fast NMS, and masks of prototypes."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from omgseg.models.geometry import CHUNK, interpolate

mmcv_nms = importlib.import_module("mmcv.ops.nms")  # mmcv.ops has a function of this name

VARIANCES = (0.1, 0.2)
"""Of the offsets of centres and of sizes."""
CROP_MARGIN = 1
"""Cells of the prototypes that a box is enlarged by before masks are cropped."""
CLASSES_AT_ONCE = 8
"""Their IoU matrices stay in a processor's caches: less than half the time of all classes together."""
NMS = ("fast", "cross_class", "torchvision")


@dataclass(frozen=True)
class DetectionConfig:
    """``test_cfg`` of the model; the defaults are published.

    Attributes:
        score_thr: anchors whose best class scores no more are left out. Fast NMS has no further threshold: an anchor
            may appear with low scores in other classes, too.
        nms: ``"fast"`` (class by class), ``"cross_class"`` (each anchor in its best class), or ``"torchvision"``:
            sequential NMS, class by class. Or the config of an NMS of mmcv, as in mmdet: ``dict(type="noh_nms", ...)``
            of projects/noh_nms, which the config of the model imports.
        iou_thr: of NMS; the one of mmcv has a threshold of its own.
        top_k: anchors of a class, or with ``"cross_class"`` of all, that go into NMS.
        max_per_image: objects that come out of it.
    """

    score_thr: float = 0.05
    nms: str | dict[str, Any] = "fast"
    iou_thr: float = 0.5
    top_k: int = 200
    max_per_image: int = 100

    def __post_init__(self) -> None:
        if isinstance(self.nms, Mapping):
            if not hasattr(mmcv_nms, self.nms.get("type", "")):
                raise ValueError(
                    f"test_cfg.nms: mmcv has no NMS of the type {self.nms.get('type')!r}; import what defines it, "
                    "with custom_imports"
                )
        elif self.nms not in NMS:
            raise ValueError(f"test_cfg.nms is one of {', '.join(NMS)}, not {self.nms!r}")


@dataclass(frozen=True)
class Detections:
    """N objects of an image, by falling score of their boxes.

    Attributes:
        boxes: (N, 4), x1 y1 x2 y2 in parts of the image; not clipped, and x2 may be below x1.
        labels: int64 (N,).
        scores: (N,), of the boxes.
        coefficients: (N, K).
        prototypes: (h, w, K).
        mask_scores: (N,); those of the boxes unless masks are re-scored.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    coefficients: Tensor
    prototypes: Tensor
    mask_scores: Tensor

    def select(self, rows: Tensor) -> Detections:
        """Some of them, in this order."""
        chosen = {
            name: getattr(self, name)[rows]
            for name in ("boxes", "labels", "scores", "coefficients", "mask_scores")
        }
        return replace(self, **chosen)

    def cropped_masks(self) -> Tensor:
        """Probabilities (N, h, w) at the size of the prototypes, 0 outside of the boxes."""
        return crop(assemble(self.prototypes, self.coefficients), self.boxes)

    def rescored(self, iou_net: Callable[[Tensor], Tensor]) -> Detections:
        """With the scores of masks times their expected IoU, see :class:`MaskIoUNet`."""
        expected = iou_net(self.cropped_masks()).gather(1, self.labels.unsqueeze(1)).squeeze(1)
        return replace(self, mask_scores=self.scores * expected)

    def masks(self, size: tuple[int, int]) -> Iterator[Tensor]:
        """Masks bool (n, *size) of the original image, a few at a time."""
        for part in self.cropped_masks().split(CHUNK):
            yield interpolate(part, size) > 0.5

    def pixel_boxes(self, size: tuple[int, int]) -> Tensor:
        """int64 (N, 4): x1 y1 x2 y2 in pixels of an image (height, width), ordered and clipped to it."""
        x1, x2 = ordered(self.boxes[:, 0], self.boxes[:, 2], size[1])
        y1, y2 = ordered(self.boxes[:, 1], self.boxes[:, 3], size[0])
        return torch.stack([x1, y1, x2, y2], dim=1).long()


def decode_boxes(offsets: Tensor, anchors: Tensor) -> Tensor:
    """Boxes (..., P, 4), x1 y1 x2 y2, of offsets (..., P, 4) from anchors (P, 4), centre and size."""
    centres = anchors[:, :2] + VARIANCES[0] * offsets[..., :2] * anchors[:, 2:]
    halves = anchors[:, 2:] * torch.exp(VARIANCES[1] * offsets[..., 2:]) / 2
    return torch.cat([centres - halves, centres + halves], dim=-1)


def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Offsets (P, 4) of boxes (P, 4), x1 y1 x2 y2, from as many anchors; the inverse of :func:`decode_boxes`."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 - anchors[:, :2]
    sizes = (boxes[:, 2:] - boxes[:, :2]) / anchors[:, 2:]
    return torch.cat([centres / anchors[:, 2:] / VARIANCES[0], sizes.log() / VARIANCES[1]], dim=1)


def overlaps(boxes: Tensor, others: Tensor, of_boxes: bool = False) -> Tensor:
    """IoU (..., N, M) of boxes (..., N, 4) and (..., M, 4), or with `of_boxes` the share of `boxes`.

    As mmdet's, in two thirds of the time, without its lower bound of the union, which is meant for pixels.
    """
    boxes, others = boxes.unsqueeze(-2), others.unsqueeze(-3)
    both = areas = None
    for low, high in ((0, 2), (1, 3)):
        side = torch.minimum(boxes[..., high], others[..., high])
        side.sub_(torch.maximum(boxes[..., low], others[..., low])).clamp_(min=0)
        both = side if both is None else both.mul_(side)
        sides = boxes[..., high] - boxes[..., low], others[..., high] - others[..., low]
        areas = sides if areas is None else (areas[0] * sides[0], areas[1] * sides[1])
    if of_boxes:
        return both / areas[0]
    union = (areas[0] + areas[1]).sub_(both)
    return both.div_(union.clamp_(min=torch.finfo(both.dtype).tiny))


def ordered(a: Tensor, b: Tensor, side: int, margin: int = 0) -> tuple[Tensor, Tensor]:
    """The lower and the higher of two edges (N,), given in parts of a side, in its pixels: enlarged and clipped."""
    a, b = a * side, b * side
    return (torch.minimum(a, b) - margin).clamp(min=0), (torch.maximum(a, b) + margin).clamp(max=side)


def assemble(prototypes: Tensor, coefficients: Tensor) -> Tensor:
    """Probabilities (N, h, w) of prototypes (h, w, K) and coefficients (N, K)."""
    return (prototypes @ coefficients.T).sigmoid().permute(2, 0, 1)


def crop(masks: Tensor, boxes: Tensor) -> Tensor:
    """Masks (N, h, w), 0 outside of their boxes (N, 4), in parts of the image, enlarged by a cell."""
    height, width = masks.shape[-2:]
    (x1, x2), (y1, y2) = (
        ordered(boxes[:, axis], boxes[:, axis + 2], side, CROP_MARGIN)
        for axis, side in ((0, width), (1, height))
    )
    x = torch.arange(width, device=masks.device)
    y = torch.arange(height, device=masks.device)
    columns = (x >= x1[:, None]) & (x < x2[:, None])
    rows = (y >= y1[:, None]) & (y < y2[:, None])
    return masks * (rows[:, :, None] & columns[:, None, :])


def find_objects(
    boxes: Tensor, scores: Tensor, config: DetectionConfig, side: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """What NMS leaves of an image.

    Args:
        boxes: (P, 4), x1 y1 x2 y2.
        scores: (P, C), without the background.
        side: of the image in the unit of `boxes` gives its pixels; mmcv's NMS may need these.

    Returns:
        For each object its row in `boxes`, its label and its score, (N,), by falling score.
    """
    likely = (scores.amax(1) > config.score_thr).nonzero().squeeze(1)
    if isinstance(config.nms, Mapping):
        rows, labels, found = _mmcv_nms(boxes[likely] * side, scores[likely], config)
    else:
        search = {"fast": _fast_nms, "cross_class": _cross_class_nms, "torchvision": _sequential_nms}[
            config.nms
        ]
        rows, labels, found = search(boxes[likely], scores[likely], config)
    return likely[rows], labels, found


def _fast_nms(boxes: Tensor, scores: Tensor, config: DetectionConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Class-wise Fast NMS (arXiv:1904.02689, section 5): suppressed boxes suppress others, too."""
    top, rows = scores.T.sort(dim=1, descending=True, stable=True)  # (C, P)
    top, rows = top[:, : config.top_k], rows[:, : config.top_k]
    parts = boxes[rows].split(CLASSES_AT_ONCE)
    kept = torch.cat([_first_of_all(part, config.iou_thr) for part in parts])
    labels = torch.arange(len(rows), device=rows.device).unsqueeze(1).expand_as(rows)
    return _best(rows[kept], labels[kept], top[kept], config.max_per_image)


def _cross_class_nms(boxes: Tensor, scores: Tensor, config: DetectionConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Fast NMS of all classes together; as published, :attr:`DetectionConfig.top_k` is its only limit."""
    best, labels = scores.max(1)
    best, rows = best.sort(descending=True, stable=True)
    best, rows = best[: config.top_k], rows[: config.top_k]
    kept = _first_of_all(boxes[rows], config.iou_thr)
    return rows[kept], labels[rows[kept]], best[kept]


def _sequential_nms(boxes: Tensor, scores: Tensor, config: DetectionConfig) -> tuple[Tensor, Tensor, Tensor]:
    """torchvision's NMS of the same candidates."""
    top, rows, labels = _candidates(scores, config)
    kept = batched_nms(boxes[rows], top, labels, config.iou_thr)
    return _best(rows[kept], labels[kept], top[kept], config.max_per_image)


def _mmcv_nms(boxes: Tensor, scores: Tensor, config: DetectionConfig) -> tuple[Tensor, Tensor, Tensor]:
    """An NMS of mmcv, class by class, of the same candidates; it may change scores."""
    top, rows, labels = _candidates(scores, config)
    if not len(rows):
        return rows, labels, top
    found, kept = mmcv_nms.batched_nms(boxes[rows], top, labels, config.nms)
    return _best(rows[kept], labels[kept], found[:, 4], config.max_per_image)


def _candidates(scores: Tensor, config: DetectionConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, rows and labels of the best anchors of each class."""
    top, rows = scores.T.sort(dim=1, descending=True, stable=True)
    top, rows = top[:, : config.top_k], rows[:, : config.top_k]
    labels = torch.arange(len(rows), device=rows.device).unsqueeze(1).expand_as(rows)
    return top.flatten(), rows.flatten(), labels.flatten()


def _first_of_all(boxes: Tensor, iou_thr: float) -> Tensor:
    """bool (..., N): boxes (..., N, 4), by falling score, that no better one overlaps."""
    if not boxes.shape[-2]:
        return boxes.new_zeros(boxes.shape[:-1], dtype=torch.bool)
    return overlaps(boxes, boxes).triu(diagonal=1).amax(-2) <= iou_thr


def _best(rows: Tensor, labels: Tensor, scores: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    scores, order = scores.sort(descending=True, stable=True)
    order = order[:count]
    return rows[order], labels[order], scores[:count]
