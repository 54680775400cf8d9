"""Colours: stable for a class in every picture of a vocabulary, and for an identity in every frame and every run."""

from __future__ import annotations

import zlib
from functools import lru_cache

import cv2
import numpy as np

from omgseg.structures import Vocabulary

Color = tuple[int, int, int]

PALETTES = ("default", "colorblind")
SIZE = 48
"""Colours in a palette. More classes or identities than that share some."""
_FIRST = 16  # of them are very different; names choose among these, so that small vocabularies look clear
_LIGHTER, _DARKER = 0.6, 0.35  # shares of white and black in borders

# M. Okabe and K. Ito, "Color Universal Design", 2008; without black, which masks would lose in shadows.
_OKABE_ITO = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
_VIVID = (
    (255, 71, 87),
    (38, 132, 255),
    (255, 192, 18),
    (0, 190, 120),
    (170, 80, 255),
)  # the first of "default"

# Linear RGB as dichromats see it: G. Machado et al., "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", 2009, severity 1.0.
_PROTANOPIA = (
    (0.152286, 1.052583, -0.204868),
    (0.114503, 0.786281, 0.099216),
    (-0.003882, -0.048116, 1.051998),
)
_DEUTERANOPIA = (
    (0.367322, 0.860646, -0.227968),
    (0.280085, 0.672501, 0.047413),
    (-0.011820, 0.042940, 0.968881),
)


@lru_cache
def palette_colors(palette: str = "default") -> tuple[Color, ...]:
    """The colours of a palette; any few from its start are easy to tell apart.

    Args:
        palette: "default", or "colorblind": the colours of Okabe and Ito, continued so that people with red or green
            blindness tell them apart as well.

    Raises:
        ValueError: there is no such palette.
    """
    if palette not in PALETTES:
        raise ValueError(f"palette {palette!r} is unknown; choose one of {', '.join(PALETTES)}")
    levels = np.linspace(0, 255, 12).round()
    candidates = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    lightness, chroma = _lightness_and_chroma(candidates)
    # neither as dark as shadows nor as pale as the sky, neither grey like concrete nor neon; without red or green,
    # people tell colours apart by their lightness, so that palette has more of it
    darkest, palest = (30, 92) if palette == "colorblind" else (38, 82)
    candidates = candidates[(lightness > darkest) & (lightness < palest) & (chroma > 30) & (chroma < 100)]
    colors = _OKABE_ITO if palette == "colorblind" else _VIVID
    return _spread(candidates, colors, SIZE, _seen_by_all if palette == "colorblind" else _lab)


def identity_color(identity: int, palette: str = "default") -> Color:
    """RGB colour of an object number, from 1."""
    return palette_colors(palette)[(identity - 1) % SIZE]


def category_color(vocabulary: Vocabulary, label: int, palette: str = "default") -> Color:
    """RGB colour of a class.

    In the default palette it is the class's own where its dataset defines one. Otherwise its name chooses a colour, and
    takes the next free one when an earlier class of the vocabulary has it: two classes share a colour only in
    vocabularies of more than :data:`SIZE`, and few colours change when words are added at the end.

    Raises:
        IndexError: the vocabulary has no such label.
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
    """Black or white, whichever is easier to read on a colour (contrast ratio of WCAG 2.2)."""
    luminance = float(_linear(np.array(color)) @ (0.2126, 0.7152, 0.0722))
    return (0, 0, 0) if (luminance + 0.05) ** 2 > 0.05 * 1.05 else (255, 255, 255)


def edge_of(color: Color) -> Color:
    """A lighter shade of a dark colour, a darker one of a light colour: borders that show on the colour itself."""
    ink = ink_on(color)
    share = _LIGHTER if ink == (255, 255, 255) else _DARKER
    return tuple(round((1 - share) * value + share * other) for value, other in zip(color, ink, strict=True))


def _spread(candidates: np.ndarray, start: tuple[Color, ...], count: int, coordinates) -> tuple[Color, ...]:
    """`start`, continued with the candidate that is farthest from all colours so far, again and again."""
    colors = [tuple(color) for color in start]
    places = coordinates(candidates)
    nearest = np.full(len(candidates), np.inf)
    for place in coordinates(np.array(colors, float)):
        nearest = np.minimum(nearest, _distance(places, place))
    while len(colors) < count:
        best = int(nearest.argmax())
        colors.append(tuple(int(value) for value in candidates[best]))
        nearest = np.minimum(nearest, _distance(places, places[best]))
    return tuple(colors)


def _distance(places: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Smallest distance over the kinds of vision; places (N, kinds, 3), place (kinds, 3)."""
    return np.sqrt(np.square(places - place).sum(-1)).min(-1)


def _lab(colors: np.ndarray) -> np.ndarray:
    """CIELAB (N, 1, 3) of RGB (N, 3) in 0..255."""
    return cv2.cvtColor((colors[:, None] / 255).astype(np.float32), cv2.COLOR_RGB2LAB)


def _seen_by_all(colors: np.ndarray) -> np.ndarray:
    """CIELAB (N, 3, 3) as seen with full colour vision, without red and without green."""
    linear = _linear(colors)
    seen = [_lab(colors)]
    for matrix in (_PROTANOPIA, _DEUTERANOPIA):
        simulated = np.clip(linear @ np.array(matrix).T, 0, 1)
        encoded = np.where(simulated <= 0.0031308, 12.92 * simulated, 1.055 * simulated ** (1 / 2.4) - 0.055)
        seen.append(_lab(255 * encoded))
    return np.concatenate(seen, axis=1)


def _lightness_and_chroma(colors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lab = _lab(colors)[:, 0]
    return lab[:, 0], np.hypot(lab[:, 1], lab[:, 2])


def _linear(colors: np.ndarray) -> np.ndarray:
    """Linear RGB in 0..1 of sRGB in 0..255."""
    values = np.asarray(colors, float) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
