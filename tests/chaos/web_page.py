"""Requests to the web page that no browser on it would make, and many that browsers make at once.

All go to one server, which must answer the last one as it did the first. `ROUTES` are those of the Gradio that was
tested; tests/web/test_gradio_routes.py compares them with those of the one that is installed.
"""

from __future__ import annotations

import http.client
import random
import re
import socket
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.chaos.campaign import FAILURE, RIGHT, Case, Outcome
from tests.chaos.mutations import BYTES
from tests.chaos.visitors import (
    FORM,
    JSON,
    LIMITS,
    Action,
    Page,
    Told,
    Visitor,
    answered,
    events_of,
    file,
    form,
    image_data,
    page,
    png,
    refused,
    told,
)
from tests.chaos.web_uploads import raw, uploads
from tests.chaos.web_visits import ALL_SERVED_WITHIN, visits
from tests.fakes import picture

COUNT = 371
GARBAGE = 20
GROWTH_MB = 200
"""By which the memory of the server may grow through all requests, the first of which fill caches."""

OPEN = frozenset(
    {
        "GET /",
        "GET /assets/{path:path}",
        "GET /config",
        "GET /favicon.ico",
        "GET /gradio_api/file={path_or_url:path}",
        "GET /gradio_api/heartbeat/{session_hash}",
        "GET /gradio_api/queue/data",
        "GET /gradio_api/startup-events",
        "GET /gradio_api/upload_progress",
        "GET /manifest.json",
        "GET /robots.txt",
        "GET /static/{path:path}",
        "GET /svelte/{path:path}",
        "GET /theme.css",
        "HEAD /",
        "HEAD /gradio_api/file={path_or_url:path}",
        "POST /gradio_api/cancel",
        "POST /gradio_api/queue/join",
        "POST /gradio_api/reset",
        "POST /gradio_api/run/{api_name}",
        "POST /gradio_api/upload",
    }
)
"""Routes that the page needs."""
CLOSED = frozenset(
    {
        "GET /gradio_api/app_id",
        "GET /gradio_api/call/v2/{api_name}/{event_id}",
        "GET /gradio_api/call/{api_name}/{event_id}",
        "GET /gradio_api/custom_component/{id}/{environment}/{type}/{file_name}",
        "GET /gradio_api/deep_link",
        "GET /gradio_api/dev/reload",
        "GET /gradio_api/file/{path:path}",
        "GET /gradio_api/info",
        "GET /gradio_api/login_check",
        "GET /gradio_api/openapi.json",
        "GET /gradio_api/proxy={url_path:path}",
        "GET /gradio_api/queue/status",
        "GET /gradio_api/run-history/buckets",
        "GET /gradio_api/run-history/records",
        "GET /gradio_api/run-history/records/{endpoint}/{record_id}/assets/{asset_id}",
        "GET /gradio_api/runs",
        "GET /gradio_api/stream/{session_hash}/{run}/{component_id}/playlist-file",
        "GET /gradio_api/stream/{session_hash}/{run}/{component_id}/playlist.m3u8",
        "GET /gradio_api/stream/{session_hash}/{run}/{component_id}/{segment_id}.{ext}",
        "GET /gradio_api/theme.css",
        "GET /gradio_api/token",
        "GET /gradio_api/user",
        "GET /gradio_api/vibe-code",
        "GET /logout",
        "GET /monitoring",
        "GET /monitoring/summary",
        "GET /monitoring/{key}",
        "GET /openapi.json",
        "GET /pwa_icon",
        "GET /pwa_icon/{size}",
        "HEAD /gradio_api/proxy={url_path:path}",
        "HEAD /openapi.json",
        "POST /gradio_api/api/{api_name}",
        "POST /gradio_api/call/v2/{api_name}",
        "POST /gradio_api/call/{api_name}",
        "POST /gradio_api/component_server",
        "POST /gradio_api/process_recording",
        "POST /gradio_api/run-history/connect",
        "POST /gradio_api/stream/{event_id}",
        "POST /gradio_api/stream/{event_id}/close",
        "POST /gradio_api/undo-vibe-edit",
        "POST /gradio_api/vibe-code",
        "POST /gradio_api/vibe-edit",
        "POST /gradio_api/vibe-starter-queries",
        "POST /login",
    }
)
"""All others."""
FILE_ROUTES = (
    "/gradio_api/file=",
    "/gradio_api/file/",
    "/gradio_api/proxy=",
    "/gradio_api/custom_component/1/client/component/",
    "/gradio_api/run-history/records/predict/1/assets/",
    "/static/",
    "/assets/",
    "/svelte/",
)


