"""Several clicks on one object."""

import numpy as np
import pytest

from omgseg.models.mask_queries.refine import REACH, refine_mask


def disc(x: int, y: int, radius: float, size: int = 80) -> np.ndarray:
    rows, columns = np.ogrid[:size, :size]
    return np.hypot(columns - x, rows - y) < radius


OBJECT, LOBE = disc(24, 40, 16), disc(50, 40, 10)


def test_an_excess_goes_as_the_clicks_own_mask_says():
    refined = refine_mask(OBJECT | LOBE, LOBE, (50, 40), positive=False)
    assert not (refined & LOBE).any()
    assert (refined >= (OBJECT & ~LOBE)).all()


def test_a_click_whose_mask_is_the_whole_object_removes_the_disc_only():
    """The model has found again what is there; all of it would go."""
    whole = OBJECT | LOBE
    refined = refine_mask(whole, whole, (50, 40), positive=False)
    assert (refined & OBJECT & ~disc(50, 40, 11)).sum() == (OBJECT & ~disc(50, 40, 11)).sum()
    assert not refined[40, 50] and (whole & ~refined).sum() > 0.8 * LOBE.sum()


def test_what_is_missing_comes_but_no_neighbour_beyond_reach():
    missing, bridge, neighbour = disc(46, 40, 7), np.zeros((80, 80), bool), disc(70, 40, 8)
    bridge[39:42, 46:70] = True
    refined = refine_mask(OBJECT, missing | bridge | neighbour, (46, 40), positive=True)
    assert (refined >= (OBJECT | missing)).all()
    rows, columns = np.nonzero(refined & ~OBJECT)
    reach = REACH * (46 - 24 - 16 + 1)
    assert np.hypot(columns - 46, rows - 40).max() <= reach
    assert not refined[40, 70]


@pytest.mark.parametrize("positive", [True, False])
def test_a_click_that_says_what_the_mask_says_changes_nothing(positive):
    mask = OBJECT if positive else ~OBJECT
    assert refine_mask(mask, LOBE, (24, 40), positive) is mask


@pytest.mark.parametrize("point", [(3, 40), (76, 40), (40, 3), (40, 76), (30, 33)])
def test_reach_is_measured_to_the_nearest_edge_or_border(point):
    """The click's own mask is all that is missing: what comes is the disc of the reach."""
    x, y = point
    missing = disc(40, 40, 50) & ~disc(60, 20, 9) & ~disc(20, 64, 5)
    rows, columns = np.nonzero(~np.pad(missing, 1))
    distance = np.hypot(columns - 1 - x, rows - 1 - y).min()
    away = np.hypot(*np.ogrid[-y : 80 - y, -x : 80 - x])
    refined = refine_mask(~missing, missing, point, positive=True)
    assert np.array_equal(refined & missing, missing & (away <= REACH * distance + 1e-9))
    assert refined[~missing].all()


def test_parts_that_touch_at_a_corner_are_not_connected():
    mask, click_mask = np.zeros((2, 80, 80), bool)
    click_mask[36:40, 36:40] = click_mask[40:44, 40:44] = True
    mask[30:34, 38] = True
    refined = refine_mask(mask, click_mask, (38, 38), positive=True)
    assert refined[36, 36] and not refined[43, 43]


def test_the_clicked_pixel_always_obeys():
    empty = np.zeros((80, 80), bool)
    assert refine_mask(empty, empty, (5, 5), positive=True)[5, 5]
    assert not refine_mask(~empty, empty, (5, 5), positive=False)[5, 5]
