"""Colours: stable, different, readable, and different for colour-blind people as well."""

import cv2
import numpy as np
import pytest

from omgseg.structures import Category, Vocabulary
from omgseg.visualization.palette import (
    PALETTES,
    SIZE,
    category_color,
    edge_of,
    identity_color,
    ink_on,
    palette_colors,
)

NAMES = ["cat", "dog", "car", "tree", "sky", "road", "person", "horse", "boat", "train"]
# Linear RGB to what people without green see, after F. Vienot et al., "Digital video colourmaps for checking the
# legibility of displays by dichromats", 1999: another model than the one the palette was made with.
WITHOUT_GREEN = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]]).T


def closest(colors: np.ndarray) -> float:
    distances = np.linalg.norm(colors[:, None] - colors[None], axis=-1)
    return distances[~np.eye(len(colors), dtype=bool)].min()


@pytest.mark.parametrize("palette", PALETTES)
def test_colours_of_a_palette_differ_the_first_ones_clearly(palette):
    colors = palette_colors(palette)
    assert len(set(colors)) == len(colors) == SIZE
    assert closest(np.array(colors[:12], float)) > 60
    assert closest(np.array(colors, float)) > 15


def test_the_colourblind_palette_begins_with_okabe_and_ito_and_is_told_apart_without_green():
    assert palette_colors("colorblind")[:3] == ((230, 159, 0), (86, 180, 233), (0, 158, 115))

    def seen(palette: str) -> float:
        return closest(255 * (np.array(palette_colors(palette)[:24]) / 255) ** 2.2 @ WITHOUT_GREEN)

    assert seen("default") < 4
    assert seen("colorblind") > 10


def test_identities_keep_their_colour_and_neighbours_differ():
    colors = np.array([identity_color(number) for number in range(1, 30)], int)
    assert np.abs(colors[1:] - colors[:-1]).sum(1).min() > 100
    assert identity_color(1) == palette_colors()[0] == identity_color(1 + SIZE)
    assert identity_color(1_000_000 + 3)


def test_a_class_keeps_its_colour_when_others_are_added():
    small, large = (Vocabulary.from_names(NAMES[:count]) for count in (5, 10))
    assert [category_color(small, label) for label in range(5)] == [
        category_color(large, label) for label in range(5)
    ]
    assert len({category_color(large, label) for label in range(10)}) == 10
    huge = Vocabulary.from_names([f"kind {number}" for number in range(3 * SIZE)])
    assert len({category_color(huge, label) for label in range(SIZE)}) == SIZE
    assert category_color(huge, 3 * SIZE - 1)


def test_datasets_own_colours_are_used_unless_they_may_be_confused():
    vocabulary = Vocabulary([Category("grass", False, color=(0, 200, 0))])
    assert category_color(vocabulary, 0) == (0, 200, 0)
    assert category_color(vocabulary, 0, "colorblind") in palette_colors("colorblind")
    with pytest.raises(IndexError, match="label 1 is not in the vocabulary of 1"):
        category_color(vocabulary, 1)


def test_letters_and_borders_contrast_with_their_colour():
    assert ink_on((240, 228, 66)) == (0, 0, 0)
    assert ink_on((0, 60, 140)) == (255, 255, 255)
    assert sum(edge_of((240, 228, 66))) < 240 + 228 + 66
    assert sum(edge_of((0, 60, 140))) > 200


# M. Okabe and K. Ito, "Color Universal Design", 2008; without black, which masks would lose in shadows.
OKABE_ITO = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
VIVID = (
    (255, 71, 87),
    (38, 132, 255),
    (255, 192, 18),
    (0, 190, 120),
    (170, 80, 255),
)  # the first of "default"

# Linear RGB as dichromats see it: G. Machado et al., "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", 2009, severity 1.0.
PROTANOPIA = (
    (0.152286, 1.052583, -0.204868),
    (0.114503, 0.786281, 0.099216),
    (-0.003882, -0.048116, 1.051998),
)
DEUTERANOPIA = (
    (0.367322, 0.860646, -0.227968),
    (0.280085, 0.672501, 0.047413),
    (-0.011820, 0.042940, 0.968881),
)


def searched_colors(palette: str) -> tuple[tuple[int, ...], ...]:
    """The search that made the tables."""
    levels = np.linspace(0, 255, 12).round()
    candidates = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    lightness, chroma = lightness_and_chroma(candidates)
    # neither as dark as shadows nor as pale as the sky, neither grey like concrete nor neon; without red or green,
    # people tell colours apart by their lightness, so that palette has more of it
    darkest, palest = (30, 92) if palette == "colorblind" else (38, 82)
    candidates = candidates[(lightness > darkest) & (lightness < palest) & (chroma > 30) & (chroma < 100)]
    colors = OKABE_ITO if palette == "colorblind" else VIVID
    return spread(candidates, colors, SIZE, seen_by_all if palette == "colorblind" else lab)


def spread(
    candidates: np.ndarray, start: tuple[tuple[int, ...], ...], count: int, coordinates
) -> tuple[tuple[int, ...], ...]:
    """`start`, continued with the candidate that is farthest from all colours so far, again and again."""
    colors = [tuple(color) for color in start]
    places = coordinates(candidates)
    nearest = np.full(len(candidates), np.inf)
    for place in coordinates(np.array(colors, float)):
        nearest = np.minimum(nearest, distance(places, place))
    while len(colors) < count:
        best = int(nearest.argmax())
        colors.append(tuple(int(value) for value in candidates[best]))
        nearest = np.minimum(nearest, distance(places, places[best]))
    return tuple(colors)


def distance(places: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Smallest distance over the kinds of vision; places (N, kinds, 3), place (kinds, 3)."""
    return np.sqrt(np.square(places - place).sum(-1)).min(-1)


def lab(colors: np.ndarray) -> np.ndarray:
    """CIELAB (N, 1, 3) of RGB (N, 3) in 0..255."""
    return cv2.cvtColor((colors[:, None] / 255).astype(np.float32), cv2.COLOR_RGB2LAB)


def seen_by_all(colors: np.ndarray) -> np.ndarray:
    """CIELAB (N, 3, 3) as seen with full colour vision, without red and without green."""
    intensity = linear(colors)
    seen = [lab(colors)]
    for matrix in (PROTANOPIA, DEUTERANOPIA):
        simulated = np.clip(intensity @ np.array(matrix).T, 0, 1)
        encoded = np.where(simulated <= 0.0031308, 12.92 * simulated, 1.055 * simulated ** (1 / 2.4) - 0.055)
        seen.append(lab(255 * encoded))
    return np.concatenate(seen, axis=1)


def lightness_and_chroma(colors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values = lab(colors)[:, 0]
    return values[:, 0], np.hypot(values[:, 1], values[:, 2])


def linear(colors: np.ndarray) -> np.ndarray:
    """Linear RGB in 0..1 of sRGB in 0..255."""
    values = np.asarray(colors, float) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("palette", PALETTES)
def test_the_tables_are_what_the_search_gives(palette):
    assert palette_colors(palette) == searched_colors(palette)