def tricks(place: Page) -> dict[str, str]:
    """Paths that lead to a file which is not the page's, as they stand in an address."""
    secret, up = quote(str(place.secret)), "../" * 12
    return {
        "absolute": secret,
        "absolute with two slashes": f"/{secret}",
        "upwards": up + secret[1:],
        "upwards, escaped": up.replace("/", "%2f") + secret[1:],
        "upwards, escaped twice": up.replace("/", "%252f") + secret[1:],
        "upwards, dots escaped": "%2e%2e/" * 12 + secret[1:],
        "upwards, backslashes": "..%5c" * 12 + secret[1:],
        "upwards from the workspace": f"{place.workspace}/{up}{secret[1:]}",
        "doubled dots": "....//" * 12 + secret[1:],
        "a file: address": f"file://{secret}",
        "an address": "http://127.0.0.1:1/secret.png",
        "cut by NUL": f"{secret}%00.png",
        "a line break": f"{secret}%0d%0aX-Header:%20a",
        "no UTF-8": "%ff%fe%80",
        "5,000 letters": "x" * 5000,
        "the workspace itself": str(place.workspace),
        "a home": "~/.ssh/id_rsa",
        "of the process": "/proc/self/environ",
    }


def _routes() -> Iterator[tuple[str, Action]]:
    for route in sorted(OPEN | CLOSED):
        if route == "GET /gradio_api/heartbeat/{session_hash}":
            continue  # does not end; see the visitors who leave
        yield route, partial(_route, route)


def _route(route: str, place: Page) -> Outcome:
    method, path = route.split(" ")
    path = re.sub(r"\{.*?\}", "1", path.replace("{api_name}", "predict"))
    answer = Visitor(place).ask(method, path, "{}" if method == "POST" else None, JSON)
    outcome = answered(answer) if route in OPEN else refused(answer)
    if route in CLOSED and answer.status != 404:
        return Outcome(FAILURE, f"a closed route answers with {answer.status}")
    return outcome


def _file_routes(place: Page) -> Iterator[tuple[str, Action]]:
    for route in FILE_ROUTES:
        for name in tricks(place):
            yield f"{route}, {name}", partial(_trick, route, name)


def _trick(route: str, name: str, place: Page) -> Outcome:
    return refused(Visitor(place).ask("GET", route + tricks(place)[name]))


def _strangers() -> Iterator[tuple[str, Action]]:
    """Requests of other pages: by a name that leads to this machine, or of another origin."""
    hosts = (
        "evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.7",
        "localhost.evil.example",
        "",
        "[::1",
        "a:b:c",
    )
    for host in hosts:
        yield f"Host {host!r}", partial(_stranger, "GET", {"Host": host})
    for origin in ("http://evil.example", "http://127.0.0.1:1", "null", "https://localhost", "file://"):
        for method in ("GET", "POST", "OPTIONS"):
            yield f"{method} of the origin {origin}", partial(_stranger, method, {"Origin": origin})
    for site in ("cross-site", "same-site"):
        for method in ("GET", "POST"):
            yield f"{method} of a {site}", partial(_stranger, method, {"Sec-Fetch-Site": site})


def _stranger(method: str, headers: dict[str, str], place: Page) -> Outcome:
    before = set(place.workspace.rglob("*"))
    path = "/config" if method == "GET" else "/gradio_api/upload"
    body = form(b"an upload") if method == "POST" else None
    answer = Visitor(place).ask(method, path, body, {**(FORM if body else {}), **headers})
    if "access-control-allow-origin" in answer.headers or set(place.workspace.rglob("*")) - before:
        return Outcome(FAILURE, f"another page may read or write: {answer.headers}")
    return refused(answer)


def _foreign_files(place: Page) -> Iterator[tuple[str, Action]]:
    """Events with files that nobody uploaded."""
    for event in ("image-start click", "click-picture upload", "click-picture select", "video-start click"):
        for name in ("absolute", "upwards from the workspace", "a file: address", "of the process"):
            yield f"{event}, {name}", partial(_foreign_file, event, tricks(place)[name])
        yield f"{event}, an address in place of a file", partial(_address, event)


def _foreign_file(name: str, path: str, place: Page) -> Outcome:
    visitor = Visitor(place)
    event = events_of(place)[name]
    outcomes = []
    for value in (
        file(path),
        {"path": path},
        {"video": {"path": path}},
        {"path": path, "meta": {}, "url": path},
    ):
        data = [value if kind in ("image", "video") else None for kind in event.inputs]
        outcomes.append(refused(visitor.join(event, data)))
    return next((outcome for outcome in outcomes if outcome.kind == FAILURE), outcomes[0])


