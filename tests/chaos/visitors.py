"""A page that runs in a process of its own, and visitors who talk to it by HTTP, as a browser does or as none would."""

from __future__ import annotations

import ctypes
import http.client
import io
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from omgseg.inference import OMGSegInferencer
from tests.chaos.campaign import CLEAR, FAILURE, RIGHT, Outcome
from tests.chaos.kills import PR_SET_PDEATHSIG
from tests.fakes import FakeSegmenter, picture

SECRET = b"a secret of the server"
"""In a file beside the folder of the page; no answer may hold it."""
SECONDS = 30
"""In which every request has an answer."""
QUEUE_SECONDS = 150
"""In which an event ends that waits for those of others."""
ENDS_WITHIN = 20
LIMITS: dict[str, Any] = {
    "upload_mb": 2,
    "image_megapixels": 1,
    "video_seconds": 5,
    "stored_mb": 30,
    "pause_seconds": 1.5,
    "request_seconds": 4,
}
TASK = "Objects (instance)"
STYLE = (0.3, 0.5, False)
"""Lowest score, opacity, and colours for the colour-blind."""
BOUNDARY = "----visitor"


class Page(NamedTuple):
    """A running page.

    Attributes:
        port: on 127.0.0.1.
        pid: its process.
        folder: all its temporary files, the workspace among them.
        workspace: its uploads and results.
        secret: a file of the server that is not the page's.
    """

    port: int
    pid: int
    folder: Path
    workspace: Path
    secret: Path

    @property
    def megabytes(self) -> float:
        """Resident memory of its process."""
        return resident_megabytes(self.pid)

    @property
    def handles(self) -> int:
        """Open files and connections of its process."""
        return open_handles(self.pid)


def resident_megabytes(pid: int | str = "self") -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def open_handles(pid: int | str = "self") -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@contextmanager
def page(folder: Path) -> Iterator[Page]:
    """A page of :class:`~tests.fakes.FakeSegmenter` in a fork, which ends with the block or with this process.

    Raises:
        RuntimeError: the page did not start, did not end, or left files.
    """
    temporary, secret = folder / "temporary", folder / "secret.png"
    temporary.mkdir(parents=True)
    secret.write_bytes(SECRET)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _serve(temporary, folder / "page.log", writer)
    os.close(writer)
    try:
        with open(reader, encoding="utf-8") as pipe:
            said = pipe.readline().split()
        if len(said) != 2:
            raise RuntimeError(f"the page did not start: {(folder / 'page.log').read_text()[-2000:]}")
        yield Page(int(said[0]), child, temporary, Path(said[1]), secret)
    finally:
        _end(child)
    if left := [path.name for path in temporary.rglob("*") if path.is_file()]:
        raise RuntimeError(f"the page left {left[:5]}")


