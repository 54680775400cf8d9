"""Several pictures in one: side by side with titles, and the frames of a video on one sheet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from omgseg.visualization.text import load_font, shorten

_GAP = 6
_PAPER, _INK = 255, (30, 30, 30)


def side_by_side(images: Iterable[np.ndarray], titles: Iterable[str]) -> np.ndarray:
    """Pictures in a row, each under its title.

    Args:
        images: uint8 RGB (H, W, 3), of any sizes; they are aligned at the top.
        titles: one each, cut where the image is narrower.

    Returns:
        uint8 RGB.

    Raises:
        ValueError: there are no images, or not as many titles.
    """
    images, titles = list(images), list(titles)
    if not images:
        raise ValueError("no images to put side by side")
    if len(images) != len(titles):
        raise ValueError(f"{len(images)} images with {len(titles)} titles")
    tallest = max(image.shape[0] for image in images)
    bar = max(22, tallest // 20)
    letters = round(0.6 * bar)
    width = sum(image.shape[1] for image in images) + _GAP * (len(images) - 1)
    sheet = np.full((bar + tallest, width, 3), _PAPER, np.uint8)
    starts = np.cumsum([0] + [image.shape[1] + _GAP for image in images])
    for x, image in zip(starts, images, strict=False):
        sheet[bar : bar + image.shape[0], x : x + image.shape[1]] = image
    picture = Image.fromarray(sheet)
    draw = ImageDraw.Draw(picture)
    for x, image, title in zip(starts, images, titles, strict=False):
        title = shorten(title, letters, image.shape[1])
        draw.text((int(x) + 4, bar // 2), title, font=load_font(letters), fill=_INK, anchor="lm")
    return np.array(picture)


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
    sheet = np.full(size, _PAPER, np.uint8)
    for place, index in enumerate(chosen):
        y, x = (place // columns) * (height + _GAP), (place % columns) * (width + _GAP)
        sheet[y : y + height, x : x + width] = frames[index]
    return sheet
