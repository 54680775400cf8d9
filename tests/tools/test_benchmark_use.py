"""The benchmark of use runs with a trained model and writes its fields. Times are not tested."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.use import SHIFT, StreamSettings, make_picture, moving

SMALL = "--size 80x60 --scale 96x64 --repeats 1 --clicks 3 --frames 52"


@pytest.fixture
def run_folder(write_config, call_tool, tmp_path):
    call_tool("train.py", write_config(), "--cfg-options", "train_cfg.max_iters=1", "param_scheduler=None")
    return tmp_path / "work_dirs" / "small"


def test_the_tool_measures_images_clicks_and_a_stream(run_folder, call_tool, tmp_path, capsys):
    file = tmp_path / "use.json"
    with pytest.raises(SystemExit) as stop:
        call_tool("benchmark.py", "use", "--run", str(run_folder), *SMALL.split(), "--json", str(file))
    assert stop.value.code == 0
    table = " ".join(capsys.readouterr().out.split())
    assert "| image, panoptic | " in table and "| memory after frame 50 | " in table
    result = json.loads(file.read_text())
    settings = result["settings"]
    assert (
        settings["size"] == [80, 60] and settings["scale"] == [96, 64] and settings["run"] == str(run_folder)
    )
    assert result["environment"]["threads"] == settings["threads"] == torch.get_num_threads()
    image, set_image, click, stream = (result[name] for name in ("image", "set_image", "click", "stream"))
    assert image["seconds"] > 0 and set_image["seconds"] > 0
    assert click["milliseconds"] * click["per_second"] == pytest.approx(1000)
    assert click["share_of_image"] == pytest.approx(click["milliseconds"] / 1e3 / image["seconds"])
    assert stream["frames"] == 52 and stream["frames_per_second"] > 0
    assert list(stream["memory"]) == ["50", "52"]
    for memory in stream["memory"].values():
        assert 100 < memory["resident_mib"] <= memory["peak_mib"]


def test_frames_show_the_given_picture_and_move(tmp_path):
    picture = make_picture((30, 20))
    assert picture.shape == (20, 30, 3) and len(np.unique(picture)) > 10
    Image.fromarray(picture).save(tmp_path / "picture.png")
    settings = StreamSettings("run", (8, 8), str(tmp_path / "picture.png"), None, frames=3, threads=1)
    first, second, third = moving(settings.read_picture(), settings.frames)
    assert np.array_equal(first.image, picture) and third.index == 2
    assert np.array_equal(second.image[:, SHIFT:], picture[:, :-SHIFT])


@pytest.mark.parametrize("wrong", ["--size 12", "--size 0x10", "--frames 0", "--clicks x"])
def test_wrong_numbers_are_refused(call_tool, wrong, capsys):
    with pytest.raises(SystemExit) as stop:
        call_tool("benchmark.py", "use", *wrong.split())
    assert stop.value.code == 2 and wrong.split()[1] in capsys.readouterr().err
