"""Uploads to the web page that are too large, odd, slow, broken off, or only announced."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from tests.chaos.campaign import CLEAR, FAILURE, RIGHT, Outcome
from tests.chaos.visitors import (
    BOUNDARY,
    FORM,
    JSON,
    LIMITS,
    SECONDS,
    SECRET,
    STYLE,
    TASK,
    Action,
    Page,
    Visitor,
    answered,
    events_of,
    file,
    form,
    told,
)
from tests.chaos.world import MADE

RAW_SECONDS = 0.5
"""In which the server answers bytes that are no whole request, or waits for more."""


def uploads(world: Path) -> Iterator[tuple[str, Action]]:
    large = int(LIMITS["upload_mb"] * 2**20) + 2**17
    yield "an upload that is too large", lambda place: _upload(place, form(bytes(large)))
    for length in ("-1", "1e6", "", "99999999999999999999", "+5", "５".encode().decode("latin-1")):
        yield f"an upload of length {length!r}", partial(_upload_of_length, length)
    yield (
        "two lengths",
        partial(
            raw,
            b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
            b"Content-Length: 6\r\n\r\nhello",
        ),
    )
    yield "chunks without a length", _chunked
    for name in ("", ".", "..", "a/../../b.png", "\\", "x" * 3000, "?", "a\0b", "%2e%2e", "CON", "ü" * 200):
        yield f"an upload called {name[:20]!r}", partial(_named, name)
    for boundary, body in (("x", b""), ("x", b"no form"), (BOUNDARY, b""), (BOUNDARY, form(b"a")[:-9])):
        yield f"a form of {len(body)} bytes, boundary {boundary[:3]}", partial(_form, boundary, body)
    yield "1,000 files in a form", lambda place: _upload(place, form(b"a").replace(b"--\r\n", b"\r\n") * 1000)
    yield "a deep JSON", lambda place: _json(place, b'{"data": ' + b"[" * 200_000)
    yield "a long JSON", lambda place: _json(place, b'{"data": ["' + b"x" * 2**21 + b'"]}')
    yield "NaN in JSON", lambda place: _json(place, b'{"fn_index": NaN, "data": [NaN], "session_hash": "a"}')
    yield "a page as a picture", partial(_stored, "a.html", b"<script>alert(1)</script>")
    yield "a drawing with a script", partial(_stored, "a.svg", b"<svg onload='alert(1)'/>")
    yield "a text as a picture", partial(_picture, b"hello")
    yield "a bomb as a picture", partial(_picture, _bomb())
    yield "an empty picture", partial(_picture, b"")
    yield "a text as a film", partial(_film, b"hello", FAILURE)
    yield "a play list as a film", partial(_film, b"#EXTM3U\n#EXTINF:1,\n/etc/hostname\n", FAILURE)
    yield "a film", partial(_film, (world / MADE / "film.mp4").read_bytes(), RIGHT)
    yield "an upload that stops", partial(_slow, "/gradio_api/upload", form(bytes(50_000)), FORM, None)
    yield "an upload that drips", partial(_slow, "/gradio_api/upload", form(bytes(50_000)), FORM, 0.5)
    yield "JSON that stops", partial(_slow, "/gradio_api/queue/join", b'{"data": []}', JSON, None)
    yield "JSON that drips", partial(_slow, "/gradio_api/queue/join", b'{"data": []}' * 10, JSON, 0.5)
    yield "an upload that is broken off", _broken_off
    yield "uploads that never come", _reserving


def _upload(place: Page, body: bytes) -> Outcome:
    return _sent(place, "/gradio_api/upload", body, FORM)


def _json(place: Page, body: bytes) -> Outcome:
    return _sent(place, "/gradio_api/queue/join", body, JSON)


def _sent(place: Page, path: str, body: Any, headers: dict[str, str]) -> Outcome:
    """What the server says to a request, which it may also refuse before it was read."""
    try:
        return answered(Visitor(place).ask("POST", path, body, headers))
    except (BrokenPipeError, ConnectionResetError):
        return Outcome(CLEAR, "the connection was closed")


def _upload_of_length(length: str, place: Page) -> Outcome:
    head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    return raw(head.encode("latin-1") + form(b"a"), place)


def raw(request: bytes, place: Page) -> Outcome:
    """Bytes to the socket; the server may answer, or close the connection."""
    answer = b""
    with socket.create_connection(("127.0.0.1", place.port), timeout=SECONDS) as connection:
        try:
            connection.sendall(request)
            connection.settimeout(RAW_SECONDS)
            while part := connection.recv(1 << 16):
                answer += part
        except (ConnectionError, TimeoutError):
            pass  # the server has closed it, or waits for the rest
    if SECRET in answer or b"Traceback" in answer or answer.startswith(b"HTTP/1.1 500"):
        return Outcome(FAILURE, repr(answer[:300]))
    return Outcome(CLEAR if answer.startswith(b"HTTP/1.1 4") else RIGHT, repr(answer[:60]))


def _chunked(place: Page) -> Outcome:
    return _sent(place, "/gradio_api/upload", iter([form(b"a")]), FORM)


def _named(name: str, place: Page) -> Outcome:
    outcome = _upload(place, form(b"an upload", name))
    outside = [
        path for path in place.folder.rglob("*") if path.is_file() and place.workspace not in path.parents
    ]
    return Outcome(FAILURE, f"wrote {outside}") if outside else outcome


def _form(boundary: str, body: bytes, place: Page) -> Outcome:
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return _sent(place, "/gradio_api/upload", body, headers)


def _stored(name: str, content: bytes, place: Page) -> Outcome:
    """What is uploaded must not run as a page of this server."""
    visitor = Visitor(place)
    answer = visitor.ask("GET", f"/gradio_api/file={visitor.upload(content, name)}")
    saved = "attachment" in answer.headers.get("content-disposition", "")
    return Outcome(RIGHT) if saved else Outcome(FAILURE, f"{name} is served as {answer.headers}")


def _bomb() -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (14_000, 14_000)).save(buffer, format="PNG")
    return buffer.getvalue()


def _picture(content: bytes, place: Page) -> Outcome:
    visitor = Visitor(place)
    outcomes = []
    for name, rest in (("image-start click", [TASK, "", *STYLE]), ("click-picture upload", [])):
        given = file(visitor.upload(content))
        outcomes.append(told(partial(visitor.do, events_of(place)[name], [given, *rest])))
    accepted = any(outcome.kind == RIGHT for outcome in outcomes)
    return Outcome(FAILURE, "accepted") if accepted else outcomes[0]


def _film(content: bytes, otherwise: str, place: Page) -> Outcome:
    """`otherwise`: what it is if the page makes a result of it."""
    visitor = Visitor(place)
    given = {"video": file(visitor.upload(content, "a.mp4"))}
    event = events_of(place)["video-start click"]
    outcome = told(lambda: visitor.do(event, [given["video"], TASK, "", *STYLE]))
    return Outcome(otherwise, "a result") if outcome.kind == RIGHT else outcome


def _slow(path: str, body: bytes, headers: dict[str, str], pause: float | None, place: Page) -> Outcome:
    """A byte after each pause, or none at all after the first half."""
    with socket.create_connection(("127.0.0.1", place.port), timeout=SECONDS) as connection:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        start = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{head}Content-Length: {len(body)}\r\n\r\n"
        began = time.monotonic()
        connection.sendall(start.encode() + body[: len(body) // 2])
        connection.settimeout(pause or SECONDS)
        answer = _drip(connection, body[len(body) // 2 :])
    took = time.monotonic() - began
    if not answer.startswith(b"HTTP/1.1 408"):
        return Outcome(FAILURE, f"after {took:.0f} s: {answer[:100]!r}")
    return _nothing_left(place, Outcome(CLEAR, f"408 after {took:.1f} s"))


def _nothing_left(place: Page, outcome: Outcome) -> Outcome:
    """Halves of uploads are deleted at once."""
    deadline = time.monotonic() + 5
    while left := list(place.workspace.glob("tmp*")):
        if time.monotonic() > deadline:
            return Outcome(FAILURE, f"left {left}")
        time.sleep(0.1)
    return outcome


def _drip(connection: socket.socket, rest: bytes) -> bytes:
    deadline = time.monotonic() + SECONDS
    for byte in rest:
        try:
            return connection.recv(1 << 16)
        except TimeoutError:
            if time.monotonic() > deadline:
                return b"no answer"
            connection.sendall(bytes([byte]))
    return b"all was sent"


def _broken_off(place: Page) -> Outcome:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", place.port), timeout=SECONDS) as connection:
            connection.sendall(_head(50_000) + form(bytes(50_000))[:30_000])
            time.sleep(0.1)
    return _nothing_left(place, Outcome(RIGHT))


def _head(length: int) -> bytes:
    head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM['Content-Type']}\r\n"
    return f"{head}Content-Length: {length}\r\n\r\n".encode()


def _reserving(place: Page) -> Outcome:
    """Uploads that are announced and never come keep their room for as long as a request may pause, and no longer."""
    announced = int(LIMITS["upload_mb"] * 2**20)
    waiting = []
    for _ in range(int(LIMITS["stored_mb"] / LIMITS["upload_mb"]) + 2):
        waiting.append(socket.create_connection(("127.0.0.1", place.port), timeout=SECONDS))
        waiting[-1].sendall(_head(announced) + b"--")
    deadline = time.monotonic() + LIMITS["pause_seconds"] + SECONDS
    try:
        while (answer := Visitor(place).ask("POST", "/gradio_api/upload", form(b"a"), FORM)).status == 503:
            if time.monotonic() > deadline:
                return Outcome(FAILURE, "uploads that never came keep others away")
            time.sleep(0.1)
        return answered(answer)
    finally:
        for connection in waiting:
            connection.close()
