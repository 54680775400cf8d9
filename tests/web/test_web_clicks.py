import numpy as np
import pytest

pytest.importorskip("gradio", reason="Gradio is not installed (omgseg[web])")

from dataclasses import replace
from types import SimpleNamespace

from PIL import Image
from pycocotools import mask as coco_mask

from omgseg.inference import OMGSegInferencer, SegmentationResult
from omgseg.protocols import Abilities
from omgseg.structures import Task
from omgseg.web import Limits
from omgseg.web.click_tab import (
    ADD,
    ALIKE,
    BOX,
    LONGEST_VIEW,
    REMOVE,
    UNLIKE,
    Clicks,
    ClickTab,
    Step,
    draw_view,
    resized,
    view_scale,
)
from omgseg.web.parts import Site
from omgseg.web.uploads import Refused, Workspace
from tests.fakes import ClickOnlyFake, ExemplarFake, FakeSegmenter, picture


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


class Unmasked(ClickOnlyFake):
    """Takes no mask so far, so that it must be told all clicks again."""

    abilities = Abilities(
        tasks=frozenset({Task.INTERACTIVE}), prompts=frozenset({"points", "labels", "boxes"})
    )


def asks(session: str, x: int = 0, y: int = 0) -> dict:
    return {"event": SimpleNamespace(index=(x, y)), "request": SimpleNamespace(session_hash=session)}


@pytest.fixture(params=[FakeSegmenter, ClickOnlyFake, Unmasked])
def tab(request):
    limits = Limits(encoded=2)
    site = Site(OMGSegInferencer(request.param()), limits, Workspace(limits))
    yield ClickTab(site)
    site.workspace.close()


@pytest.fixture
def pictures(tmp_path) -> list[str]:
    """Three pictures, with red and blue at other places."""
    paths = []
    for number in range(3):
        red, blue = ("red", 10, 10 + 20 * number, 30, 25 + 20 * number), ("blue", 40, 5, 50 + number, 60)
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(picture(60, 80, red, blue)).save(paths[-1])
    return [str(path) for path in paths]


def test_each_visitor_has_a_picture_of_their_own(tab, pictures):
    states = {}
    for visitor, path in zip("abc", pictures, strict=True):
        states[visitor] = tab.start(path, asks(visitor)["request"])[0]
    for turn in range(2):  # two pictures stay encoded; who comes third has it done again
        for number, visitor in enumerate("abc"):
            place = [(12 + 20 * number, 15), (6, 41)][turn]
            states[visitor] = tab.click(
                states[visitor], pictures[number], ADD, None, **asks(visitor, *place)
            )[0]
    for number, visitor in enumerate("abc"):
        result = states[visitor].result
        assert result.areas[0] == 20 * 15 + (10 + number) * 55
        assert result.masks[0][15, 12 + 20 * number] and not result.masks[0][15, 75]


def test_undo_forgets_a_click_also_for_the_model(tab, pictures):
    clicks = tab.start(pictures[0], asks("a")["request"])[0]
    for place in ((12, 15), (6, 41)):
        clicks = tab.click(clicks, pictures[0], ADD, None, **asks("a", *place))[0]
    clicks = tab.undo(clicks, asks("a")["request"])[0]
    assert clicks.result.areas[0] == 20 * 15
    clicks = tab.click(clicks, pictures[0], REMOVE, None, **asks("a", 12, 15))[0]
    assert clicks.result.areas[0] == 0
    clicks = tab.reset(clicks, asks("a")["request"])[0]
    with pytest.raises(Refused, match="on the object first"):
        tab.click(clicks, pictures[0], REMOVE, None, **asks("a", 12, 15))
    with pytest.raises(Refused, match="no click"):
        tab.click(clicks, pictures[0], "nonsense", None, **asks("a", 12, 15))


def test_a_mask_is_named_by_the_words_that_are_given(pictures, tmp_path):
    site = Site(OMGSegInferencer(FakeSegmenter()), Limits(), Workspace())
    tab = ClickTab(site)
    clicks = tab.start(pictures[0], asks("a")["request"])[0]
    shown = tab.click(clicks, pictures[0], ADD, "blue, red", **asks("a", 12, 15))
    assert shown[0].result.names == ["red"] and "red" in shown[2]
    shown = tab.click(clicks, pictures[0], ADD, "", **asks("a", 12, 15))
    assert shown[0].result.names == [""]
    site.workspace.close()


