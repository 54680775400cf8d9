"""Colours: stable, different, readable, and different for colour-blind people as well."""

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
