"""Drawing of results that are lists of masks: instances, tracks, prompts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from omgseg.structures import Vocabulary
from omgseg.visualization.canvas import Canvas
from omgseg.visualization.palette import identity_color


def draw_instances(
    image: np.ndarray,
    masks: np.ndarray,
    labels: Sequence[int],
    vocabulary: Vocabulary,
    scores: Sequence[float] | None = None,
    identities: Sequence[int] | None = None,
    min_score: float = 0.3,
) -> np.ndarray:
    """Draw instances, or the tracks of a frame: every one in the colour of its identity.

    Args:
        image: uint8 RGB (H, W, 3).
        masks: bool (N, H, W); an empty mask (a track that is not in this frame) draws nothing.
        labels: N labels of the vocabulary, -1 has no name.
        vocabulary: names of the labels.
        scores: N confidences in 0..1; None draws all.
        identities: N numbers that are constant over a video; their order in the list if None.
        min_score: instances below are left out.

    Returns:
        uint8 RGB, enlarged where the image is small.
    """
    canvas = Canvas(image)
    count = len(masks)
    scores = [1.0] * count if scores is None else [float(score) for score in scores]
    identities = range(1, count + 1) if identities is None else identities
    order = sorted(range(count), key=lambda index: scores[index])  # the surest is drawn last, on top
    for index in order:
        mask = np.asarray(masks[index], dtype=bool)
        if scores[index] < min_score or not mask.any():
            continue
        color = identity_color(int(identities[index]))
        canvas.fill(mask, color)
        canvas.outline(mask, color)
        label = int(labels[index])
        name = vocabulary[label].name if 0 <= label < len(vocabulary) else ""
        canvas.label(mask, name)
    return canvas.finish()


def draw_prompts(
    image: np.ndarray,
    masks: np.ndarray,
    points: np.ndarray | None = None,
    boxes: np.ndarray | None = None,
) -> np.ndarray:
    """Draw clicks or boxes, and the mask that each of them got in the same colour.

    Args:
        image: uint8 RGB (H, W, 3).
        masks: bool (N, H, W), one a prompt; N may be 0 to show the prompts alone.
        points: (N, 2) pixels (x, y) of the image.
        boxes: (N, 4) pixels (x1, y1, x2, y2) of the image.

    Returns:
        uint8 RGB, enlarged where the image is small.

    Raises:
        ValueError: neither points nor boxes, or both.
    """
    if (points is None) == (boxes is None):
        raise ValueError("give points or boxes")
    canvas = Canvas(image)
    for index, mask in enumerate(masks):
        canvas.fill(np.asarray(mask, dtype=bool), identity_color(index + 1))
        canvas.outline(np.asarray(mask, dtype=bool), identity_color(index + 1))
    for index, point in enumerate(points if points is not None else ()):
        canvas.point(point, identity_color(index + 1))
    for index, box in enumerate(boxes if boxes is not None else ()):
        canvas.box(box, identity_color(index + 1))
    return canvas.finish()
