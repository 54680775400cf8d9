"""The page as visitors see it, in headless Chromium."""

import json
import re
import time

import numpy as np
import pytest
from PIL import Image

from omgseg.inference import SegmentationResult, VideoResult

RED, BLUE = (80, 60), (100, 145)  # places in the scene, x and y
SIZE = (320, 200)


@pytest.fixture(autouse=True)
def works_again(site):
    """The model of one test does not trouble the next one."""
    yield
    site.seg.segmenter.obey()


def upload(page, component: str, path, shows: str = "img") -> None:
    page.set_input_files(f"#{component} input[type=file]", path)
    page.locator(f"#{component} {shows}").wait_for()


def legend(page) -> list[str]:
    return page.locator("#image-legend .name").all_inner_texts()


def segment(page, expected: str) -> None:
    page.click("#image-start")
    page.locator("#image-legend .name", has_text=expected).wait_for()
    page.locator("#image-out img").wait_for()


def download(page, name: str, folder):
    with page.expect_download() as started:
        page.get_by_role("tabpanel").get_by_text(name, exact=True).click()
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    return path


def test_a_picture_is_segmented_and_taken_home(page, photo, scene, tmp_path):
    upload(page, "image-in", photo)
    segment(page, "red")
    assert legend(page) == ["green", "blue", "red"]
    shown = page.locator("#image-out img").evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert shown == [640, 400], "a small picture is not enlarged"
    assert "thing" in page.locator("#image-table").inner_text()
    picture = np.asarray(Image.open(download(page, "PNG", tmp_path)).convert("RGB"))
    assert picture.shape == scene.shape
    assert (picture[60, 80] != scene[60, 80]).any() and (picture[10, 10] == scene[10, 10]).all()
    swatch = page.locator("#image-legend .swatch").nth(2).get_attribute("style")
    color = np.array([int(value) for value in re.findall(r"\d+", swatch)])
    blend = (color + scene[80, 50].astype(int)) / 2
    assert np.abs(picture[80, 50] - blend).max() <= 2
    assert SegmentationResult.load(download(page, "JSON", tmp_path)).names == ["red", "green", "blue"]
    assert len(json.loads(download(page, "COCO", tmp_path).read_text())["annotations"]) == 2, "things only"


def test_a_new_word_enters_the_legend(page, photo):
    upload(page, "image-in", photo)
    page.fill("#image-words textarea", "red")
    segment(page, "red")
    assert legend(page) == ["red"]
    page.fill("#image-words textarea", "things: red\nstuff: green")
    segment(page, "green")
    assert legend(page) == ["green", "red"]


def test_words_are_no_html(page, photo):
    upload(page, "image-in", photo)
    page.fill("#image-words textarea", "red/<img src=x onerror='throw 1'>")
    segment(page, "red")
    assert legend(page) == ["red/<img src=x onerror='throw 1'>"]
    assert page.locator("#image-legend img").count() == 0


def click_at(page, place: tuple[int, int]) -> None:
    box = page.locator("#click-picture img").bounding_box()
    scale = (
        min(box["width"] / (2 * SIZE[0]), box["height"] / (2 * SIZE[1]), 1) * 2
    )  # the view is enlarged twofold
    left = box["x"] + (box["width"] - SIZE[0] * scale) / 2
    top = box["y"] + (box["height"] - SIZE[1] * scale) / 2
    page.mouse.click(left + place[0] * scale, top + place[1] * scale)


def status(page, text: str) -> None:
    page.locator("#click-status", has_text=text).wait_for()


def test_clicks_choose_an_object(page, photo, scene, tmp_path):
    page.get_by_role("tab", name="Clicks").click()
    upload(page, "click-picture", photo)
    status(page, "Click on an object.")
    page.locator("#click-picture img[src*=clicks]").wait_for()
    click_at(page, RED)
    status(page, "Mask from 1 click: 7.5 %")
    mask = np.asarray(Image.open(download(page, "Mask PNG", tmp_path)))
    assert mask[60, 80] == 255 and mask[145, 100] == 0 and (mask > 0).sum() == 60 * 80
    click_at(page, BLUE)
    status(page, "Mask from 2 clicks: 16.2 %")
    page.get_by_text("Not part of it").click()
    click_at(page, RED)
    status(page, "Mask from 3 clicks: 8.8 %")
    page.click("#click-undo")
    status(page, "Mask from 2 clicks: 16.2 %")
    page.click("#click-reset")
    status(page, "Click on an object.")
    page.get_by_text("Corner of a box").click()
    click_at(page, (190, 40))
    status(page, "opposite corner")
    click_at(page, (290, 160))
    status(page, "Mask from a box: 12.5 %")


