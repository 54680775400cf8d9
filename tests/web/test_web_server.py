import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
START = """
import os, sys
from omgseg.inference import OMGSegInferencer
from omgseg.web import serve
from tests.fakes import FakeSegmenter
seg = OMGSegInferencer(FakeSegmenter())
serve(seg, port=0, ready=lambda address: print(address, os.environ["GRADIO_TEMP_DIR"], flush=True))
print("ended", flush=True)
"""


def test_the_page_lives_on_loopback_and_leaves_nothing_behind(tmp_path):
    pytest.importorskip("gradio", reason="Gradio is not installed (omgseg[web])")
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    server = subprocess.Popen(
        [sys.executable, "-c", START], stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    )
    try:
        address, folder = server.stdout.readline().split()
        assert address.startswith("http://127.0.0.1:") and os.path.isdir(folder)
        open(os.path.join(folder, "upload"), "w").close()
        with urllib.request.urlopen(address) as answer:
            assert b"gradio_config" in answer.read()
        for path in (__file__, "/etc/hostname"):
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(f"{address}gradio_api/file={path}")
        server.send_signal(signal.SIGTERM)
        assert server.communicate(timeout=20)[0].endswith("ended\n") and server.returncode == 0
    finally:
        server.kill()
    assert not os.path.exists(folder)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_without_gradio_the_error_says_what_to_install():
    code = "import sys; sys.modules['gradio'] = None\nimport omgseg.web"
    failed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert failed.returncode and 'pip install "omgseg[web]"' in failed.stderr


def test_large_uploads_are_refused_by_the_server_itself(site):
    """Whatever a browser's own check says."""
    body = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        + bytes(3 << 20)
        + b"\r\n--x--\r\n"
    )
    request = urllib.request.Request(
        f"{site.url}gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=x"}
    )
    before = {path for path in site.workspace.path.rglob("*") if path.is_file()}
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        urllib.request.urlopen(request)
    assert {path for path in site.workspace.path.rglob("*") if path.is_file()} == before
    urllib.request.urlopen(site.url).close()


def test_a_taken_port_is_named(site, monkeypatch):
    from omgseg.web import serve

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(site.workspace.path))  # which another page's workspace replaces
    port = int(site.url.rstrip("/").rpartition(":")[2])
    with pytest.raises(OSError, match=f"port {port}"):
        serve(site.seg, port=port)
