"""Colours of classes and ids, which are the same in every picture and in every run."""

from __future__ import annotations

import zlib
from functools import lru_cache

import numpy as np

from omgseg.structures import Vocabulary

Color = tuple[int, int, int]

PALETTES = ("default", "colorblind")
SIZE = 48
"""Number of colours in a palette. If there are more classes or ids, some share a colour."""
_FIRST = 16  # number of very different colours at the start; names choose one of these
_LIGHTER, _DARKER = 0.6, 0.35  # shares of white and black in borders

# The first colours were chosen by hand. Each further one is the colour of a grid that is farthest (CIELAB) from all
# before it; the grid has no very dark, pale, grey or neon colours. "colorblind" begins with M. Okabe and K. Ito, "Color
# Universal Design", 2008, without black; its distance is the smallest for full colour vision, red and green blindness.
# tests/visualization/test_palette.py repeats the search.
_TABLES = {
    "default": """
    ff4757 2684ff ffc012 00be78 aa50ff 745d2e e8a2d1 00d1ff e817a2 8bd100 2e5d8b ffb98b
    ff7400 8b46a2 b9d174 17745d a22e5d 467400 00e85d ff8bff a24617 a2b9ff a28b17 74d1b9
    e80000 005dff d17474 d1d12e 008ba2 2ea217 b900b9 ff74b9 ffa246 ff0074 8b5d8b b98be8
    00a2ff b91717 74a274 ff5dff 8ba217 ff7446 8b5d00 a274ff 465db9 2e8b46 8b4646 e8b95d
    """,
    "colorblind": """
    e69f00 56b4e9 009e73 f0e442 0072b2 d55e00 cc79a7 002ed1 8bffa2 8b2e17 742e5d 46ffff
    7474ff ff005d 74ffd1 ffa25d 4646b9 5da2ff a2008b 00d18b a21746 ffe874 a24600 5dd1e8
    175dff 74d1b9 ff4646 178b8b 2e74d1 00d15d d1d146 ff0074 008bb9 5dd1d1 b94646 5dffe8
    e88b2e 74ffb9 4646d1 8b742e 008b74 ffa28b 005d8b ffd18b 2e8bd1 8b2e2e 74d1ff 7400a2
    """,
}


@lru_cache
def palette_colors(palette: str = "default") -> tuple[Color, ...]:
    """The colours of a palette; the first ones are the easiest to distinguish.

    Args:
        palette: "default"; or "colorblind": the colours of Okabe and Ito and further ones that people with red or green
            blindness can distinguish.

    Raises:
        ValueError: the palette is unknown.
    """
    if palette not in PALETTES:
        raise ValueError(f"unknown palette {palette!r}; give {' or '.join(PALETTES)}")
    return tuple(tuple(bytes.fromhex(color)) for color in _TABLES[palette].split())


def identity_color(identity: int, palette: str = "default") -> Color:
    """RGB colour of an object id, from 1."""
    return palette_colors(palette)[(identity - 1) % SIZE]


def category_color(vocabulary: Vocabulary, label: int, palette: str = "default") -> Color:
    """RGB colour of a class.

    The default palette uses the colour of the class's dataset if there is one. Otherwise a hash of the name chooses a
    colour, or the next one that no earlier class of the vocabulary has. So classes share a colour only in vocabularies
    of more than :data:`SIZE` words, and words that are added at the end change no colours before them.

    Raises:
        IndexError: the vocabulary does not have the label.
    """
    if not 0 <= label < len(vocabulary):
        raise IndexError(f"label {label} is not in the vocabulary of {len(vocabulary)} categories")
    return _category_colors(vocabulary, palette)[label]


@lru_cache(maxsize=32)
def _category_colors(vocabulary: Vocabulary, palette: str) -> tuple[Color, ...]:
    colors: list[Color] = []
    taken: set[int] = set()
    for category in vocabulary:
        if palette == "default" and category.color is not None:
            colors.append(tuple(category.color))
            continue
        slot = zlib.crc32(category.name.encode()) % _FIRST
        while slot in taken:
            slot = (slot + 1) % SIZE
        taken.add(slot)
        if len(taken) == SIZE:
            taken.clear()
        colors.append(palette_colors(palette)[slot])
    return tuple(colors)


def ink_on(color: Color) -> Color:
    """Black or white, whichever has the higher contrast on a colour (contrast ratio of WCAG 2.2)."""
    luminance = float(_linear(np.array(color)) @ (0.2126, 0.7152, 0.0722))
    return (0, 0, 0) if (luminance + 0.05) ** 2 > 0.05 * 1.05 else (255, 255, 255)


def edge_of(color: Color) -> Color:
    """The colour of borders: a lighter shade of a dark colour, a darker one of a light colour."""
    ink = ink_on(color)
    share = _LIGHTER if ink == (255, 255, 255) else _DARKER
    return tuple(round((1 - share) * value + share * other) for value, other in zip(color, ink, strict=True))


def _linear(colors: np.ndarray) -> np.ndarray:
    """Linear RGB in 0..1 of sRGB in 0..255."""
    values = np.asarray(colors, float) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
