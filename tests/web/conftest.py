"""A page in a browser, over a small stand-in for the model."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from omgseg.inference.results import SegmentationResult
from omgseg.structures import NO_CLASS, Vocabulary

COLORS = {"red": (220, 30, 30), "blue": (30, 60, 220), "green": (40, 160, 60), "grey": (150, 150, 150)}
OWN_WORDS = Vocabulary.from_names(["red", "blue"])
UPLOAD_MB = 2


def color_mask(image: np.ndarray, name: str) -> np.ndarray:
    """Where the colour is that occurs in a name."""
    color = next((COLORS[each] for each in COLORS if each in name), (-999, -999, -999))
    return np.abs(image.astype(int) - color).max(-1) < 40


class Painter:
    """Knows colours: the class of a pixel is the name of its colour, an object is a patch of one colour."""

    def __init__(self) -> None:
        self.interactive = self
        self.encoded = 0
        self.fails_with: Exception | None = None
        self.frame_ready = threading.Event()
        self.frame_ready.set()
        self.is_slow = False

    def __call__(self, source, task="panoptic", vocabulary=None) -> SegmentationResult:
        if self.fails_with is not None:
            raise self.fails_with
        words = OWN_WORDS if vocabulary is None else vocabulary
        found = [
            (label, mask) for label, each in enumerate(words) if (mask := color_mask(source, each.name)).any()
        ]
        return result_of(source, task, [mask for _, mask in found], [label for label, _ in found], words)

    def stream(self, source, task="panoptic", vocabulary=None) -> Iterator[SegmentationResult]:
        with av.open(str(source)) as film:
            pictures = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        for index, picture in enumerate(pictures * 100 if self.is_slow else pictures):
            assert self.frame_ready.wait(30)
            time.sleep(0.1 * self.is_slow)
            yield self(picture, task, vocabulary).replace(frame_index=index)

    def set_image(self, image: np.ndarray) -> None:
        self.encoded += 1
        self.image = image

    def predict(self, points=None, labels=None, boxes=None, mask=None) -> SegmentationResult:
        chosen = np.zeros(self.image.shape[:2], bool) if mask is None else mask.copy()
        if boxes is not None:
            left, top, right, bottom = np.asarray(boxes, int).reshape(4)
            chosen[top:bottom, left:right] = ~color_mask(self.image, "grey")[top:bottom, left:right]
        for (x, y), label in zip(
            [] if points is None else np.asarray(points, int), () if labels is None else labels, strict=True
        ):
            alike = (np.abs(self.image.astype(int) - self.image[y, x]).max(-1) < 40).astype(np.uint8)
            parts = cv2.connectedComponents(alike)[1]
            chosen[parts == parts[y, x]] = bool(label)
        return result_of(self.image, "interactive", [chosen], [NO_CLASS], Vocabulary())


def result_of(image, task, masks, labels, words) -> SegmentationResult:
    rles = [coco_mask.encode(np.asfortranarray(mask, np.uint8)) for mask in masks]
    scores = np.linspace(0.9, 0.8, len(masks))
    return SegmentationResult(task, image.shape[:2], rles, labels, scores, vocabulary=words, image=image)


@pytest.fixture(scope="session")
def scene() -> np.ndarray:
    """A red, a blue and a green patch on grey, 320 x 200."""
    picture = np.full((200, 320, 3), COLORS["grey"], np.uint8)
    picture[30:90, 40:120] = COLORS["red"]
    picture[110:180, 60:140] = COLORS["blue"]
    picture[50:150, 200:280] = COLORS["green"]
    return picture


@pytest.fixture(scope="session")
def photo(scene, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "scene.png"
    Image.fromarray(scene).save(path)
    return path


@pytest.fixture(scope="session")
def film(scene, tmp_path_factory) -> Path:
    """Twelve frames; the scene moves to the right."""
    path = tmp_path_factory.mktemp("films") / "scene.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 320, 200, "yuv420p"
        for shift in range(12):
            moved = np.roll(scene, 2 * shift, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(moved, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def limits():
    """Small ones."""
    pytest.importorskip("gradio", reason="Gradio is not installed (omgseg[web])")
    from omgseg.web import Limits

    return Limits(upload_mb=UPLOAD_MB, image_megapixels=1, video_seconds=5)


@pytest.fixture(scope="session")
def serve(limits):
    """``with serve(model) as site``: a running server; its ``url``, and what its tabs share. One at a time."""
    from omgseg.web.server import launch
    from omgseg.web.workspace import Workspace

    @contextmanager
    def serve(seg):
        workspace = Workspace(limits)
        app = launch(seg, "127.0.0.1", 0, limits, workspace)
        site = app.omgseg_site
        site.url = app.local_url
        yield site
        app.close(verbose=False)
        workspace.close()

    return serve


@pytest.fixture(scope="module")
def site(serve):
    """The server of a :class:`Painter`."""
    with serve(Painter()) as site:
        yield site


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium here (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def visit(browser):
    """``with visit(site) as page``: the page in a new tab. It must not ask other hosts for anything, nor fail."""

    @contextmanager
    def visit(site):
        context = browser.new_context(viewport={"width": 1400, "height": 900})
        page = context.new_page()
        wrong = []

        def only_own(route) -> None:
            if route.request.url.startswith((site.url, "data:", "blob:")):
                route.continue_()
            else:
                wrong.append(route.request.url)
                route.abort()

        context.route("**/*", only_own)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.set_default_timeout(15_000)
        page.goto(site.url)
        page.get_by_role("tab", name="Picture").wait_for()
        yield page
        context.close()
        assert not wrong

    return visit


@pytest.fixture
def page(visit, site):
    with visit(site) as page:
        yield page
