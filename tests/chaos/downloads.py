"""Downloads from a stand-in of the hub on this machine: the right file or one sentence, no half file in the cache."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tests.chaos.campaign import CLEAR, FAILURE, RIGHT, Case, Outcome
from tests.chaos.world import MADE

GOLDEN = os.environ.get("OMGSEG_GOLDEN", "")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROOT = Path(__file__).parents[2]
LOCATION = "hf://owner/model/weights.safetensors"
READ = """
import hashlib, pathlib, sys
from omgseg.models.checkpoints.hub import local_file, model_folder
try:
    path = local_file(sys.argv[1]) if "://" in sys.argv[1] else model_folder(sys.argv[1], True) / "model.safetensors"
    print("sha", hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest())
except (FileNotFoundError, ValueError) as error:
    print("error", " ".join(str(error).split()))
"""
"""What a user's process does."""


class Hub(BaseHTTPRequestHandler):
    """Answers what huggingface_hub asks. How it misbehaves is an attribute of the server."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        server: Any = self.server
        server.requests.append(self.path)
        if self.path.startswith("/api/models/"):
            sizes = {
                "config.json": 2,
                "model.safetensors": len(server.data),
                "weights.safetensors": len(server.data),
            }
            if "/tree/" in self.path:
                content = [
                    dict(type="file", path=name, size=size, oid=COMMIT) for name, size in sizes.items()
                ]
            else:
                files = [{"rfilename": name} for name in sizes]
                content = {"id": "owner/model", "sha": COMMIT, "siblings": files}
            self._send(json.dumps(content).encode(), 200 if server.way != "404" else 404, with_body)
        elif "/resolve/" not in self.path or server.way == "404":
            self._send(b"", 404, with_body, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "not found"})
        elif server.way == "gated":
            self._send(b"", 401, with_body, {"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"})
        elif server.way == "500":
            self._send(b"", 500, with_body)
        else:
            self._send_file(with_body)

    def _send_file(self, with_body: bool) -> None:
        server: Any = self.server
        data = b"{}" if self.path.endswith("config.json") else server.data
        etag = hashlib.sha256(data).hexdigest()
        start = 0
        if with_body and (wanted := self.headers.get("Range")):
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            server.ranges.append(start)
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._send(data[start:], 206 if start else 200, with_body, headers)

    def _send(
        self, content: bytes, status: int, with_body: bool, headers: dict[str, str] | None = None
    ) -> None:
        server: Any = self.server
        self.send_response(status)
        stated = len(content)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(stated))
        self.end_headers()
        if not with_body:
            return
        if server.way in ("cut once", "cut always", "stops") and len(content) > 100 and not server.cut:
            server.cut = server.way == "cut once"
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            if server.way == "stops":
                time.sleep(600)
            self.close_connection = True
            self.connection.close()
            return
        if server.way == "too short" and len(content) > 100:
            content = content[:-50]
            self.close_connection = True
        if server.way == "slow":
            for start in range(0, len(content), 300):
                self.wfile.write(content[start : start + 300])
                self.wfile.flush()
                time.sleep(0.05)
            return
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def hub(data: bytes, way: str) -> Iterator[Any]:
    """A running stand-in; its `way` may be changed."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.daemon_threads = True
    server.data, server.way, server.cut, server.requests, server.ranges = data, way, False, [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()


def _start(server: Any, cache: Path, program: str = READ, *arguments: str, **more: str) -> subprocess.Popen:
    """A user's process; without arguments it reads ``LOCATION``."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DOWNLOAD_TIMEOUT": "3",
        "HF_HUB_ETAG_TIMEOUT": "3",
        "PYTHONPATH": str(ROOT),
        **more,
    }
    command = [sys.executable, "-c", program, *(arguments or [LOCATION])]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def _judged(process: subprocess.Popen, server: Any, cache: Path, seconds: float = 120) -> Outcome:
    said = process.communicate(timeout=seconds)[0].strip()
    right = hashlib.sha256(server.data).hexdigest()
    for file in cache.rglob("snapshots/*/*.safetensors"):
        if hashlib.sha256(file.read_bytes()).hexdigest() != right:
            return Outcome(FAILURE, f"a wrong file of {file.stat().st_size} bytes is in the cache; {said}")
    if said == f"sha {right}":
        return Outcome(RIGHT)
    if said.startswith("error hf:") and len(said) < 1000:
        return Outcome(CLEAR, said)
    return Outcome(FAILURE, f"status {process.returncode}: {said[-300:]}")


def _whole(server: Any, folder: Path) -> Outcome:
    return _judged(_start(server, folder / "cache"), server, folder / "cache")


def _model(server: Any, folder: Path) -> Outcome:
    """A whole repository by its short name."""
    return _judged(_start(server, folder / "cache", READ, "hf:owner/model"), server, folder / "cache")


def _at_a_commit(server: Any, folder: Path) -> Outcome:
    return _judged(_start(server, folder / "cache", READ, f"{LOCATION}@{COMMIT}"), server, folder / "cache")


def _killed_and_again(server: Any, folder: Path) -> Outcome:
    """Killed in the midst of the download; the next call fetches the rest or all."""
    server.way = "slow"
    process = _start(server, folder / "cache")
    deadline = time.monotonic() + 60
    while (
        not [path for path in folder.rglob("*.incomplete") if path.stat().st_size]
        and time.monotonic() < deadline
    ):
        time.sleep(0.01)
    process.kill()
    process.wait()
    server.way = "well"
    return _judged(_start(server, folder / "cache"), server, folder / "cache")


def _offline_with_cache(server: Any, folder: Path) -> Outcome:
    first = _whole(server, folder)
    asked = len(server.requests)
    second = _judged(_start(server, folder / "cache", HF_HUB_OFFLINE="1"), server, folder / "cache")
    if first.kind != RIGHT or len(server.requests) != asked:
        return Outcome(FAILURE, f"{first.text}; asked {server.requests[asked:]}")
    return second


def _offline_without_cache(server: Any, folder: Path) -> Outcome:
    outcome = _judged(_start(server, folder / "cache", HF_HUB_OFFLINE="1"), server, folder / "cache")
    return Outcome(FAILURE, "asked though offline") if server.requests else outcome


def _two_at_once(server: Any, folder: Path) -> Outcome:
    server.way = "slow"
    both = [_start(server, folder / "cache") for _ in range(2)]
    outcomes = [_judged(process, server, folder / "cache") for process in both]
    return next((outcome for outcome in outcomes if outcome.kind != RIGHT), outcomes[0])


WAYS: dict[str, tuple[str, Callable[[Any, Path], Outcome], str]] = {
    "whole": ("well", _whole, RIGHT),
    "a model by its name": ("well", _model, RIGHT),
    "at a commit": ("well", _at_a_commit, RIGHT),
    "slow": ("slow", _whole, RIGHT),
    "broken off and taken up again": ("cut once", _whole, RIGHT),
    "killed and called again": ("slow", _killed_and_again, RIGHT),
    "shorter than stated": ("too short", _whole, CLEAR),
    "not there": ("404", _whole, CLEAR),
    "gated": ("gated", _whole, CLEAR),
    "a broken server": ("500", _whole, CLEAR),
    "offline with a cache": ("well", _offline_with_cache, RIGHT),
    "offline without a cache": ("well", _offline_without_cache, CLEAR),
    "two processes at once": ("slow", _two_at_once, RIGHT),
}


class Published(NamedTuple):
    """A system whose published checkpoint is made from the names of its tensors.

    Attributes:
        config: of the model.
        golden: its folder below $OMGSEG_GOLDEN.
        keys: where its golden file has the names and shapes.
        file: the name of the checkpoint.
    """

    config: str
    golden: str
    keys: tuple[str, ...]
    file: str


PUBLISHED: dict[str, Published] = {
    "EdgeSAM": Published(
        "projects/edge_sam/configs/edge_sam.py", "edge_sam", ("full", "keys"), "edge_sam.pth"
    ),
    "MobileSAM": Published(
        "projects/mobile_sam/configs/mobile_sam.py", "mobile_sam", ("keys",), "mobile_sam.pt"
    ),
    "EfficientSAM": Published(
        "projects/efficient_sam/configs/efficient_sam_ti.py",
        "efficient_sam",
        ("keys",),
        "efficient_sam_vitt.pt",
    ),
    "SAM": Published("configs/sam/sam_vit_b.py", "sam", ("vit_b", "keys"), "sam_vit_b_01ec64.pth"),
}
COUNT = len(WAYS) + len(PUBLISHED) * bool(GOLDEN)
CLICK = """
import sys
import numpy as np, omgseg
from omgseg.protocols import Prompts
image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
answers = []
for weights in sys.argv[2:]:
    model = omgseg.load(sys.argv[1], weights, device="cpu")
    found = model.segment_prompts(
        model.encode_image(image), Prompts(points=np.array([[[80.0, 60.0]]]), labels=np.ones((1, 1), int))
    )
    answers.append((found.scores.tolist(), [mask["counts"] for mask in found.rles]))
print("same" if answers[0] == answers[1] and answers[0][1] else f"other masks: {answers}")
"""
"""Answers a click with the weights of two locations."""


def _checkpoint(system: Published, file: Path) -> None:
    """Write what is published, in form: a state dict of the published names and shapes."""
    sys.path.insert(0, GOLDEN)
    import filled

    content: Any = torch.load(Path(GOLDEN, system.golden, "golden.pt"), weights_only=True)
    for key in system.keys:
        content = content[key]
    torch.save({name: filled.filled(name, tuple(shape)) for name, shape in content.items()}, file)


def _load_published(name: str, folder: Path) -> Outcome:
    """A model answers a click from the hub as it does from the file."""
    system = PUBLISHED[name]
    file = folder / system.file
    _checkpoint(system, file)
    with hub(file.read_bytes(), "well") as server:
        location = f"hf://owner/model/{system.file}"
        process = _start(server, folder / "cache", CLICK, str(ROOT / system.config), location, str(file))
        said = process.communicate(timeout=280)[0].strip()
    if not said.endswith("same"):
        return Outcome(FAILURE, f"status {process.returncode}: {said[-300:]}")
    (cached,) = (folder / "cache").rglob(f"snapshots/*/{system.file}")
    whole = cached.read_bytes() == file.read_bytes()
    return Outcome(RIGHT) if whole else Outcome(FAILURE, "another file is in the cache")


def _run(name: str, world: Path, folder: Path) -> Outcome:
    way, act, expected = WAYS[name]
    data = (world / MADE / "weights.safetensors").read_bytes()
    with hub(data, way) as server:
        outcome = act(server, folder)
    if outcome.kind not in (expected, FAILURE):
        return Outcome(FAILURE, f"a {outcome.kind}, not a {expected}: {outcome.text}")
    return outcome


def cases(seed: int, count: int, world: Path) -> list[Case]:
    """All of them, or `count` that the seed chooses; published layouts only where $OMGSEG_GOLDEN is set."""
    found = [Case(name, partial(_run, name, world), seconds=300) for name in WAYS]
    if GOLDEN:
        found += [Case(f"{name} as published", partial(_load_published, name), 300) for name in PUBLISHED]
    return found if count >= len(found) else random.Random(f"downloads {seed}").sample(found, count)
