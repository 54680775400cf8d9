"""What the colours of a picture stand for."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

from omgseg.visualization.palette import Color
from omgseg.visualization.text import load_font, padding, plate_size, shorten

_HIGHEST, _WIDEST = 0.9, 0.5  # shares of the image that the legend may take
_PAPER = 0.85  # opacity of the white below it

Box = tuple[int, int, int, int]


def draw_legend(
    picture: np.ndarray, entries: Sequence[tuple[Color, str]], font: int
) -> tuple[np.ndarray, Box | None]:
    """Draw a legend into the lower left corner.

    Args:
        picture: uint8 RGB (H, W, 3).
        entries: colours and what they stand for, from the top; those beyond the room are counted in the last line.
        font: pixels of height.

    Returns:
        A copy, and the box (x1, y1, x2, y2) of the legend; the picture itself and None without entries.
    """
    height, width = picture.shape[:2]
    margin, line = padding(font), plate_size("", font)[1]
    rows = max(1, int((_HIGHEST * height - 4 * margin) // line))
    if not entries:
        return picture, None
    texts = [text for _, text in entries]
    if len(entries) > rows:
        left = len(entries) - rows + 1
        entries, texts = entries[: rows - 1], [*texts[: rows - 1], f"and {left} more"]
    texts = [shorten(text, font, _WIDEST * width) for text in texts]
    inner = line + max(plate_size(text, font)[0] for text in texts)
    x1, y2 = margin, height - margin
    x2, y1 = min(width, x1 + inner + 2 * margin), max(0, y2 - len(texts) * line - 2 * margin)
    picture = picture.copy()
    under = picture[y1:y2, x1:x2]
    cv2.addWeighted(under, 1 - _PAPER, np.full_like(under, 255), _PAPER, 0, dst=under)
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    for row, text in enumerate(texts):
        middle = y1 + margin + row * line + line / 2
        if row < len(entries):
            half = 0.36 * font
            left_end = x1 + margin
            draw.rectangle((left_end, middle - half, left_end + 2 * half, middle + half), entries[row][0])
        draw.text((x1 + line, middle), text, font=load_font(font), fill=(20, 20, 20), anchor="lm")
    return np.array(image), (x1, y1, x2, y2)
