"""Drawing of results that give every pixel one value: panoptic, semantic, objects of a video."""

from __future__ import annotations

import numpy as np
from mmdet.evaluation.functional import INSTANCE_OFFSET

from omgseg.structures import Vocabulary
from omgseg.visualization.canvas import Canvas
from omgseg.visualization.palette import VOID, Color, category_color, identity_color

_SMALLEST_LABEL = 1 / 400  # share of the image below which a segment gets no text


def draw_panoptic(image: np.ndarray, panoptic: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    """Draw a panoptic map: stuff in its category's colour, every thing in the colour of its identity.

    An identity keeps its colour over the frames of a video, as its value in the map is constant.

    Args:
        image: uint8 RGB (H, W, 3).
        panoptic: integers (H, W), mmdet's encoding ``label + 1000 * instance``; void is ``len(vocabulary)``.
        vocabulary: names and colours of the labels.

    Returns:
        uint8 RGB, enlarged where the image is small.
    """
    canvas = Canvas(image)
    values = [int(value) for value in np.unique(panoptic)]
    canvas.paint(_colorize(panoptic, {value: _panoptic_color(value, vocabulary) for value in values}))
    for value in values:
        label, instance = value % INSTANCE_OFFSET, value // INSTANCE_OFFSET
        if label >= len(vocabulary):
            continue
        mask = panoptic == value
        if instance:
            canvas.outline(mask, _panoptic_color(value, vocabulary))
        if mask.mean() >= _SMALLEST_LABEL:
            canvas.label(mask, vocabulary[label].name)
    return canvas.finish()


def _panoptic_color(value: int, vocabulary: Vocabulary) -> Color:
    label, instance = value % INSTANCE_OFFSET, value // INSTANCE_OFFSET
    # numbers may start anew in each class, so the class is part of the identity
    return identity_color(instance + 17 * label) if instance else category_color(vocabulary, label)


def draw_semantic(image: np.ndarray, labels: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    """Draw a label map: integers (H, W), labels of the vocabulary, anything else is void. See :func:`draw_panoptic`."""
    canvas = Canvas(image)
    present = [int(label) for label in np.unique(labels)]
    canvas.paint(_colorize(labels, {label: category_color(vocabulary, label) for label in present}))
    for label in present:
        mask = labels == label
        if 0 <= label < len(vocabulary) and mask.mean() >= _SMALLEST_LABEL:
            canvas.label(mask, vocabulary[label].name)
    return canvas.finish()


def draw_objects(image: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Draw a map of object numbers (video object segmentation): integers (H, W), 0 is background and stays as it is."""
    canvas = Canvas(image)
    for number in np.unique(objects):
        if number > 0:
            mask = objects == number
            canvas.fill(mask, identity_color(int(number)))
            canvas.outline(mask, identity_color(int(number)))
            canvas.label(mask, str(number))
    return canvas.finish()


def _colorize(values: np.ndarray, colors: dict[int, Color]) -> np.ndarray:
    """uint8 RGB (H, W, 3) of integers (H, W), through a table."""
    keys = np.array(sorted(colors))
    table = np.array([colors[int(key)] for key in keys] or [VOID], np.uint8)
    return table[np.searchsorted(keys, values)]
