"""Draws the results of all tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from omgseg.structures import NO_CLASS, Task
from omgseg.structures.segments import Segments
from omgseg.visualization.labels import Caption, draw_legend, font_size, place_labels, write_plates
from omgseg.visualization.paint import (
    Shape,
    draw_outlines,
    line_width,
    read_shapes,
    tint,
    top_map,
    visible_part,
)
from omgseg.visualization.palette import Color, category_color, edge_of, identity_color

_CROWDED = 25  # above this number of masks the font is smaller
_SMALLEST = 1.0  # masks with a smaller area, in squares of the font height, get no label
_MUTED = 0.45  # share of grey in the colours of stuff if things are coloured by id
_GREY = 150


def render(
    image: np.ndarray,
    result: Segments,
    *,
    opacity: float = 0.5,
    contours: bool = True,
    labels: bool = True,
    palette: str = "default",
    by: str | None = None,
    min_score: float = 0.0,
    legend: bool = False,
    zoom: int = 1,
) -> np.ndarray:
    """Draw the result of any task over its image.

    Smaller masks are drawn over larger ones, so that none is hidden. Labels are in their masks, or near them with a
    line to the mask, and never overlap; if a crowded picture has no space left, the smallest masks get no label.

    Args:
        image: uint8 RGB (H, W, 3), not changed.
        result: the result of this image.
        opacity: opacity of the masks in 0..1.
        contours: whether to draw the borders of the masks.
        labels: whether to write names, scores (instances, prompts) and ids.
        palette: "default" or "colorblind".
        by: "class": one colour per class; "identity": one colour per thing, and paler ones for stuff; None: "identity"
            in videos and for prompts, else "class". Masks without a class always have a colour by id, semantic masks
            always by class.
        min_score: masks with a lower score are left out.
        legend: whether to list the colours in the lower left corner.
        zoom: how many times image and masks were enlarged before; narrow gaps between masks grew as much.

    Returns:
        uint8 RGB (H, W, 3), a new array.

    Raises:
        ValueError: the image has another type, shape or size, or `palette`, `by` or `opacity` is not valid.
    """
    _check(image, result, opacity, by)
    by = by or _usual(result)
    wanted = np.flatnonzero(np.asarray(result.scores) >= min_score)
    shapes = read_shapes(result.rles, wanted)
    colors = [segment_color(result, index, by, palette) for index in range(len(result.rles))]
    top = top_map(shapes, result.size)
    picture = tint(image, top, colors, opacity)
    if contours:
        edges = [edge_of(color) for color in colors]
        draw_outlines(picture, shapes, top, edges, line_width(*result.size), zoom)
    letters = font_size(*result.size, crowded=len(shapes) > _CROWDED)
    taken = []
    if legend:
        picture, box = draw_legend(picture, _entries(result, shapes, colors, by), letters)
        taken = [] if box is None else [box]
    if labels:
        captions = [
            Caption(texts, colors[shape.index], shape, seen)
            for shape in shapes
            if shape.area >= _SMALLEST * letters**2
            and (seen := _seen(shape, top)) is not None
            and (texts := _texts(result, shape.index, by))
        ]
        picture = write_plates(picture, place_labels(captions, result.size, letters, taken), letters)
    return picture


def _check(image: np.ndarray, result: Segments, opacity: float, by: str | None) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected a uint8 RGB image (H, W, 3), got {image.dtype} {image.shape}")
    if image.shape[:2] != tuple(result.size):
        raise ValueError(
            f"the image has the size {image.shape[:2]}, the result {tuple(result.size)} (height, width)"
        )
    if by not in (None, "class", "identity"):
        raise ValueError(f'by={by!r}: give "class", "identity" or None')
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity={opacity}: give a number from 0 to 1")


def _usual(result: Segments) -> str:
    return (
        "identity"
        if result.frame_index is not None or result.task in (Task.VOS, Task.INTERACTIVE, Task.EVERYTHING)
        else "class"
    )


def _is_thing(result: Segments, index: int) -> bool:
    label = int(result.labels[index])
    return label == NO_CLASS or result.vocabulary[label].is_thing


def _shows_identity(result: Segments, index: int, by: str) -> bool:
    if int(result.labels[index]) == NO_CLASS:
        return True
    return by == "identity" and result.task is not Task.SEMANTIC and _is_thing(result, index)


def segment_color(result: Segments, index: int, by: str, palette: str) -> Color:
    """The RGB colour that :func:`render` gives a segment.

    Args:
        result: the result.
        index: index of the segment.
        by: "class" or "identity".
        palette: "default" or "colorblind".
    """
    if _shows_identity(result, index, by):
        return identity_color(int(result.ids[index]), palette)
    color = category_color(result.vocabulary, int(result.labels[index]), palette)
    if by == "identity" and result.task is not Task.SEMANTIC:
        return tuple(round((1 - _MUTED) * value + _MUTED * _GREY) for value in color)
    return color


def _seen(shape: Shape, top: np.ndarray) -> np.ndarray:
    """The visible part of a mask, or the whole mask if others hide it completely; the label is placed there."""
    seen = visible_part(shape, top)
    return seen if seen.any() else shape.mask


def _name(result: Segments, index: int) -> str:
    label = int(result.labels[index])
    return "" if label == NO_CLASS else result.vocabulary[label].name.replace("_", " ")


def _texts(result: Segments, index: int, by: str) -> tuple[str, ...]:
    """The text of a label, and shorter versions of it."""
    name, number = _name(result, index), f"#{int(result.ids[index])}"
    if result.task in (Task.INTERACTIVE, Task.EVERYTHING) or (result.task is Task.INSTANCE and by == "class"):
        score = float(result.scores[index])
        full = f"{name} {score:.2f}" if score < 1 else name  # ground truth and given masks have no score
        return tuple(text for text in (full.strip(), name) if text)
    if _shows_identity(result, index, by):
        return (f"{name} {number}", number) if name else (number,)
    return (name,)


def _entries(
    result: Segments, shapes: Sequence[Shape], colors: Sequence[Color], by: str
) -> list[tuple[Color, str]]:
    """Lines of the legend: classes in the order of the vocabulary, objects by id."""
    lines = {}
    for index in sorted(
        (shape.index for shape in shapes), key=lambda i: (int(result.labels[i]), int(result.ids[i]))
    ):
        text = _name(result, index)
        if _shows_identity(result, index, by):
            text = f"{text} #{int(result.ids[index])}".strip()
        lines[text] = colors[index]
    return [(color, text) for text, color in lines.items()]
