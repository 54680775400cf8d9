"""Pictures have the right size, and objects the right colours in the right places."""

import numpy as np
import pytest
from PIL import Image

from omgseg.structures import Category, Vocabulary
from omgseg.visualization import (
    contact_sheet,
    draw_instances,
    draw_objects,
    draw_panoptic,
    draw_prompts,
    draw_semantic,
    panels,
    write_video_gif,
)
from omgseg.visualization.palette import category_color, identity_color

VOCABULARY = Vocabulary(
    [
        Category("cat", True),
        Category("dog", True),
        Category("grass", False, color=(0, 200, 0)),
        Category("sky", False),
    ]
)
GREY = np.full((64, 96, 3), 100, np.uint8)
ZOOM = 5  # 64 pixels become 320


def box_mask(y1: int, y2: int, x1: int, x2: int) -> np.ndarray:
    mask = np.zeros(GREY.shape[:2], bool)
    mask[y1:y2, x1:x2] = True
    return mask


def tint(picture: np.ndarray, y: int, x: int, size: int = 2) -> np.ndarray:
    """Mean colour of what was drawn at pixel (y, x) of the stored image, away from labels."""
    patch = picture[y * ZOOM : (y + size) * ZOOM, x * ZOOM : (x + size) * ZOOM]
    return patch.reshape(-1, 3).mean(0)


def blended(color, opacity: float = 0.55) -> np.ndarray:
    return (1 - opacity) * 100 + opacity * np.asarray(color)


def test_small_images_are_enlarged_and_large_ones_are_not():
    labels = np.zeros(GREY.shape[:2], int)
    assert draw_semantic(GREY, labels, VOCABULARY).shape == (320, 480, 3)
    large = np.zeros((480, 854, 3), np.uint8)
    assert draw_semantic(large, np.zeros((480, 854), int), VOCABULARY).shape == large.shape


def test_panoptic_colours_things_by_identity_and_stuff_by_category():
    panoptic = np.full(GREY.shape[:2], 2)
    panoptic[40:60, 5:30] = 1000
    panoptic[40:60, 60:90] = 2000
    panoptic[:10] = len(VOCABULARY)
    before = GREY.copy()
    picture = draw_panoptic(GREY, panoptic, VOCABULARY)
    np.testing.assert_array_equal(GREY, before)
    np.testing.assert_allclose(tint(picture, 30, 2), blended((0, 200, 0)), atol=2)
    np.testing.assert_allclose(tint(picture, 42, 7), blended(identity_color(1)), atol=2)
    np.testing.assert_allclose(tint(picture, 42, 63), blended(identity_color(2)), atol=2)
    assert (picture > 240).all(-1).any(), "no white text"


def test_an_identity_keeps_its_colour_over_the_frames():
    first, second = np.zeros((2, *GREY.shape[:2]), int)
    first[20:40, 10:40] = 7
    second[20:40, 50:80] = 7
    second[45:60, 10:40] = 3
    colors = [tint(draw_objects(GREY, first), 22, 12), tint(draw_objects(GREY, second), 22, 52)]
    np.testing.assert_allclose(colors[0], colors[1], atol=1)
    np.testing.assert_allclose(colors[0], blended(identity_color(7)), atol=2)
    np.testing.assert_allclose(tint(draw_objects(GREY, first), 50, 70), 100)


def test_consecutive_identities_differ_clearly():
    colors = np.array([identity_color(number) for number in range(1, 30)], int)
    assert np.abs(colors[1:] - colors[:-1]).sum(1).min() > 100
    assert len({tuple(color) for color in colors}) == len(colors)


def test_instances_below_the_score_and_absent_tracks_are_not_drawn():
    masks = np.stack([box_mask(10, 30, 10, 40), box_mask(35, 60, 50, 90), box_mask(0, 0, 0, 0)])
    picture = draw_instances(
        GREY, masks, [0, 1, -1], VOCABULARY, scores=[0.9, 0.1, 0.9], identities=[4, 5, 6]
    )
    np.testing.assert_allclose(tint(picture, 12, 12), blended(identity_color(4)), atol=2)
    np.testing.assert_allclose(tint(picture, 37, 52), 100, atol=1)


def test_the_surest_instance_is_on_top():
    masks = np.stack([box_mask(10, 50, 10, 60)] * 2)
    picture = draw_instances(GREY, masks, [-1, -1], VOCABULARY, scores=[0.9, 0.5])
    top = 0.45 * blended(identity_color(2)) + 0.55 * np.asarray(identity_color(1))
    np.testing.assert_allclose(tint(picture, 40, 15), top, atol=3)


def test_a_click_is_drawn_on_its_mask():
    picture = draw_prompts(GREY, box_mask(20, 60, 40, 90)[None], points=np.array([[70.0, 40.0]]))
    np.testing.assert_array_equal(picture[40 * ZOOM, 70 * ZOOM], identity_color(1))
    np.testing.assert_allclose(tint(picture, 25, 45), blended(identity_color(1)), atol=2)
    boxed = draw_prompts(GREY, np.zeros((0, 64, 96), bool), boxes=np.array([[10.0, 10.0, 50.0, 50.0]]))
    np.testing.assert_array_equal(boxed[10 * ZOOM, 20 * ZOOM], identity_color(1))
    with pytest.raises(ValueError, match="points or boxes"):
        draw_prompts(GREY, np.zeros((0, 64, 96), bool))


def test_category_colours():
    assert category_color(VOCABULARY, 2) == (0, 200, 0)
    assert category_color(VOCABULARY, 3) == category_color(Vocabulary.from_names(["sky"]), 0)
    assert category_color(VOCABULARY, 0) != category_color(VOCABULARY, 1)


def test_wrong_images_and_masks_are_named():
    with pytest.raises(ValueError, match="uint8 RGB"):
        draw_objects(GREY[..., 0], np.zeros((64, 96), int))
    with pytest.raises(ValueError, match=r"mask of shape \(10, 10\) for an image of shape \(64, 96\)"):
        draw_instances(GREY, np.ones((1, 10, 10), bool), [0], VOCABULARY)


def test_panels_and_sheets():
    sheet = panels([("input", GREY), ("ground truth", np.zeros((320, 400, 3), np.uint8))])
    assert sheet.shape[1] == 480 + 6 + 400
    assert sheet.shape[0] > 320
    assert (sheet[:20, :100] < 128).any(), "no title"
    frames = [np.full((10, 20, 3), 10 * index, np.uint8) for index in range(20)]
    grid = contact_sheet(frames, columns=3, max_frames=6)
    assert grid.shape == (10 * 2 + 6, 20 * 3 + 2 * 6, 3)
    assert grid[0, 0, 0] == 0
    assert grid[-1, -1, 0] == 190
    for empty in (panels, contact_sheet):
        with pytest.raises(ValueError, match="no "):
            empty([])


def test_gif_keeps_frames_and_colours(tmp_path):
    frames = [np.full((32, 48, 3), 50, np.uint8) for _ in range(4)]
    for index, frame in enumerate(frames):
        frame[8:24, 8 * index : 8 * index + 16] = identity_color(1)
    write_video_gif(tmp_path / "new" / "a.gif", frames, fps=5)
    with Image.open(tmp_path / "new" / "a.gif") as gif:
        assert gif.n_frames == 4
        assert gif.info["duration"] == 200
        gif.seek(3)
        shown = np.asarray(gif.convert("RGB")).astype(int)
    assert np.abs(shown - frames[3]).max() <= 8
    with pytest.raises(ValueError, match="no frames"):
        write_video_gif(tmp_path / "b.gif", [])
