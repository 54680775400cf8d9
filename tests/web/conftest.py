"""A page in a browser, over a small stand-in for the model."""

import shutil
import threading
import time
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from omgseg.inference import OMGSegInferencer
from omgseg.protocols import Request
from omgseg.structures import Segments
from tests.fakes import COLOURS, FakeSegmenter

GREY = (150, 150, 150)
UPLOAD_MB = 2


class Obstinate(FakeSegmenter):
    """Can do everything, as long as a test lets it.

    Attributes:
        fails_with: raised instead of an answer.
        frame_ready: videos wait for it.
        seconds: that a clip takes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.frame_ready = threading.Event()
        self.obey()

    def obey(self) -> None:
        """From now on it works again."""
        self.fails_with: Exception | None = None
        self.frame_ready.set()
        self.seconds = 0.0

    def predict(self, images: Sequence[np.ndarray], request: Request) -> list[Segments]:
        if self.fails_with is not None:
            raise self.fails_with
        return super().predict(images, request)

    def open_stream(self, request: Request) -> "ObstinateStream":
        return ObstinateStream(self, super().open_stream(request))


class ObstinateStream:
    def __init__(self, model: Obstinate, stream) -> None:
        self._model, self._stream = model, stream

    def push(self, frames: Sequence[np.ndarray]) -> list[Segments]:
        assert self._model.frame_ready.wait(30)
        time.sleep(self._model.seconds)
        return self._stream.push(frames)


@pytest.fixture(scope="session")
def scene() -> np.ndarray:
    """A red, a blue and a green patch on grey, 320 x 200."""
    picture = np.full((200, 320, 3), GREY, np.uint8)
    picture[30:90, 40:120] = COLOURS["red"]
    picture[110:180, 60:140] = COLOURS["blue"]
    picture[50:150, 200:280] = COLOURS["green"]
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
    """``with serve(seg) as site``: a running server; its ``url`` and ``routes``, and what its tabs share. One at a
    time."""
    from omgseg.web.server import launch
    from omgseg.web.uploads import Workspace

    @contextmanager
    def serve(seg):
        workspace = Workspace(limits)
        app = launch(seg, "127.0.0.1", 0, limits, workspace)
        site = app.omgseg_site
        site.url, site.routes = app.local_url, app.app.routes
        try:
            yield site
        finally:
            app.close(verbose=False)
            workspace.close()

    return serve


@pytest.fixture(scope="module")
def site(serve):
    """The server of an :class:`Obstinate` model."""
    with serve(OMGSegInferencer(Obstinate())) as site:
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
        page.set_default_timeout(30_000)
        page.goto(site.url)
        page.get_by_role("tab").first.wait_for()
        yield page
        context.close()
        assert not wrong

    return visit


@pytest.fixture
def page(visit, site):
    with visit(site) as page:
        yield page
