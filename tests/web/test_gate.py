"""Requests that no browser on the page would make."""

import asyncio
import json
import os
import socket
import time
from pathlib import Path

import httpx
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="Gradio is not installed (omgseg[web])")

from omgseg.web import Limits
from omgseg.web.gate import Gate, Hosts
from omgseg.web.uploads import Workspace

FILE = {"_type": "gradio.FileData"}


@pytest.fixture
def client(site):
    with httpx.Client(base_url=site.url, timeout=20) as client:
        yield client


@pytest.fixture(scope="module")
def secret(tmp_path_factory) -> Path:
    """A picture of the server that nobody uploaded."""
    path = tmp_path_factory.mktemp("private") / "secret.png"
    Image.new("RGB", (32, 32), "red").save(path)
    return path


def join(client, number: int, data: list) -> httpx.Response:
    body = {"fn_index": number, "session_hash": os.urandom(5).hex(), "data": data}
    return client.post("gradio_api/queue/join", json=body)


def file_events(client) -> dict[int, list[str]]:
    """The events of the page that take a file, with the kinds of all their inputs."""
    config = client.get("config").json()
    kinds = {block["id"]: block["type"] for block in config["components"]}
    events = {event["id"]: [kinds[number] for number in event["inputs"]] for event in config["dependencies"]}
    return {number: inputs for number, inputs in events.items() if {"image", "video"} & set(inputs)}


def test_no_event_takes_a_file_that_was_not_uploaded(client, site, secret):
    outside = site.workspace.path / "link.png"
    outside.symlink_to(secret)
    paths = [
        str(secret),
        f"{secret}.missing",
        str(outside),
        f"{site.workspace.path}/../{secret.name}",
        "secret.png",
    ]
    paths += ["http://127.0.0.1:1/a.png", "", "\0", f"/{'x' * 5000}", ["a"], None]
    events = file_events(client)
    assert len(events) >= 3
    answers = set()
    for number, inputs in events.items():
        for path in paths:
            for meta in ({}, {"meta": FILE}, {"meta": {}}, {"url": "/gradio_api/file=x"}):
                file = {"path": path, **meta}
                for value in (file, {"video": file}, [{"deep": file}]):
                    data = [value if kind in ("image", "video") else None for kind in inputs]
                    answer = join(client, number, data)
                    answers.add((answer.status_code, answer.text))
    assert len(answers) == 1 and next(iter(answers))[0] == 400, "the answer tells which files there are"
    outside.unlink()


def test_a_component_itself_refuses_foreign_paths(tmp_path, secret):
    """Behind the gate, for each component that takes a file."""
    import gradio as gr
    from gradio.data_classes import FileData, ImageData

    from omgseg.web.uploads import Refused, as_uploaded

    workspace = Workspace()
    inside = workspace.new_folder() / "a.png"
    inside.touch()
    for component, data in ((gr.Image(), ImageData), (gr.Video(), FileData)):
        taking = as_uploaded(component, workspace)
        assert taking.preprocess(None) is None
        assert taking.preprocess(data(path=str(inside))) == str(inside)
        for path in (secret, f"{secret}.missing", "a.png"):
            with pytest.raises(Refused, match="not uploaded"):
                taking.preprocess(data(path=str(path)))
    workspace.close()


def test_files_outside_of_the_workspace_are_not_served(client, site, secret):
    link = site.workspace.path / "link.png"
    link.symlink_to(secret)
    for path in (
        secret,
        f"{secret}.missing",
        link,
        "/etc/hostname",
        f"{site.workspace.path}/../x",
        "http://a/b",
    ):
        assert client.get(f"gradio_api/file={path}").status_code == 403
    link.unlink()


