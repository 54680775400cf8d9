import numpy as np
import pytest

pytest.importorskip("gradio", reason="Gradio is not installed (omgseg[web])")

from dataclasses import replace

from pycocotools import mask as coco_mask

from omgseg.inference.results import SegmentationResult
from omgseg.web.clicks import LONGEST_VIEW, Clicks, Step, draw_view, resized, view_scale


def result_of(mask: np.ndarray) -> SegmentationResult:
    return SegmentationResult(
        "interactive", mask.shape, [coco_mask.encode(np.asfortranarray(mask))], [-1], [0.9]
    )


def test_undo_takes_back_corners_before_steps():
    result = result_of(np.ones((4, 4), np.uint8))
    clicks = Clicks("a.png", 1, (Step(result, point=(1, 2, 1)), Step(result, point=(3, 3, 0))), corner=(0, 0))
    clicks = clicks.undone()
    assert clicks.corner is None and clicks.points == [(1, 2, 1), (3, 3, 0)]
    assert clicks.undone().points == [(1, 2, 1)]
    assert clicks.undone().undone().undone().result is None


def test_a_box_has_an_area_and_its_corners_come_in_any_order():
    clicks = Clicks("a.png", corner=(5, 9))
    assert clicks.box_to(2, 4) == (2, 4, 5, 9)
    assert clicks.box_to(5, 4) is None and clicks.box_to(2, 9) is None


@pytest.mark.parametrize(
    ("size", "side"), [((100, 50), 700), ((900, 700), 900), ((4000, 3000), LONGEST_VIEW)]
)
def test_pictures_are_shown_neither_tiny_nor_huge(size, side):
    picture = np.zeros((*size, 3), np.uint8)
    assert max(resized(picture, view_scale(*size)).shape) == side


def test_the_view_shows_mask_and_prompts_where_they_are():
    mask = np.zeros((50, 100), np.uint8)
    mask[10:30, 20:60] = 1
    clicks = Clicks("a.png", view_scale(50, 100), (Step(result_of(mask), point=(40, 20, 1)),))
    view = resized(np.full((50, 100, 3), 128, np.uint8), clicks.scale)
    drawn = draw_view(view, clicks)
    assert (drawn[15 * 7, 25 * 7] != 128).any() and (drawn[5 * 7, 5 * 7] == 128).all()
    red, green, blue = drawn[20 * 7, 40 * 7].tolist()
    assert green > red and green > blue
    added = replace(clicks, steps=(*clicks.steps, Step(clicks.result, point=(80, 40, 0))))
    red, green, blue = draw_view(view, added)[40 * 7, 80 * 7].tolist()
    assert red > green and red > blue
    assert (view == 128).all()