def _serve(temporary: Path, log: Path, writer: int) -> None:
    """The process of the page; does not return."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    file = os.open(log, os.O_WRONLY | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    status = 1
    try:
        from omgseg.web import Limits, serve

        def ready(address: str) -> None:
            port = address.rstrip("/").rpartition(":")[2]
            os.write(writer, f"{port} {os.environ['GRADIO_TEMP_DIR']}\n".encode())
            os.close(writer)

        serve(OMGSegInferencer(FakeSegmenter()), port=0, limits=Limits(**LIMITS), ready=ready)
        status = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def _end(child: int) -> None:
    os.kill(child, signal.SIGTERM)
    deadline = time.monotonic() + ENDS_WITHIN
    while not os.waitpid(child, os.WNOHANG)[0]:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise RuntimeError(f"the page did not end within {ENDS_WITHIN} seconds of SIGTERM")
        time.sleep(0.02)


Action = Callable[[Page], Outcome]
"""What a case does with the page."""


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def detail(self) -> str:
        """The sentence of a refusal."""
        try:
            return str(json.loads(self.body)["detail"])
        except (ValueError, KeyError, TypeError):
            return self.body[:200].decode(errors="replace")


class Event(NamedTuple):
    """What the page calls when something is clicked: its number, and the kinds of its inputs."""

    number: int
    inputs: tuple[str, ...]


class Told(Exception):
    """The page said in a sentence why it does not do something."""


@dataclass
class Visitor:
    """Someone with a session of their own."""

    page: Page
    session: str = field(default_factory=lambda: os.urandom(6).hex())

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """One request. Raises OSError or HTTPException where the connection breaks or the answer takes too long."""
        connection = http.client.HTTPConnection("127.0.0.1", self.page.port, timeout=SECONDS)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def upload(self, content: bytes, name: str = "a.png") -> str:
        """The path of an upload on the server. Raises Told if it is refused."""
        answer = self.ask("POST", "/gradio_api/upload", form(content, name), FORM)
        if answer.status != 200:
            raise Told(answer.detail)
        return json.loads(answer.body)[0]

    def join(self, event: Event, data: list[Any], **more: Any) -> Answer:
        """Ask for an event."""
        body = {"fn_index": event.number, "session_hash": self.session, "data": data, **more}
        return self.ask("POST", "/gradio_api/queue/join", json.dumps(body), JSON)

    def do(self, event: Event, data: list[Any], **more: Any) -> list[Any]:
        """Ask for an event and wait; returns its outputs. Raises Told if it is refused."""
        joined = self.join(event, data, **more)
        if joined.status != 200:
            raise Told(joined.detail)
        return self.outputs(json.loads(joined.body)["event_id"])

    def outputs(self, event_id: str) -> list[Any]:
        """Wait for the end of an event."""
        connection = http.client.HTTPConnection("127.0.0.1", self.page.port, timeout=SECONDS)
        deadline = time.monotonic() + QUEUE_SECONDS
        try:
            connection.request("GET", f"/gradio_api/queue/data?session_hash={self.session}")
            answer = connection.getresponse()
            while line := answer.readline():
                if time.monotonic() > deadline:
                    raise TimeoutError("the event does not end")
                if not line.startswith(b"data: "):
                    continue
                message = json.loads(line[6:])
                if message["msg"] == "process_completed" and message["event_id"] == event_id:
                    if not message["success"]:
                        raise Told(str(message["output"].get("error")))
                    return message["output"]["data"]
            raise ConnectionError("the answer ended before the event")
        finally:
            connection.close()


def refused(answer: Answer) -> Outcome:
    """A refusal says why, in a sentence, and tells nothing."""
    if SECRET in answer.body or b"Traceback" in answer.body:
        return Outcome(FAILURE, f"the answer {answer.status} tells {answer.body[:200]!r}")
    if 400 <= answer.status < 500 or answer.status == 503:
        return Outcome(CLEAR, f"{answer.status}: {answer.detail}")
    return Outcome(FAILURE, f"answered with {answer.status}: {answer.body[:200]!r}")


def answered(answer: Answer) -> Outcome:
    return Outcome(RIGHT) if answer.status < 400 and SECRET not in answer.body else refused(answer)


def told(act: Callable[[], Any]) -> Outcome:
    """Of an event: a result, or a sentence of the page."""
    try:
        act()
    except Told as sentence:
        text = str(sentence)
        wrong = "Traceback" in text or SECRET.decode() in text or "/temporary/" in text
        return Outcome(FAILURE if wrong else CLEAR, text)
    return Outcome(RIGHT)


@cache
def events_of(place: Page) -> dict[str, Event]:
    """The events of a page by element and trigger, as ``image-start click``; an element without a name by number."""
    config = json.loads(Visitor(place).ask("GET", "/config").body)
    kinds = {part["id"]: part["type"] for part in config["components"]}
    names = {part["id"]: part["props"].get("elem_id") for part in config["components"]}
    return {
        f"{names.get(target) or target} {trigger}": Event(event["id"], tuple(map(kinds.get, event["inputs"])))
        for event in config["dependencies"]
        for target, trigger in event["targets"]
    }


JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def form(content: bytes, name: str = "a.png") -> bytes:
    """The body of an upload."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    return head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def file(path: str) -> dict[str, Any]:
    """An uploaded file as the page names it in events."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def click_at(x: int, y: int) -> dict[str, Any]:
    """Of a click on a picture."""
    return {"index": [x, y], "value": None}


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


def image_data(visitor: Visitor) -> list[Any]:
    return [file(visitor.upload(png(picture(60, 80, ("red", 10, 10, 40, 30))))), TASK, "", *STYLE]