def test_the_gate_does_not_rely_on_what_is_behind_it(site, secret):
    """Gradio's own check of these paths may change."""

    async def give_anything(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a file"})

    async def ask(path) -> int:
        gate = Gate(give_anything, Hosts("127.0.0.1"), Limits(), site.workspace, events=())
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(gate), base_url="http://127.0.0.1"
        ) as client:
            return (await client.get(f"/gradio_api/file={path}")).status_code

    assert asyncio.run(ask(site.workspace.path / "own.png")) == 200
    for path in (secret, f"{secret}.missing", "own.png"):
        assert asyncio.run(ask(path)) == 403


@pytest.mark.parametrize("path", ["queue/join", "upload"])
@pytest.mark.parametrize("drips", [False, True])
def test_a_body_that_does_not_arrive_in_time_ends_the_request(path, drips):
    """It keeps no room for an upload any longer."""
    workspace = Workspace(Limits(upload_mb=1, stored_mb=2))
    limits = Limits(pause_seconds=0.2, request_seconds=0.5)
    answers = []

    async def read_all(scope, receive, send):
        while (message := await receive())["type"] == "http.request":
            assert message["more_body"]
        await send({"type": "http.response.start", "status": 500, "headers": []})
        raise RuntimeError("the visitor has left")

    async def receive():
        await asyncio.sleep(0.05 if drips else 60)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message):
        answers.append(message)

    headers = [(b"host", b"localhost"), (b"content-length", b"1000000")]
    scope = {"type": "http", "method": "POST", "path": f"/gradio_api/{path}", "headers": headers}
    gate = Gate(read_all, Hosts("127.0.0.1"), limits, workspace, events=())
    began = time.monotonic()
    asyncio.run(gate(scope, receive, send))
    assert time.monotonic() - began < 5
    assert answers[0]["status"] == 408 and b"did not arrive in time" in answers[1]["body"]
    assert (b"connection", b"close") in answers[0]["headers"]
    with workspace.reserved(2 << 20):
        pass
    workspace.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "gradio_api/proxy=https://a.hf.space/x"),
        ("POST", "gradio_api/run/segment"),
        ("POST", "gradio_api/call/segment"),
        ("POST", "gradio_api/component_server"),
        ("POST", "gradio_api/process_recording"),
        ("GET", "monitoring"),
        ("GET", "gradio_api/info"),
        ("PUT", ""),
    ],
)
def test_routes_that_the_page_does_not_need_are_closed(client, method, path):
    assert client.request(method, path, json={} if method == "POST" else None).status_code == 404


