"""The renderer: colours, order, outlines, labels and legend, for every task and size."""

import cv2
import numpy as np
import pytest

from omgseg.structures import NO_CLASS, Category, Task, Vocabulary
from omgseg.structures.run_lengths import encode_masks
from omgseg.structures.segments import Segments
from omgseg.visualization import render
from omgseg.visualization.palette import category_color, edge_of, identity_color

VOCABULARY = Vocabulary(
    [Category("cat"), Category("dog"), Category("grass", False, color=(0, 200, 0)), Category("sky", False)]
)
SIZE = (240, 320)
GREY = np.full((*SIZE, 3), 100, np.uint8)


def box(y1: int, y2: int, x1: int, x2: int, size=SIZE) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    mask[y1:y2, x1:x2] = 1
    return mask


def result(masks, labels, task=Task.INSTANCE, scores=None, ids=None, vocabulary=VOCABULARY, **more):
    size = masks[0].shape if len(masks) else SIZE
    scores = np.ones(len(masks)) if scores is None else scores
    return Segments(task, size, encode_masks(masks), labels, scores, ids, vocabulary, **more)


def mixed(color, opacity=0.5) -> np.ndarray:
    return np.round((1 - opacity) * 100 + opacity * np.asarray(color))


PLAIN = {"labels": False, "contours": False}


def test_masks_are_tinted_by_class_in_images_and_by_identity_in_videos():
    masks = [box(10, 100, 10, 100), box(120, 200, 10, 100), box(10, 100, 200, 300)]
    for more, colors in (
        ({}, [category_color(VOCABULARY, 0)] * 2),
        ({"frame_index": 0}, [identity_color(7), identity_color(9)]),
        ({"frame_index": 3}, [identity_color(7), identity_color(9)]),
    ):
        picture = render(GREY, result(masks, [0, 0, 2], Task.PANOPTIC, ids=[7, 9, 12], **more), **PLAIN)
        np.testing.assert_allclose(picture[50, 50], mixed(colors[0]), atol=1)
        np.testing.assert_allclose(picture[150, 50], mixed(colors[1]), atol=1)
        np.testing.assert_array_equal(picture[220, 160], 100)
    as_class = render(GREY, result(masks, [0, 0, 2], Task.PANOPTIC), **PLAIN)
    np.testing.assert_allclose(as_class[50, 250], mixed((0, 200, 0)), atol=1)
    assert np.ptp(picture[50, 250].astype(int)) < np.ptp(as_class[50, 250].astype(int)), "stuff is not pale"
    assert (GREY == 100).all(), "the input was changed"


@pytest.mark.parametrize("by", ["class", "identity"])
def test_masks_without_a_class_show_identities_and_semantic_maps_classes(by):
    unnamed = result([box(0, 99, 0, 99)], [NO_CLASS], Task.VOS, ids=[5], vocabulary=Vocabulary())
    picture = render(GREY, unnamed, by=by, **PLAIN)
    np.testing.assert_allclose(picture[50, 50], mixed(identity_color(5)), atol=1)
    semantic = render(GREY, result([box(0, 99, 0, 99)], [1], Task.SEMANTIC), by=by, **PLAIN)
    np.testing.assert_allclose(semantic[50, 50], mixed(category_color(VOCABULARY, 1)), atol=1)


def test_small_masks_are_over_large_ones_and_the_surer_of_two_equal_ones_is_on_top():
    small, large = box(50, 90, 50, 90), box(20, 200, 20, 300)
    for masks, labels in (([small, large], [0, 1]), ([large, small], [1, 0])):
        picture = render(GREY, result(masks, labels), **PLAIN)
        np.testing.assert_allclose(picture[70, 70], mixed(category_color(VOCABULARY, 0)), atol=1)
        np.testing.assert_allclose(picture[150, 150], mixed(category_color(VOCABULARY, 1)), atol=1)
    twice = render(GREY, result([large, large], [0, 1], scores=[0.9, 0.5]), **PLAIN)
    np.testing.assert_allclose(twice[150, 150], mixed(category_color(VOCABULARY, 0)), atol=1)


def test_unsure_and_empty_masks_draw_nothing():
    masks = [box(10, 100, 10, 100), box(120, 200, 120, 300), box(0, 0, 0, 0)]
    some = result(masks, [0, 1, 1], scores=[0.9, 0.2, 0.9])
    picture = render(GREY, some, min_score=0.3)
    assert (picture[5:105, 5:105] != 100).any()
    assert (picture[110:, 110:] == 100).all()
    np.testing.assert_array_equal(render(GREY, result([], [])), GREY)


def test_outlines_follow_what_is_visible_holes_included_and_are_smooth():
    ring = box(20, 200, 20, 220)
    ring[80:140, 80:160] = 0
    edge = np.array(edge_of(category_color(VOCABULARY, 0)))
    drawn = render(GREY, result([ring], [0]), labels=False, opacity=0.0)
    changed = (drawn != 100).any(-1)
    assert changed[110, 78:82].any()
    assert changed[110, 18:22].any()
    assert not changed[110, 40:60].any()
    np.testing.assert_allclose(drawn[110, 20], edge, atol=40)
    disc = np.zeros(SIZE, np.uint8)
    cv2.circle(disc, (160, 120), 80, 1, -1)
    strength = np.abs(render(GREY, result([disc], [0]), labels=False, opacity=0.0).astype(int) - 100).sum(-1)
    assert len(np.unique(strength)) > 10, "the line has only on and off"
    hidden = render(GREY, result([box(0, 200, 0, 200), box(50, 100, 50, 100)], [0, 1]), labels=False)
    np.testing.assert_allclose(hidden[75, 75], mixed(category_color(VOCABULARY, 1)), atol=1)