def test_a_video_is_segmented_and_plays(page, film, tmp_path, site):
    page.get_by_role("tab", name="Video").click()
    upload(page, "video-in", film, "video")
    site.seg.segmenter.frame_ready.clear()
    page.click("#video-start")
    page.locator("#video-status", has_text="Reading the video").wait_for()
    site.seg.segmenter.frame_ready.set()
    page.locator("#video-status .name", has_text="blue #").wait_for()
    page.wait_for_function("document.querySelector('#video-out video')?.currentTime > 0")
    duration, error = page.evaluate(
        "(v => [v.duration, v.error])(document.querySelector('#video-out video'))"
    )
    assert duration == pytest.approx(1, abs=0.2) and error is None
    assert page.locator("#video-status .notes").first.inner_text() == "12 frames"
    assert len(VideoResult.load(download(page, "JSON", tmp_path))) == 12


@pytest.mark.parametrize("way", ["stops", "leaves"])
def test_a_visitor_who_stops_or_leaves_ends_the_work_on_a_video(page, film, site, way):
    page.get_by_role("tab", name="Video").click()
    upload(page, "video-in", film, "video")
    before = set(site.workspace.path.glob("result-*"))
    site.seg.segmenter.seconds = 1.5
    page.click("#video-start")
    wait_until(page, lambda: set(site.workspace.path.glob("result-*")) - before)
    if way == "stops":
        page.click("#video-stop")
        page.locator("#video-status", has_text="Stopped").wait_for()
    else:
        page.goto("about:blank")
    wait_until(page, lambda: not set(site.workspace.path.glob("result-*")) - before)


def test_a_picture_does_not_wait_for_a_video(visit, site, page, film, photo):
    page.get_by_role("tab", name="Video").click()
    upload(page, "video-in", film, "video")
    site.seg.segmenter.seconds = 1.5
    page.click("#video-start")
    page.locator("#video-status", has_text="per second").wait_for()
    with visit(site) as other:
        upload(other, "image-in", photo)
        segment(other, "red")
    assert page.locator("#video-status", has_text="per second").count()
    page.click("#video-stop")
    page.locator("#video-status", has_text="Stopped").wait_for()


def wait_until(page, holds, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        page.wait_for_timeout(
            50
        )  # a plain sleep would also hold back the page's requests, which pass through here


def refusal(page, text: str) -> None:
    page.locator(".toast-body", has_text=text).first.wait_for()


def test_too_large_uploads_are_refused_and_the_server_lives(page, photo, tmp_path):
    heavy, wide, broken = tmp_path / "heavy.png", tmp_path / "wide.png", tmp_path / "broken.png"
    heavy.write_bytes(photo.read_bytes() + bytes(3_000_000))
    Image.new("RGB", (2000, 1000)).save(wide)
    broken.write_bytes(b"no picture")
    page.set_input_files("#image-in input[type=file]", heavy)
    refusal(page, "exceed the maximum allowed size")
    for path, message in ((wide, "2000 x 1000 pixels"), (broken, "not a picture that can be read")):
        page.reload()
        upload(page, "image-in", path)
        page.click("#image-start")
        refusal(page, message)
    page.reload()
    upload(page, "image-in", photo)
    segment(page, "red")


def test_an_error_is_told_without_its_details(page, photo, site, caplog):
    upload(page, "image-in", photo)
    site.seg.segmenter.fails_with = RuntimeError("/secret/path is broken")
    page.click("#image-start")
    refusal(page, "RuntimeError")
    assert "secret" not in page.content()
    assert "/secret/path is broken" in caplog.text
    site.seg.segmenter.obey()
    segment(page, "red")


def test_a_narrow_page_needs_no_sideways_scrolling(page, photo):
    page.set_viewport_size({"width": 420, "height": 900})
    upload(page, "image-in", photo)
    segment(page, "red")
    assert page.evaluate("document.documentElement.scrollWidth") <= 420
