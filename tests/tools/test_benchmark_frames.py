"""The benchmark of frames measures models beside each other. Times are not tested."""

import json

import pytest
from mmengine.config import Config

from benchmarks import frames
from tests.tiny_omgseg import tiny_config


@pytest.fixture
def config(tmp_path):
    """A tiny OMG-Seg with the toy CLIP, which a fresh process knows, too."""
    model = tiny_config().model
    for part in (model.image_encoder, model.text_encoder):
        part.update(model_name="omgseg_toy", pretrained=None)
    file = tmp_path / "tiny.py"
    imports = dict(imports=["omgseg.toy"])
    Config(dict(default_scope="omgseg", custom_imports=imports, model=model)).dump(file)
    return file


def test_the_tool_measures_a_frame(config, call_tool, tmp_path, capsys, monkeypatch):
    speeds = iter([10.0, 30.0])
    monkeypatch.setattr(frames, "measure_stream", lambda _: {"frames_per_second": next(speeds)})
    file = tmp_path / "frames.json"
    options = f"--configs {config} --size 96x64 --repeats 1 --streams a b --json {file}"
    with pytest.raises(SystemExit) as stop:
        call_tool("benchmark.py", "frames", *options.split())
    assert stop.value.code == 0
    result = json.loads(file.read_text())
    found = result["frame"]["tiny"]
    assert min(found.values()) > 0 and found["speedup"] == 1 and result["size"] == [96, 64]
    assert result["streams"] == {"a": 10, "b": 30}
    said = " ".join(capsys.readouterr().out.split())
    assert "| tiny |" in said and "| b | 30.0 | 3.0x |" in said


def test_a_frame_goes_from_pixels_to_classes_and_masks(config):
    model = frames.read_model(config)
    classes, masks = frames.prepare(model, (96, 64))()
    queries = model.query_decoder.query_feat.num_embeddings
    assert classes.shape == (1, queries, frames.NUM_WORDS + 1)
    assert masks.shape == (1, queries, 1, 16, 24)