def test_a_path_that_no_system_can_hold_is_not_there(client):
    for route in ("static/", "assets/", "svelte/"):
        assert client.get(route + "x" * 5000).status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.7", "", "[::1", "a:b:c"])
def test_other_host_names_are_refused(client, host):
    assert client.get("", headers={"Host": host}).status_code in (400, 421)
    assert client.get("", headers={"Host": "localhost:7860"}).status_code == 200


def test_names_of_the_server():
    local = Hosts("127.0.0.1", ["Pages.example"])
    for host in ("127.0.0.1:7860", "localhost", "[::1]:80", "pages.example", "pages.example:443"):
        assert local.accepts(host)
    assert not local.accepts("192.168.1.5:7860") and not local.accepts("example")
    everywhere = Hosts("0.0.0.0")
    for host in ("192.168.1.5:7860", "[fe80::1]:80", "localhost", socket.gethostname()):
        assert everywhere.accepts(host)
    assert not everywhere.accepts("evil.example")
    assert local.is_own("https://pages.example", "127.0.0.1:7860")
    assert local.is_own("http://127.0.0.1:7860", "127.0.0.1:7860")
    assert not local.is_own("http://127.0.0.1:8000", "127.0.0.1:7860") and not local.is_own(
        "null", "localhost"
    )


def test_other_pages_can_neither_read_nor_upload(client, site, photo):
    port = httpx.URL(site.url).port
    for origin in ("http://evil.example", f"http://127.0.0.1:{port + 1}", "null"):
        sent = client.post(
            "gradio_api/upload", files={"files": ("a.png", photo.read_bytes())}, headers={"Origin": origin}
        )
        assert sent.status_code == 403
        asked = client.get("config", headers={"Origin": origin})
        assert asked.status_code == 403 and "access-control-allow-origin" not in asked.headers
        ahead = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        assert client.options("gradio_api/upload", headers=ahead).status_code == 403
    assert client.get("config", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    navigating = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("", headers=navigating).status_code == 200
    own = client.post(
        "gradio_api/upload",
        files={"files": ("a.png", photo.read_bytes())},
        headers={"Origin": site.url.rstrip("/")},
    )
    assert own.status_code == 200 and site.workspace.holds(own.json()[0])


@pytest.mark.parametrize(
    "content",
    [
        {"fn_index": 99, "session_hash": "x", "data": []},
        {"fn_index": -1, "session_hash": "x", "data": []},
        {"fn_index": True, "session_hash": "x", "data": []},
        {"fn_index": 0, "data": []},
        {"fn_index": 0, "session_hash": "x", "data": None},
        {"fn_index": 0, "session_hash": {}, "data": []},
        [],
        "no JSON",
    ],
)
def test_nonsense_is_answered_as_a_mistake_of_the_request(client, content):
    body = content if isinstance(content, str) else json.dumps(content)
    answer = client.post("gradio_api/queue/join", content=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500


def test_odd_names_of_uploads_do_not_break_the_server(client, photo):
    for name in ("", ".", "..", "/", "a/../..", "\\", "x" * 3000, "?"):
        body = (
            b'--x\r\nContent-Disposition: form-data; name="files"; filename="'
            + name.encode()
            + b'"\r\n\r\nabc\r\n--x--\r\n'
        )
        answer = client.post(
            "gradio_api/upload", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"}
        )
        assert answer.status_code < 500, name
    deep = b'{"data": ' + b"[" * 200_000
    assert client.post("gradio_api/queue/join", content=deep).status_code == 400
    long = b'{"data": ["' + b"x" * (2 << 20) + b'"]}'
    assert client.post("gradio_api/queue/join", content=long).status_code == 413


def test_all_files_together_are_bounded_and_the_oldest_make_room():
    workspace = Workspace(Limits(upload_mb=1, stored_mb=3))
    folders = []
    for number in range(3):
        folders.append(workspace.new_folder())
        (folders[-1] / "a.bin").write_bytes(bytes(1 << 20))
        for path in (folders[-1] / "a.bin", folders[-1]):
            os.utime(path, (time.time() - 100 + number,) * 2)
    with workspace.reserved(1 << 20):
        assert [folder.exists() for folder in folders] == [False, False, True]
        with workspace.reserved(1 << 20):
            assert not folders[2].exists()
            with pytest.raises(ValueError, match="Too many uploads"), workspace.reserved(2 << 20):
                pass
    workspace.close()


def test_halves_of_uploads_go_with_the_last_one_that_arrives():
    workspace = Workspace(Limits(upload_mb=1, stored_mb=3))
    whole, half = workspace.new_folder(), workspace.path / "tmpabc123"
    with workspace.reserved(1000):
        half.write_bytes(b"half an upload")
        with workspace.reserved(1000):
            pass
        assert half.exists(), "it may be that of another visitor, which still arrives"
    assert whole.exists() and not half.exists()
    workspace.close()


def test_uploads_that_nobody_uses_are_removed_by_their_age():
    workspace = Workspace(Limits(keep_minutes=1))
    kept, forgotten = workspace.new_folder(), workspace.path / "tmp123"
    forgotten.write_bytes(b"half an upload")
    os.utime(forgotten, (time.time() - 61,) * 2)
    workspace.clean()
    assert kept.exists() and not forgotten.exists()
    workspace.close()


def test_uploads_together_may_not_exceed_what_is_kept():
    with pytest.raises(ValueError, match="stored_mb"):
        Limits(upload_mb=100, stored_mb=50)
