"""The gate: checks every request before it reaches Gradio.

Gradio serves more routes than the page needs, accepts requests to any ``Host`` and from foreign pages, and checks paths
only in requests that mark them as files. So the gate checks first:

- ``Host`` must name the server, against DNS rebinding (a foreign page whose name is made to resolve to this machine).
- Requests from pages of other origins are refused, including uploads by forms.
- Only the routes of the page are served.
- Files that a request names must be in the workspace. The answer does not tell whether other files exist.
- The size of bodies, and of all uploads together, is limited, and the time in which a body arrives; see
  :class:`~omgseg.web.uploads.Limits`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, MutableMapping
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from omgseg.files import parse_json
from omgseg.web.uploads import Limits, Refused, Workspace

LOGGER = logging.getLogger(__name__)
SECONDS_BETWEEN_CLEANINGS = 60
JSON_BYTES = 1 << 20
"""Largest body of a request without a file."""
FORM_BYTES = 1 << 16
"""Largest part of an upload beside the file."""
NOTHING = "There is nothing here."
UPLOAD, FILE = "/gradio_api/upload", "/gradio_api/file="
EVENTS = frozenset({"/gradio_api/queue/join", "/gradio_api/run/predict"})
"""Routes of events: those that wait in the queue, and those that run at once, such as stopping."""
READ = frozenset(
    {
        "/",
        "/config",
        "/favicon.ico",
        "/manifest.json",
        "/robots.txt",
        "/theme.css",
        "/gradio_api/queue/data",
        "/gradio_api/startup-events",
        "/gradio_api/upload_progress",
    }
)
READ_BELOW = ("/assets/", "/static/", "/svelte/", "/gradio_api/heartbeat/", FILE)
WRITE = EVENTS | {UPLOAD, "/gradio_api/cancel", "/gradio_api/reset"}

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class _Denied(Exception):
    """A request that the gate refuses."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _Arriving:
    """The `receive` of a request whose body must arrive in time; else it tells that the visitor has left."""

    def __init__(self, receive: Receive, limits: Limits) -> None:
        self._receive = receive
        self._longest_pause = limits.pause_seconds
        self._end = time.monotonic() + limits.request_seconds
        self._has_arrived = self._is_late = False

    @property
    def refusal(self) -> _Denied:
        """Why the request is not answered."""
        if self._is_late:
            return _Denied(408, "The request did not arrive in time.")
        return _Denied(400, "The request was not understood.")

    async def __call__(self) -> MutableMapping[str, Any]:
        if self._has_arrived:  # what comes now is the end of the visit, which may take any time
            return await self._receive()
        left = min(self._longest_pause, self._end - time.monotonic())
        try:
            message = await asyncio.wait_for(self._receive(), left)
        except asyncio.TimeoutError:
            self._is_late = True
            return {"type": "http.disconnect"}
        self._has_arrived = not message.get("more_body")
        return message


class Hosts:
    """The host names that requests may have.

    Args:
        bound: the address that the server listens on. For a loopback address only loopback names are accepted; else
            also any numeric address, which DNS rebinding cannot use, and the names of this machine.
        allowed: further names, those of a reverse proxy.
    """

    def __init__(self, bound: str, allowed: Iterable[str] = ()) -> None:
        self._proxies = {_name_of(name) for name in allowed}
        self._only_loopback = bound == "localhost" or _is_loopback(bound)
        self._names = {"localhost", bound.lower(), *self._proxies}
        if not self._only_loopback:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    def accepts(self, host: str) -> bool:
        """Whether a request's ``Host`` names this server."""
        name = _name_of(host)
        if name in self._names:
            return True
        address = _address(name)
        return address is not None and (address.is_loopback or not self._only_loopback)

    def is_own(self, origin: str, host: str) -> bool:
        """Whether a request's ``Origin`` is the page itself, requested with this ``Host``."""
        netloc = urlsplit(origin).netloc.lower()
        return bool(netloc) and (netloc == host.lower() or _name_of(netloc) in self._proxies)