@pytest.mark.parametrize("size", [(128, 128), (720, 1280), (2160, 3840), (64, 400)])
def test_the_picture_has_the_size_of_the_image_and_its_text_grows_along(size):
    height, width = size
    mask = box(height // 8, height, width // 8, width, size)
    image = np.full((*size, 3), 100, np.uint8)
    one = result([mask], [0], scores=[0.51])
    picture = render(image, one)
    assert picture.shape == image.shape
    assert picture.dtype == np.uint8
    written = (picture != render(image, one, labels=False)).any(-1)
    rows = np.flatnonzero(written.any(1))
    assert max(11, 0.02 * np.sqrt(height * width)) < len(rows) < max(24, 0.05 * np.sqrt(height * width))


def test_the_legend_lists_what_is_drawn_and_labels_keep_off_it():
    masks = [box(0, 240, 0, 160), box(0, 240, 160, 320)]
    picture = render(GREY, result(masks, [0, 1], scores=[0.9, 0.1]), legend=True, min_score=0.5)
    without = render(GREY, result(masks, [0, 1], scores=[0.9, 0.1]), min_score=0.5)
    corner = picture[215:235, 2:60]
    assert (corner == category_color(VOCABULARY, 0)).all(-1).any()
    assert not (picture == category_color(VOCABULARY, 1)).all(-1).any()
    assert (picture[215:235, 2:60] != without[215:235, 2:60]).any()
    below = result([box(185, 238, 5, 100)], [0])
    shown = [render(GREY, below, legend=True, contours=False, labels=labels) for labels in (True, False)]
    np.testing.assert_array_equal(shown[0][216:, :60], shown[1][216:, :60], "a label lies on the legend")
    assert (shown[0] != shown[1]).any()
    many = Vocabulary.from_names([f"kind {number}" for number in range(60)])
    crowd = result([box(4 * n, 4 * n + 3, 0, 320) for n in range(60)], range(60), vocabulary=many)
    assert render(GREY, crowd, legend=True).shape == GREY.shape


def test_instances_show_their_scores_and_true_ones_have_none():
    def drawn(task, score):
        return render(GREY, result([box(50, 200, 50, 300)], [0], task, scores=[score]))

    assert (drawn(Task.INSTANCE, 0.5) != drawn(Task.INSTANCE, 0.9)).any()
    np.testing.assert_array_equal(drawn(Task.INSTANCE, 1.0), drawn(Task.PANOPTIC, 1.0))
    np.testing.assert_array_equal(drawn(Task.PANOPTIC, 0.5), drawn(Task.PANOPTIC, 1.0))


def test_the_palette_is_used():
    one = result([box(10, 100, 10, 100)], [2])
    assert (render(GREY, one, palette="colorblind", **PLAIN) != render(GREY, one, **PLAIN)).any()


def test_wrong_arguments_are_named():
    good = result([box(10, 100, 10, 100)], [0])
    with pytest.raises(ValueError, match="uint8 RGB"):
        render(GREY[..., 0], good)
    with pytest.raises(ValueError, match=r"image has the size \(240, 310\), the result \(240, 320\)"):
        render(GREY[:, :310], good)
    with pytest.raises(ValueError, match="unknown palette 'neon'"):
        render(GREY, good, palette="neon")
    with pytest.raises(ValueError, match="by='colour'"):
        render(GREY, good, by="colour")
    with pytest.raises(ValueError, match="opacity=2"):
        render(GREY, good, opacity=2)


@pytest.mark.parametrize(("gap", "zoom"), [(0, 1), (2, 1), (7, 3)])
def test_segments_that_meet_share_one_outline(gap, zoom):
    """A dark and a light class side by side: one line of the smaller one between them, and both around the pair."""
    masks = [box(20, 200, 20, 200), box(20, 200, 200 + gap, 280)]
    vocabulary = Vocabulary(
        [Category("a", False, color=(20, 20, 120)), Category("b", False, color=(250, 220, 60))]
    )
    drawn = result(masks, [0, 1], Task.PANOPTIC, vocabulary=vocabulary)
    row = render(GREY, drawn, labels=False, zoom=zoom)[110].astype(int)
    plain = render(GREY, drawn, **PLAIN)[110].astype(int)
    changed = np.flatnonzero(np.abs(row - plain).sum(1) > 20)
    lines = np.split(changed, np.flatnonzero(np.diff(changed) > 1) + 1)
    np.testing.assert_allclose([line.mean() for line in lines], [20, 200 + gap, 279], atol=1)
    edge = np.array(edge_of((250, 220, 60)))
    assert np.abs(row[200 + gap] - edge).max() < 40, "the smaller segment's line"
