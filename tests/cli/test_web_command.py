"""omgseg web hands the model to the page's server."""

import sys
import types

from omgseg.inference import OMGSegInferencer


def test_serves_the_model(run, model, monkeypatch):
    served = []

    def serve(seg, *, host, port, allowed_hosts, names, ready):
        ready(f"http://{host}:{port}")
        served.append((seg, allowed_hosts, names))

    monkeypatch.setitem(sys.modules, "omgseg.web", types.SimpleNamespace(serve=serve))
    names = ["--allowed-host", "example.org", "--allowed-host", "www.example.org"]
    status, out, error = run("web", *model[:6], "--port", "8123", *names, "--names", "lvis", "words.txt")
    assert status == 0, error
    assert "http://127.0.0.1:8123" in out
    ((seg, allowed_hosts, label_spaces),) = served
    assert isinstance(seg, OMGSegInferencer) and allowed_hosts == names[1::2]
    assert label_spaces == ["lvis", "words.txt"]


def test_mistakes(run, model, monkeypatch):
    assert "--port 70000" in run("web", *model[:6], "--port", "70000")[2]

    def taken(*_, **__):
        raise OSError("port 7860 is taken")

    monkeypatch.setitem(sys.modules, "omgseg.web", types.SimpleNamespace(serve=taken))
    assert run("web", *model[:6])[::2] == (2, "error: port 7860 is taken\n")
    monkeypatch.setitem(sys.modules, "omgseg.web", None)  # as where Gradio is missing
    assert run("web", *model[:6])[0] == 2
