"""Labels lie in their masks or near them, inside of the picture, and never over each other."""

import numpy as np
import pytest

from omgseg.visualization.labels import Caption, font_size, place_labels, plate_size, shorten
from omgseg.visualization.paint import Shape

RED = (200, 0, 0)


def caption(box, *texts: str, hole=None) -> Caption:
    x1, y1, x2, y2 = box
    mask = np.ones((y2 - y1, x2 - x1), np.uint8)
    if hole is not None:
        mask[hole] = 0
    return Caption(texts, RED, Shape(0, x1, y1, mask, int(mask.sum())), mask)


def overlaps(a, b) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def crowd(size, count, seed) -> list[Caption]:
    rng = np.random.default_rng(seed)
    captions = []
    for number in range(count):
        height, width = rng.integers(3, max(4, size[0] // 5)), rng.integers(3, max(4, size[1] // 5))
        y, x = rng.integers(0, size[0] - height), rng.integers(0, size[1] - width)
        captions.append(caption((x, y, x + width, y + height), f"object {number} 0.50", f"object {number}"))
    return captions


@pytest.mark.parametrize(("size", "count"), [((720, 1280), 100), ((128, 128), 12), ((480, 640), 40)])
def test_labels_of_a_crowded_picture_do_not_cover_each_other(size, count):
    font = font_size(*size, crowded=count > 25)
    captions = crowd(size, count, seed=count)
    taken = [(0, size[0] - 40, 60, size[0])]
    plates = place_labels(captions, size, font, taken)
    assert len(plates) >= (0.7 * count if size[0] > 128 else 3)
    boxes = [plate.box for plate in plates]
    for index, box in enumerate(boxes):
        assert 0 <= box[0] < box[2] <= size[1]
        assert 0 <= box[1] < box[3] <= size[0]
        assert not any(overlaps(box, other) for other in boxes[:index] + taken)


def test_a_label_that_fits_lies_in_its_mask_and_in_the_larger_part_of_it():
    hole = (slice(None), slice(0, 150))
    (plate,) = place_labels([caption((100, 100, 500, 300), "cat", hole=hole)], (400, 600), 16)
    assert plate.pin is None
    x1, y1, x2, y2 = plate.box
    assert 250 <= x1 < x2 <= 500
    assert 100 <= y1 < y2 <= 300
    assert abs((x1 + x2) / 2 - 375) < 60


def test_where_the_middle_is_taken_the_label_moves_along_inside_of_its_mask():
    band = (0, 190, 600, 215)
    (plate,) = place_labels([caption(band, "road")], (400, 600), 16, taken=[(120, 150, 480, 260)])
    assert 190 <= plate.box[1] < plate.box[3] <= 215
    assert plate.box[2] <= 120 or plate.box[0] >= 480


def test_the_label_of_a_small_mask_lies_beside_it():
    box = (300, 200, 312, 212)
    (plate,) = place_labels([caption(box, "mouse 0.93")], (400, 600), 16)
    assert not overlaps(plate.box, box)
    assert abs((plate.box[0] + plate.box[2]) / 2 - 306) < 60
    assert abs((plate.box[1] + plate.box[3]) / 2 - 206) < 40
    assert plate.pin is not None, "nothing says what the label belongs to"


def test_a_small_neighbour_is_not_hidden():
    small = (390, 195, 410, 205)
    large = caption((200, 100, 600, 300), "table")
    first, _ = place_labels([large, caption(small, "fork")], (400, 800), 16)
    assert first.text == "table"
    assert not overlaps(first.box, small)


def test_without_room_the_text_gets_shorter_and_then_goes():
    font, size = 12, (26, 90)
    both = caption((0, 0, 90, 26), "hippopotamus 0.97", "hippo")
    (plate,) = place_labels([both], size, font)
    assert plate.text == "hippo", "the short text is taken where labels would fill the picture"
    assert place_labels([both], size, font, taken=[(0, 0, 90, 26)]) == []
    assert place_labels([both], (8, 8), font) == []


def test_long_names_are_cut():
    assert shorten("cat", 16, 200) == "cat"
    short = shorten("a very long name of a category", 16, 100)
    assert short.endswith("…")
    assert plate_size(short, 16)[0] <= 100
