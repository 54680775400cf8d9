"""FastSAM's second stage (arXiv:2306.12156, section 3.3): prompts choose among the masks of everything mode, by rules.

Where the published code makes a mistake, `published=True` repeats it; the golden values need that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

from omgseg.models.geometry import CHUNK, interpolate
from omgseg.structures.run_lengths import decode_masks, mask_areas

NEAR_EDGE = 20
"""Pixels of the network's input within which an edge of a box is meant to be the image's edge."""
FULL_IOU = 0.9
"""A box is the whole image's if it overlaps it by more."""
SMALLEST_NAMED = 100
"""Masks of no more pixels are not compared with words."""
WHITE = 255


def whole_boxes(boxes: Tensor, size: tuple[int, int], published: bool = False) -> Tensor:
    """The full-box rule: a box whose edges are near those of the image (height, width), and which nearly is the image,
    becomes the image's.

    Args:
        boxes: (N, 4), x1 y1 x2 y2 in pixels of the network's input.
        size: of that input.
        published: move the near edges of all other boxes to the image's, too: the published code changes them in place.
    """
    height, width = size
    limits = boxes.new_tensor([0, 0, width, height])
    low, high = boxes[:, :2], boxes[:, 2:]
    snapped = torch.cat(
        [
            torch.where(low < NEAR_EDGE, limits[:2], low),
            torch.where(high > limits[2:] - NEAR_EDGE, limits[2:], high),
        ],
        dim=1,
    )
    is_whole = box_iou(snapped, limits.unsqueeze(0))[:, 0] > FULL_IOU
    return torch.where(is_whole.unsqueeze(1), limits, snapped if published else boxes)


def masks_in_boxes(logits: Tensor, boxes: Tensor, size: tuple[int, int]) -> Iterable[Tensor]:
    """Masks bool (n, *size), a few at a time: logits (N, h, w) at the original size, cut to boxes (N, 4) in its
    pixels ("retina masks")."""
    y = torch.arange(size[0], device=logits.device)[None, :, None]
    x = torch.arange(size[1], device=logits.device)[None, None, :]
    for part, of_part in zip(logits.split(CHUNK), boxes.split(CHUNK), strict=True):
        x1, y1, x2, y2 = of_part[:, :, None, None].unbind(1)
        inside = (x >= x1) & (x < x2) & (y >= y1) & (y < y2)
        yield (interpolate(part, size) > 0) & inside


class Candidates:
    """The masks that prompts choose among.

    Args:
        rles: N run lengths.
        scores: float32 (N,).
        size: (height, width).
    """

    def __init__(self, rles: list[dict], scores: np.ndarray, size: tuple[int, int]) -> None:
        self.rles, self.scores, self.size = rles, scores, size
        self.areas = mask_areas(rles)

    def __len__(self) -> int:
        return len(self.rles)

    def mask(self, index: int) -> np.ndarray:
        """bool (H, W)."""
        return decode_masks([self.rles[index]], self.size)[0]

    def paint(self, points: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
        """One mask of the points of one object.

        The masks are visited by falling area; each positive point in one paints it, each negative one erases it. Points
        on nothing change nothing.

        Args:
            points: (K, 2), x and y in pixels.
            labels: (K,): 1 on the object, 0 not on it; others are padding.

        Returns:
            The mask bool (H, W), and the highest score of the masks that painted it, 0 if the mask is empty.
        """
        mask, score = np.zeros(self.size, bool), 0.0
        for index in np.argsort(-self.areas, kind="stable"):
            candidate = self.mask(index)
            for is_inside, label in zip(self._at(candidate, points), labels, strict=True):
                if is_inside and label in (0, 1):
                    mask[candidate] = label == 1
                    score = max(score, float(self.scores[index]) * (label == 1))
        return mask, score if mask.any() else 0.0

    def agreement(self, points: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """To how many points each mask is as they say, int (N,); see :meth:`paint`."""
        inside = (self._at(self.mask(index), points) for index in range(len(self)))
        return np.array([(of_mask == labels).sum() for of_mask in inside])

    def _at(self, mask: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Bool (K,): whether points lie in a mask."""
        columns, rows = np.floor(points).astype(int).clip(0, np.array(self.size[::-1]) - 1).T
        return mask[rows, columns]

    def overlaps(self, box: np.ndarray) -> np.ndarray:
        """IoU float32 (N,) of the masks with a box x1 y1 x2 y2, whose edges are rounded and limited to the image."""
        x1, y1, x2, y2 = (round(float(edge)) for edge in box)
        x1, y1 = max(x1, 0), max(y1, 0)
        x2, y2 = min(x2, self.size[1]), min(y2, self.size[0])
        inside = np.array([self.mask(index)[y1:y2, x1:x2].sum() for index in range(len(self))], np.float32)
        area = max(x2 - x1, 0) * max(y2 - y1, 0)
        return inside / np.maximum(area + self.areas.astype(np.float32) - inside, 1)

    def large(self) -> np.ndarray:
        """Indices of the masks that are compared with words."""
        return np.flatnonzero(self.areas > SMALLEST_NAMED)

    def crop(self, image: np.ndarray, index: int) -> np.ndarray:
        """What a mask's bounding box shows of an image RGB uint8 (H, W, 3), on white of the image's size.

        The mask itself is not used, as published.
        """
        shown = self.mask(index)
        rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
        part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        crop = np.full_like(image, WHITE)
        crop[part] = image[part]
        return crop


def choose_by_text(similarity: np.ndarray, large: np.ndarray, published: bool = False) -> tuple[int, float]:
    """The mask of a text.

    Args:
        similarity: float (M,), 100 times the cosine of each crop and the text.
        large: M indices of the masks of the crops, rising, see :meth:`Candidates.large`.
        published: count the masks that are left out as the published code does: those up to the place of the best crop.
            Where more are left out between that place and the mask, the answer is another mask.

    Returns:
        The index of the mask, and the softmax over the crops there.
    """
    scores = np.exp(similarity - similarity.max())
    scores /= scores.sum()
    best = int(scores.argmax())
    if published:
        left_out = np.setdiff1d(np.arange(large[-1] + 1), large)
        return best + int((left_out <= best).sum()), float(scores[best])
    return int(large[best]), float(scores[best])


def similarities(
    images: Iterable[np.ndarray], encode: Callable[[np.ndarray], np.ndarray], text: np.ndarray
) -> np.ndarray:
    """100 times the cosines float (M, C) of images and texts (C, E), which `encode` maps into one space."""
    features = np.stack([encode(image) for image in images])
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    return 100.0 * features @ (text / np.linalg.norm(text, axis=1, keepdims=True)).T
