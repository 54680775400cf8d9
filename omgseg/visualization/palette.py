"""Colours: one an identity, the same in every frame and every run; one a category."""

from __future__ import annotations

import colorsys
import zlib

from omgseg.structures import Vocabulary

Color = tuple[int, int, int]

VOID: Color = (40, 40, 40)
_GOLDEN_RATIO = 0.6180339887498949
_SHADES = ((0.85, 1.0), (0.6, 0.95), (0.95, 0.8))  # saturation, value


def identity_color(identity: int) -> Color:
    """RGB colour of an object number. Consecutive numbers are far apart on the colour wheel (golden ratio steps)."""
    hue = (identity * _GOLDEN_RATIO) % 1.0
    saturation, value = _SHADES[identity % len(_SHADES)]
    return _rgb(hue, saturation, value)


def name_color(name: str) -> Color:
    """RGB colour of a category name, paler than those of identities."""
    code = zlib.crc32(name.encode())
    return _rgb((code & 0xFFFF) / 0xFFFF, 0.35 + 0.2 * ((code >> 16 & 0xFF) / 0xFF), 0.9)


def category_color(vocabulary: Vocabulary, label: int) -> Color:
    """RGB colour of a class: its own where the vocabulary has one, that of its name otherwise; void outside of it."""
    if not 0 <= label < len(vocabulary):
        return VOID
    category = vocabulary[label]
    return tuple(category.color) if category.color is not None else name_color(category.name)


def _rgb(hue: float, saturation: float, value: float) -> Color:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)
