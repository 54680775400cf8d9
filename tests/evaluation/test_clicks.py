"""Simulated clicks."""

import numpy as np

from omgseg.evaluation.functional.interactive import next_click, number_of_clicks


def box(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((40, 60), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_the_deepest_error_is_clicked_in_its_middle():
    truth = box(10, 10, 31, 31)
    assert next_click(truth, np.zeros_like(truth)) == (20, 20, True)
    assert next_click(truth, truth | box(40, 5, 55, 20)) == (47, 12, False)
    # a thin miss of more pixels against a deep excess of fewer: depth decides
    thin = truth & ~box(10, 10, 31, 13)
    assert not next_click(truth, thin | box(45, 20, 52, 27)).positive


def test_equal_masks_need_no_click():
    truth = box(10, 10, 31, 31)
    assert next_click(truth, truth) is None
    assert next_click(np.zeros_like(truth), np.zeros_like(truth)) is None


def test_the_border_is_an_edge():
    everything = np.ones((40, 60), bool)
    click = next_click(everything, np.zeros_like(everything))
    assert 15 <= click.x <= 44 and click.y in (19, 20)


def test_the_number_of_clicks_to_reach_an_overlap():
    union = np.full((3, 4), 100)
    intersection = np.array([[10, 85, 80, 99], [90, 90, 90, 90], [0, 0, 84, 84]])
    assert number_of_clicks(intersection, union, 85) == (2 + 1 + 4) / 3
    assert number_of_clicks(intersection, union, 90) == (4 + 1 + 4) / 3
