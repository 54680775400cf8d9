"""Text: font, sizes, and small plates with writing on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from omgseg.visualization.palette import Color, edge_of, ink_on

_SMALLEST = 11  # pixels of height below which letters cannot be read
_SHARE = 0.022  # of the image's mean side


@lru_cache(maxsize=64)
def load_font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings along: Latin, Greek, Cyrillic and more, the same on every machine."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), size)


def font_size(height: int, width: int, crowded: bool = False) -> int:
    """Pixels; grows with the image: 11 at 128x128, 21 at 720p, 63 at 4K, a fifth less in crowded pictures."""
    return max(_SMALLEST, round(_SHARE * math.sqrt(height * width) * (0.8 if crowded else 1)))


@dataclass(frozen=True)
class Plate:
    """A plate with text.

    Attributes:
        text: what it says.
        color: of the plate; the letters are black or white, whichever is easier to read on it.
        box: (x1, y1, x2, y2) in pixels.
        pin: (x, y) of the place it belongs to, when a line has to lead there.
    """

    text: str
    color: Color
    box: tuple[int, int, int, int]
    pin: tuple[int, int] | None = None


def plate_size(text: str, size: int) -> tuple[int, int]:
    """(width, height) in pixels of the plate of a text."""
    font = load_font(size)
    ascent, descent = font.getmetrics()
    return math.ceil(font.getlength(text)) + 2 * padding(size), ascent + descent + padding(size) // 2


def padding(size: int) -> int:
    """Pixels left and right of text."""
    return max(2, round(0.28 * size))


def shorten(text: str, size: int, width: float) -> str:
    """The text, cut so that its plate is no wider than `width` pixels."""
    if plate_size(text, size)[0] <= width:
        return text
    while len(text) > 1 and plate_size(text + "…", size)[0] > width:
        text = text[:-1]
    return text.rstrip() + "…"


def write_plates(picture: np.ndarray, plates: Sequence[Plate], size: int) -> np.ndarray:
    """Draw plates of one font size: a copy of `picture`, uint8 RGB."""
    if not plates:
        return picture
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    font = load_font(size)
    ascent = font.getmetrics()[0]
    for plate in plates:
        if plate.pin is not None:
            _lead(draw, plate, max(1, size // 10))
    for plate in plates:
        x1, y1, x2, y2 = plate.box
        corners = (x1, y1, x2 - 1, y2 - 1)
        draw.rounded_rectangle(
            corners, max(2, size // 5), plate.color, edge_of(plate.color), max(1, size // 20)
        )
        draw.text(
            (x1 + padding(size), y1 + padding(size) // 4 + ascent),
            plate.text,
            font=font,
            fill=ink_on(plate.color),
            anchor="ls",
        )
    return np.array(image)


def _lead(draw: ImageDraw.ImageDraw, plate: Plate, width: int) -> None:
    """A line from the plate to its pin, with a dark rim that shows on masks of the same colour."""
    x1, y1, x2, y2 = plate.box
    x, y = plate.pin
    end = min(max(x, x1), x2 - 1), min(max(y, y1), y2 - 1)
    for color, more in (((20, 20, 20), 2), (plate.color, 0)):
        draw.line((x, y, *end), fill=color, width=width + more)
        radius = width + 1 + more // 2
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)
