"""The page over the real inferencer, with random weights: what one asks of the other, and what comes back."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omgseg.inference import OMGSegInferencer, VideoResult
from omgseg.structures import Category, Vocabulary

TOY = Path(__file__).parents[2] / "configs" / "toy" / "joint.py"
WORDS = [("dog", True), ("truck", True), ("sky", False), ("road", False)]


@pytest.fixture(scope="module")
def seg(spread_weights) -> OMGSegInferencer:
    """Its words have ids, as those of a dataset: no other ones compete with them."""
    words = Vocabulary(
        Category(name, is_thing, id=number) for number, (name, is_thing) in enumerate(WORDS, 1)
    )
    seg = OMGSegInferencer(_config(), vocabulary=words, device="cpu")
    spread_weights(seg.segmenter.model, 0.3)
    return seg


@pytest.fixture
def page(seg, serve, visit):
    with serve(seg) as site, visit(site) as page:
        yield page


def test_picture_clicks_and_video(page, photo, scene, film, tmp_path):
    page.set_input_files("#image-in input[type=file]", photo)
    page.locator("#image-in img").wait_for()
    page.get_by_text("Regions (semantic)").first.click()
    page.click("#image-start")
    page.locator("#image-legend .name").first.wait_for()
    assert set(page.locator("#image-legend .name").all_inner_texts()) <= {name for name, _ in WORDS}
    drawn = np.asarray(Image.open(_download(page, "PNG", tmp_path)).convert("RGB"))
    assert drawn.shape == scene.shape and (drawn != scene).any()

    page.get_by_role("tab", name="Clicks").click()
    page.set_input_files("#click-picture input[type=file]", photo)
    page.locator("#click-status", has_text="Click on an object.").wait_for()
    page.locator("#click-picture img[src*=clicks]").wait_for()
    for count in ("1 click:", "2 clicks:"):
        page.locator("#click-picture img").click()
        page.locator("#click-status", has_text=f"Mask from {count}").wait_for()

    page.get_by_role("tab", name="Video").click()
    page.set_input_files("#video-in input[type=file]", film)
    page.locator("#video-in video").wait_for()
    page.click("#video-start")
    page.wait_for_function("document.querySelector('#video-out video')?.currentTime > 0")
    assert len(VideoResult.load(_download(page, "JSON", tmp_path))) == 12


def _config() -> dict:
    from omgseg.inference.loading import read_config

    config = read_config(TOY)
    for encoder in ("image_encoder", "text_encoder"):
        config.model[encoder].pretrained = None
    config.model.test_cfg.panoptic.update(iou_thr=0.0, filter_low_score=False)
    return config


def _download(page, name: str, folder: Path) -> Path:
    with page.expect_download() as started:
        page.get_by_role("tabpanel").get_by_text(name, exact=True).click()
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    return path
