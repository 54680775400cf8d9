"""Several clicks on one object."""

import numpy as np
import pytest

from omgseg.models.readout.clicks import REACH, refine_mask


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


def test_the_clicked_pixel_always_obeys():
    empty = np.zeros((80, 80), bool)
    assert refine_mask(empty, empty, (5, 5), positive=True)[5, 5]
    assert not refine_mask(~empty, empty, (5, 5), positive=False)[5, 5]