def _address(name: str, place: Page) -> Outcome:
    """The server must not ask another one for it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        url = f"http://127.0.0.1:{other.getsockname()[1]}/a.png"
        visitor = Visitor(place)
        outcome = _foreign_file(name, url, place)
        for route in ("/gradio_api/file=", "/gradio_api/proxy="):
            visitor.ask("GET", route + url)
        other.settimeout(0.3)
        try:
            other.accept()
        except TimeoutError:
            return outcome
    return Outcome(FAILURE, "the server has fetched an address")


WRONG: dict[int, Iterable[Any]] = {
    0: (None, 5, "text", [1], {"path": 5}, {"path": None}, {}),
    1: ("x", None, 5, ["a"], {"a": 1}),
    2: (5, ["a"], {"a": 1}, "x" * 20_000, ",".join(map(str, range(300))), "\0", "things: ; stuff:"),
    3: ("high", None, 1e308, -1, []),
    4: ("x", None, 7, {}),
    5: ("yes", None, []),
}
"""Values of the picture, task, words, score, opacity and colours that the page does not send."""


def _wrong_values() -> Iterator[tuple[str, Action]]:
    for position, values in WRONG.items():
        for number, value in enumerate(values):
            yield f"input {position}, {str(value)[:20]!r} ({number})", partial(_wrong_value, position, value)
    for length in (0, 1, 5, 7, 500):
        yield f"{length} values", partial(_wrong_count, length)
    for index in (5, ["a", "b"], [1e308, 1e308], [-5, -5], [1, 2, 3], None):
        yield f"a click at {index}", partial(_wrong_click, {"index": index, "value": None})
    for value in (None, {}, []):
        yield f"a click that is {value}", partial(_wrong_click, value)


def _wrong_value(position: int, value: Any, place: Page) -> Outcome:
    visitor = Visitor(place)
    data = image_data(visitor)
    data[position] = value
    return told(lambda: visitor.do(events_of(place)["image-start click"], data))


def _wrong_count(length: int, place: Page) -> Outcome:
    visitor = Visitor(place)
    data = (image_data(visitor) * 100)[:length]
    return told(lambda: visitor.do(events_of(place)["image-start click"], data))


def _wrong_click(value: Any, place: Page) -> Outcome:
    visitor = Visitor(place)
    given = file(visitor.upload(png(picture(60, 80, ("red", 10, 10, 40, 30)))))
    visitor.do(events_of(place)["click-picture upload"], [given])
    event = events_of(place)["click-picture select"]
    data = [None, given, "Part of the object (+)", *([None] * (len(event.inputs) - 3))]
    return told(lambda: visitor.do(event, data, event_data=value))


def _garbage(seed: str) -> Iterator[tuple[str, Action]]:
    body = b'{"fn_index": 0, "session_hash": "a", "data": [null, null, null, 0, 0, false]}'
    head = f"POST /gradio_api/queue/join HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    for number in range(GARBAGE):
        rng = random.Random(f"{seed} {number}")
        damage = rng.choice(list(BYTES.values()))
        yield f"damaged request {number}", partial(raw, damage(head.encode() + body, rng))


def _all(seed: int, place: Page, world: Path) -> Iterator[tuple[str, Action]]:
    yield from _routes()
    yield from _file_routes(place)
    yield from _strangers()
    yield from _foreign_files(place)
    yield from _wrong_values()
    yield from uploads(world)
    yield from visits().items()
    yield from _garbage(f"garbage {seed}")


def _run(action: Action, place: Page, folder: Path) -> Outcome:
    try:
        outcome = action(place)
    except (OSError, http.client.HTTPException, Told) as error:
        outcome = Outcome(FAILURE, f"{type(error).__name__}: {error}")
    if (status := Visitor(place).ask("GET", "/").status) != 200:
        return Outcome(FAILURE, f"the page answers with {status} afterwards; {outcome.text}")
    return outcome


def _afterwards(megabytes: float, handles: int, place: Page, folder: Path) -> Outcome:
    """The server has neither grown nor kept connections or files."""
    deadline = time.monotonic() + 15
    while place.handles > handles + 5 and time.monotonic() < deadline:
        time.sleep(0.2)  # connections that were left are noticed by and by
    grown, more = place.megabytes - megabytes, place.handles - handles
    stored = sum(path.stat().st_size for path in place.workspace.rglob("*") if path.is_file()) / 2**20
    figures = f"the server grew by {grown:.0f} MB; {more} more open handles; {stored:.1f} MB of files kept"
    holds = grown < GROWTH_MB and more <= 5 and stored <= LIMITS["stored_mb"]
    return Outcome(RIGHT, figures=figures) if holds else Outcome(FAILURE, figures)


def cases(seed: int, count: int, world: Path) -> Iterator[Case]:
    """All of them, or `count` that the seed chooses; the last one looks at what the others have left."""
    with page(world / "page") as place:
        found = list(_all(seed, place, world))
        if count <= len(found):
            found = random.Random(f"web page {seed}").sample(found, count - 1)
        events_of(place)  # for the forks, too
        before = place.megabytes, place.handles
        for name, action in found:
            yield Case(name, partial(_run, action, place), seconds=2 * ALL_SERVED_WITHIN)
        yield Case("afterwards", partial(_afterwards, *before, place))