class Gate:
    """An ASGI application in front of Gradio's.

    Args:
        app: Gradio's.
        hosts: the accepted host names.
        limits: limits of requests and uploads.
        workspace: the folder in which files must be.
        events: numbers of the page's events (``fn_index``).
    """

    def __init__(
        self, app: App, hosts: Hosts, limits: Limits, workspace: Workspace, events: Collection[int]
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._limits = limits
        self._workspace = workspace
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        try:
            headers = _headers(scope)
            self._check_origin(headers)
            path = self._check_route(scope)
            if scope["method"] != "POST":
                await self._run(scope, receive, send, lambda: _Denied(404, NOTHING))
                return
            arriving = _Arriving(receive, self._limits)
            if path == UPLOAD:
                with self._workspace.reserved(self._upload_bytes(headers)):
                    await self._run(scope, arriving, send, lambda: arriving.refusal)
            else:
                body = await _body(arriving)
                self._check_body(path, body)
                await self._run(scope, _replayed(body, arriving), send, lambda: arriving.refusal)
        except _Denied as denied:
            await _answer(send, denied.status, str(denied))
        except Refused as refused:
            await _answer(send, 503, str(refused))

    def _check_origin(self, headers: dict[str, str]) -> None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._hosts.accepts(host):
            raise _Denied(421, "This server does not answer to that name (omgseg web --allowed-host NAME).")
        if origin is not None and not self._hosts.is_own(origin, host):
            raise _Denied(403, "Requests of other pages are not accepted.")
        is_foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if is_foreign and headers.get("sec-fetch-mode") != "navigate":
            raise _Denied(403, "Requests of other pages are not accepted.")

    def _check_route(self, scope: Scope) -> str:
        method, path = scope["method"], scope["path"]
        if method in ("GET", "HEAD"):
            if path in READ or path.startswith(READ_BELOW):
                if path.startswith(FILE) and not self._workspace.holds(path.removeprefix(FILE)):
                    raise _Denied(403, "This file is not one of the page's.")
                return path
        elif method == "POST" and path in WRITE:
            return path
        raise _Denied(404, NOTHING)

    def _upload_bytes(self, headers: dict[str, str]) -> int:
        length = headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()):
            raise _Denied(411, "An upload must say its length.")
        size = int(length)
        if size > self._limits.upload_bytes + FORM_BYTES:
            raise _Denied(
                413, f"File size exceeds the maximum allowed size of {self._limits.upload_mb:g} MB."
            )
        return size

    def _check_body(self, path: str, body: bytes) -> None:
        """Raises _Denied if the body is not a request of the page."""
        try:
            content = parse_json(body)
        except ValueError:
            raise _Denied(400, "The request is not JSON.") from None
        if not isinstance(content, dict):
            raise _Denied(400, "The request is not a JSON object.")
        if path in EVENTS:
            number, data = content.get("fn_index"), content.get("data")
            if type(number) is not int or number not in self._events:
                raise _Denied(400, "The page has no such event.")
            if not isinstance(data, list):
                raise _Denied(400, "The request holds no list of values.")
        if not all(
            isinstance(named, str) and self._workspace.holds(named) for named in _named_files(content)
        ):
            raise _Denied(400, "The request names a file that was not uploaded.")

    async def _run(self, scope: Scope, receive: Receive, send: Send, refusal: Callable[[], _Denied]) -> None:
        """Run Gradio; its internal errors become a refusal, as only requests that are not of the page cause them."""
        failed = False

        async def checked(message: MutableMapping[str, Any]) -> None:
            nonlocal failed
            if message["type"] == "http.response.start" and message["status"] == 500:
                failed = True
                denied = refusal()
                await _answer(send, denied.status, str(denied))
            if not failed:
                await send(message)

        try:
            await self._app(scope, receive, checked)
        except Exception:
            if not failed:
                raise
            LOGGER.warning("a request was not understood", exc_info=True)


def guarding(
    hosts: Hosts, limits: Limits, workspace: Workspace, events: Collection[int]
) -> Callable[[Any], Any]:
    """The lifespan of Gradio's application. It puts a :class:`Gate` before all of Gradio's middleware, and cleans the
    workspace while the server runs."""

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        app.middleware_stack = Gate(app.middleware_stack, hosts, limits, workspace, events)
        cleaning = asyncio.create_task(_clean(workspace))
        try:
            yield
        finally:
            cleaning.cancel()
            with suppress(asyncio.CancelledError):
                await cleaning

    return lifespan


async def _clean(workspace: Workspace) -> None:
    while True:
        await asyncio.sleep(SECONDS_BETWEEN_CLEANINGS)
        await asyncio.to_thread(workspace.clean)


def _headers(scope: Scope) -> dict[str, str]:
    """Headers by lower-case names. Raises _Denied if an important one occurs twice, which browsers never send."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        if key in headers and key in ("host", "origin", "content-length"):
            raise _Denied(400, f"The request has more than one header {key}.")
        headers[key] = value.decode("latin-1")
    return headers


async def _body(arriving: _Arriving) -> bytes:
    parts, size = [], 0
    while True:
        message = await arriving()
        if message["type"] == "http.disconnect":
            raise arriving.refusal
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > JSON_BYTES:
            raise _Denied(413, "The request is too long.")
        if not message.get("more_body"):
            return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that first gives a body that was read already."""
    rest = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replay() -> MutableMapping[str, Any]:
        for message in rest:
            return message
        return await receive()

    return replay


async def _answer(send: Send, status: int, message: str) -> None:
    body = json.dumps({"detail": message}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),  # nobody reads the rest of the request
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _named_files(content: Any) -> list[Any]:
    """The paths of all file objects in a request, at any depth."""
    paths, waiting = [], [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "path" in value:
                paths.append(value["path"])
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return paths


def _name_of(host: str) -> str:
    """The name in ``name``, ``name:port`` or ``[address]:port``; empty for other texts."""
    with suppress(ValueError):
        return (urlsplit(f"//{host}").hostname or "").rstrip(".").lower()
    return ""


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    with suppress(ValueError):
        return ipaddress.ip_address(name)
    return None


def _is_loopback(name: str) -> bool:
    address = _address(name.strip("[]"))
    return address is not None and address.is_loopback
