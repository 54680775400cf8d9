"""The picture of a training run's values."""

import numpy as np
import pytest

from omgseg.visualization.curves import draw_curves, running_mean


def ink(picture: np.ndarray) -> int:
    return int((picture < 250).any(-1).sum())


def test_every_panel_with_values_is_drawn():
    rng = np.random.default_rng(0)
    loss = {"loss": 5 + rng.normal(0, 1, 1000)}
    one = draw_curves({"loss": loss}, last=1000, count=1000)
    assert one.dtype == np.uint8
    two = draw_curves({"loss": loss, "none": {"a": []}, "lr": {"lr": [1e-3, 1e-5]}}, last=1000, count=1000)
    assert two.shape == (one.shape[0], 2 * one.shape[1], 3)
    three = draw_curves({"loss": loss, "parts": {"a": [1], "b": [2]}, "lr": {"lr": [1]}}, last=9, count=9)
    assert three.shape == (2 * one.shape[0], 2 * one.shape[1], 3)
    smooth = draw_curves({"loss": loss}, last=1000, count=1000, noisy=["loss"])
    assert (smooth != one).any()


@pytest.mark.parametrize("values", [[3.0], [1.0, np.nan], [np.nan] * 100, [np.inf, 1.0, 0.0], [1e-9, 1e9]])
def test_short_and_broken_runs_are_drawn(values):
    assert (
        ink(draw_curves({"loss": {"loss": values}}, last=len(values), count=len(values), noisy=["loss"]))
        > 500
    )


def test_curves_end_at_the_last_iteration():
    early, late = (draw_curves({"loss": {"loss": [1.0, 2.0]}}, last=last, count=2) for last in (2, 2000))
    assert (early != late).any(), "the axis does not say which iterations they are"


def test_nothing_to_draw_is_said():
    with pytest.raises(ValueError, match="no curves"):
        draw_curves({"loss": {"loss": []}}, last=0, count=0)


def test_running_means_leave_out_what_is_not_finite():
    np.testing.assert_allclose(running_mean(np.array([1.0, 2, 6, 8]), 1), [1.5, 3, 16 / 3, 7])
    means = running_mean(np.array([1.0, np.nan, 3, np.nan, np.nan, np.nan]), 1)
    np.testing.assert_allclose(means[:4], [1, 2, 3, 3])
    assert np.isnan(means[5])
    assert running_mean(np.array([4.0, 5]), 0).tolist() == [4, 5]