TWINS = [("red", 5, 5, 20, 20), ("red", 30, 10, 50, 30), ("blue", 5, 50, 25, 70)]


@pytest.fixture
def twins(tmp_path) -> str:
    Image.fromarray(picture(60, 80, *TWINS)).save(tmp_path / "twins.png")
    return str(tmp_path / "twins.png")


@pytest.fixture
def alike():
    """``alike(model)``: a tab, and ``draw(clicks, mode, corners)`` for two clicks in it."""
    opened = []

    def make(model):
        site = Site(OMGSegInferencer(model), Limits(), Workspace())
        opened.append(site)
        tab = ClickTab(site)

        def draw(clicks, mode, *corners):
            for corner in corners:
                shown = tab.click(clicks, clicks.path, mode, None, **asks("a", *corner))
                clicks = shown[0]
            return shown

        return tab, draw

    yield make
    for site in opened:
        site.workspace.close()


@pytest.mark.parametrize("kind", [FakeSegmenter, ExemplarFake])
def test_boxes_find_all_that_is_like_them(alike, twins, kind):
    tab, draw = alike(kind())
    clicks = tab.start(twins, asks("a")["request"])[0]
    with pytest.raises(Refused, match="Show what to find first"):
        draw(clicks, UNLIKE, (1, 1), (30, 30))
    clicks, _, text, mask, content = draw(clicks, ALIKE, (1, 1), (79, 59))
    assert sorted(clicks.result.areas) == [15 * 15, 400, 400] and "3 objects like 1 exemplar:" in text
    found = np.asarray(Image.open(mask.value["path"]))
    assert found.shape == (60, 80) and (found > 0).sum() == 15 * 15 + 800
    assert len(SegmentationResult.load(content.value["path"])) == 3
    corner = draw(clicks, UNLIKE, (45, 1))
    assert "opposite corner" in corner[2]
    clicks, _, text, *_ = draw(corner[0], UNLIKE, (75, 30))
    assert sorted(clicks.result.areas) == [15 * 15, 400] and "2 objects like 2 exemplars:" in text
    nothing = draw(clicks, UNLIKE, (1, 1), (30, 30))
    assert "Nothing like it" in nothing[2] and nothing[3].value is None
    assert tab.undo(nothing[0], asks("a")["request"])[0].result == clicks.result


def test_exemplars_and_clicks_take_the_place_of_each_other(alike, twins):
    tab, draw = alike(FakeSegmenter())
    clicks = tab.start(twins, asks("a")["request"])[0]
    clicks = draw(clicks, ADD, (6, 6))[0]
    clicks = draw(clicks, ALIKE, (45, 1), (75, 30))[0]
    assert clicks.points == [] and clicks.result.areas.tolist() == [400]
    for mode, places in ((ADD, [(6, 6)]), (BOX, [(1, 1), (30, 28)])):
        other = draw(clicks, mode, *places)[0]
        assert other.exemplars == [] and other.result.areas.tolist() == [15 * 15]


def test_the_view_shows_all_masks_and_exemplars(twins):
    masks = [np.zeros((50, 100), np.uint8) for _ in range(2)]
    masks[0][10:30, 10:30] = masks[1][10:30, 60:90] = 1
    rles = [coco_mask.encode(np.asfortranarray(mask)) for mask in masks]
    result = SegmentationResult("interactive", (50, 100), rles, [-1, -1], [0.9, 0.8])
    steps = Step(result, exemplar=(5, 5, 40, 35, 1)), Step(result, exemplar=(45, 40, 55, 48, 0))
    clicks = Clicks("a.png", view_scale(50, 100), steps)
    drawn = draw_view(resized(np.full((50, 100, 3), 128, np.uint8), clicks.scale), clicks)
    assert (drawn[20 * 7, 20 * 7] != 128).any() and (drawn[20 * 7, 75 * 7] != 128).any()
    (_, green, _), (red, _, _) = drawn[5 * 7 + 4, 10 * 7].tolist(), drawn[44 * 7, 45 * 7 + 4].tolist()
    assert green > 150 and red > 200
