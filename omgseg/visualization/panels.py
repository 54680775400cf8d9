"""Several pictures in one: side by side with titles, and the frames of a video on one sheet."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

from omgseg.visualization.canvas import load_font, zoom_for

_GAP = 6
_BACKGROUND = 255


def enlarge(image: np.ndarray) -> np.ndarray:
    """The image in the size in which results on it are drawn."""
    height, width = image.shape[:2]
    zoom = zoom_for(height, width)
    return cv2.resize(image, (width * zoom, height * zoom), interpolation=cv2.INTER_LINEAR)


def panels(pictures: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
    """Pictures side by side, each under its title.

    Args:
        pictures: (title, uint8 RGB image); images may differ in size, small ones are enlarged as results are.

    Returns:
        uint8 RGB.

    Raises:
        ValueError: there are no pictures.
    """
    if not pictures:
        raise ValueError("no pictures to put side by side")
    images = [enlarge(image) for _, image in pictures]
    tallest = max(image.shape[0] for image in images)
    bar = max(22, tallest // 20)
    width = sum(image.shape[1] for image in images) + _GAP * (len(images) - 1)
    sheet = np.full((bar + tallest, width, 3), _BACKGROUND, np.uint8)
    starts = []
    x = 0
    for image in images:
        sheet[bar : bar + image.shape[0], x : x + image.shape[1]] = image
        starts.append(x)
        x += image.shape[1] + _GAP
    picture = Image.fromarray(sheet)
    draw = ImageDraw.Draw(picture)
    for start, (title, _) in zip(starts, pictures, strict=True):
        draw.text((start + 4, bar // 2), title, font=load_font(int(bar * 0.66)), fill=(0, 0, 0), anchor="lm")
    return np.asarray(picture)


def contact_sheet(frames: Sequence[np.ndarray], columns: int = 3, max_frames: int = 9) -> np.ndarray:
    """Frames of a video on one sheet, row by row.

    Args:
        frames: uint8 RGB images of one size.
        columns: pictures in a row.
        max_frames: if there are more, so many are taken at equal distances, the first and the last included.

    Returns:
        uint8 RGB.

    Raises:
        ValueError: there are no frames.
    """
    if not len(frames):
        raise ValueError("no frames to show")
    chosen = np.linspace(0, len(frames) - 1, min(max_frames, len(frames))).round().astype(int)
    columns = min(columns, len(chosen))
    rows = -(-len(chosen) // columns)
    height, width = frames[0].shape[:2]
    size = (rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3)
    sheet = np.full(size, _BACKGROUND, np.uint8)
    for place, index in enumerate(chosen):
        y, x = (place // columns) * (height + _GAP), (place % columns) * (width + _GAP)
        sheet[y : y + height, x : x + width] = frames[index]
    return sheet
