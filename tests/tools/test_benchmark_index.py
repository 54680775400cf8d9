"""The benchmark of annotation indexes runs. Times are not tested."""

import json

import pytest

from benchmarks import index
from omgseg.datasets import CocoInstanceDataset


def test_the_tool_measures_three_sizes(call_tool, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(index, "SAMPLES", 5)
    monkeypatch.setattr(index.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(
        index,
        "run_fresh",
        lambda module, arguments, what, **variables: started(arguments, variables, monkeypatch),
    )
    file = tmp_path / "index.json"
    options = f"--images 90 --annotations 900 --folder {tmp_path} --json {file}"
    with pytest.raises(SystemExit) as stop:
        call_tool("benchmark.py", "index", *options.split())
    assert stop.value.code == 0
    sizes = json.loads(file.read_text())["sizes"]
    assert [(size["images"], size["annotations"]) for size in sizes] == [(10, 100), (30, 300), (90, 900)]
    for size in sizes:
        assert 0 < size["index_bytes"] < size["file_bytes"]
        assert min(size[name]["seconds"] for name in ("first", "second")) > 0
    assert "| 90 | 900 |" in " ".join(capsys.readouterr().out.split())


def started(arguments, variables, monkeypatch):
    """In this process: another one would load its libraries for seconds."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return json.dumps(index.start(index.Path(*arguments)))


def test_the_file_is_of_the_coco_instance_format(tmp_path, monkeypatch):
    monkeypatch.setenv("OMGSEG_CACHE", str(tmp_path / "cache"))
    index.write_file(tmp_path / "file.json", 20, 300)
    content = json.loads((tmp_path / "file.json").read_text())
    assert len(content["images"]) == 20 and len({entry["id"] for entry in content["annotations"]}) == 300
    dataset = CocoInstanceDataset(ann_file=str(tmp_path / "file.json"), data_prefix=dict(img=str(tmp_path)))
    found = [len(dataset.get_data_info(number)["frames"][0]["instances"]) for number in range(len(dataset))]
    assert len(found) == 20 and sum(found) == 300
