"""omgseg export, with a model of one small graph; tests/models/sam/test_sam_export.py exports a SAM."""

import json
import sys

import numpy as np
import pytest

pytest.importorskip("onnxscript", reason="omgseg[export] is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="omgseg[export] is not installed")


@pytest.fixture
def arguments(fake):
    """Arguments that choose a model; the command computes on the CPU and takes no device."""

    def arguments(kind: str, **options: object) -> list[str]:
        return fake(kind, **options)[:4]

    return arguments


def test_any_model_with_graphs_is_written(run, arguments, tmp_path):
    out = tmp_path / "more" / "onnx"
    status, printed, error = run("export", *arguments("ExportableFake"), "--out", out)
    assert status == 0, error
    assert (
        str(out / "brightness.onnx") in printed and "brightness: differs from PyTorch by at most" in printed
    )
    content = json.loads((out / "export.json").read_text())
    assert content["config"] == "other.py" and content["weights"] == "random"
    assert content["graphs"] == [
        {
            "file": "brightness.onnx",
            "inputs": [
                {"name": "image", "type": "float32", "shape": ["height", "width", 3], "meaning": "RGB"}
            ],
            "outputs": [
                {
                    "name": "brightness",
                    "type": "float32",
                    "shape": ["height", "width"],
                    "meaning": "of the pixels",
                }
            ],
        }
    ]
    image = np.random.default_rng(0).random((7, 3, 3), np.float32)
    session = onnxruntime.InferenceSession(out / "brightness.onnx")
    np.testing.assert_allclose(session.run(None, {"image": image})[0], image.mean(2), rtol=1e-5)


@pytest.mark.parametrize("error", [0.01, "nan"])
def test_an_export_that_computes_something_else_is_not_kept(run, arguments, tmp_path, error):
    status, _, message = run("export", *arguments("ExportableFake", error=error), "--out", tmp_path / "onnx")
    assert status == 1
    assert "error: brightness.onnx: brightness of ONNX Runtime differs from PyTorch's by" in message
    assert not list(tmp_path.iterdir())


def test_a_folder_is_not_overwritten(run, arguments, tmp_path):
    (tmp_path / "notes.txt").touch()
    status, _, error = run("export", *arguments("ExportableFake"), "--out", tmp_path)
    assert status == 2 and f"{tmp_path} exists; give another --out" in error
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_model_without_graphs_says_so(run, arguments, tmp_path):
    status, _, error = run("export", *arguments("ProposerFake"), "--out", tmp_path / "onnx")
    assert status == 2 and error.count("\n") == 1
    assert "the model does not offer export; it offers the tasks interactive, everything" in error
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_one_line(run, arguments, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    status, _, error = run("export", *arguments("ExportableFake"), "--out", tmp_path / "onnx")
    assert status == 2 and error.count("\n") == 1 and "pip install 'omgseg[export]'" in error


def test_info_says_whether_a_model_can_be_exported(run, arguments):
    for kind, answer in (("ExportableFake", "yes: can be written as ONNX"), ("FakeSegmenter", "no")):
        status, out, error = run("info", arguments(kind)[1])
        assert status == 0, error
        assert f"export      {answer}" in out
