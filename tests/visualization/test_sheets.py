"""Several pictures in one, and marks of prompts."""

import numpy as np
import pytest

from omgseg.visualization import contact_sheet, draw_boxes, draw_clicks, side_by_side
from omgseg.visualization.palette import identity_color

GREY = np.full((300, 480, 3), 100, np.uint8)


def test_side_by_side_has_titles_above_the_untouched_images():
    sheet = side_by_side([GREY, np.zeros((320, 400, 3), np.uint8)], ["input", "ground truth" * 20])
    assert sheet.shape[1] == 480 + 6 + 400
    bar = sheet.shape[0] - 320
    np.testing.assert_array_equal(sheet[bar : bar + 300, :480], GREY)
    np.testing.assert_array_equal(sheet[bar:, 486:], 0)
    assert (sheet[:bar, :100] < 128).any(), "no title"
    assert (sheet[:bar, 480:486] == 255).all()
    with pytest.raises(ValueError, match="no images"):
        side_by_side([], [])
    with pytest.raises(ValueError, match="1 images with 2 titles"):
        side_by_side([GREY], ["a", "b"])


def test_contact_sheets_show_the_first_and_the_last_frame():
    frames = [np.full((10, 20, 3), 10 * index, np.uint8) for index in range(20)]
    grid = contact_sheet(frames, columns=3, max_frames=6)
    assert grid.shape == (10 * 2 + 6, 20 * 3 + 2 * 6, 3)
    assert grid[0, 0, 0] == 0
    assert grid[-1, -1, 0] == 190
    with pytest.raises(ValueError, match="no frames"):
        contact_sheet([])


def test_prompts_are_marked_in_the_colours_of_their_masks():
    clicked = draw_clicks(GREY, np.array([[100.0, 50.0], [300.0, 200.0]]))
    np.testing.assert_array_equal(clicked[50, 100], identity_color(1))
    np.testing.assert_array_equal(clicked[200, 300], identity_color(2))
    assert (clicked[45:56, 95:106] == 255).all(-1).any(), "no rim"
    boxed = draw_boxes(GREY, np.array([[10.0, 10.0, 50.0, 50.0]]))
    np.testing.assert_array_equal(boxed[10, 30], identity_color(1))
    np.testing.assert_array_equal(boxed[30, 30], 100)
    assert (GREY == 100).all()
