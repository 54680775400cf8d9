"""The command line that checks datasets, on the toy world and on real files."""

from __future__ import annotations

import json
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from omgseg.structures.label_png import decode_panoptic_png, write_panoptic_png

BASE = "configs/_base_/datasets"


@pytest.fixture
def check(root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the tool on configs of the repository: ``check(data folder, *arguments)`` is its exit code."""
    main = runpy.run_path(str(root / "tools/check_dataset.py"))["main"]

    def run(data: Path, *arguments: str) -> int:
        monkeypatch.chdir(root)
        monkeypatch.setenv("OMGSEG_DATA", str(data))
        monkeypatch.setenv("OMGSEG_VOCABULARIES", str(data / "vocabularies"))
        return main([*arguments, "--workers", "0"])

    return run


@pytest.fixture
def toy(toy_root: Path, tmp_path: Path) -> Path:
    """A copy of some toy data to break."""
    for name in ("coco", "VIPSeg", "vocabularies", "youtube_vis_2019"):
        shutil.copytree(toy_root / "data" / name, tmp_path / "data" / name)
    return tmp_path / "data"


def test_nothing_is_wrong_with_the_toy_world(check, toy_root, root, capsys):
    configs = sorted(str(path.relative_to(root)) for path in (root / BASE).glob("*.py"))
    others = (
        "joint",
        "coco_pseudo",
        "coco_stuff",
        "pascal",
    )  # of the last two kinds the toy world has no files
    configs = [config for config in configs if not any(name in config for name in others)]
    assert check(toy_root / "data", *configs) == 0, capsys.readouterr().out


def test_a_training_config_is_checked_source_by_source(check, toy, tmp_path, capsys):
    (toy / "coco/train2017/000000000001.jpg").unlink()
    ids = decode_panoptic_png(toy / "coco/annotations/panoptic_train2017/000000000002.png")
    ids[:4] = 7777
    write_panoptic_png(toy / "coco/annotations/panoptic_train2017/000000000002.png", ids)
    (toy / "VIPSeg/train.txt").write_text("toy-99\n" + (toy / "VIPSeg/train.txt").read_text())
    out = tmp_path / "reports/report.json"
    arguments = ("configs/omg_coco_vipseg_ytvis.py", "--split", "train", "--out", str(out), "--show", "1")
    assert check(toy, *arguments) == 1
    printed = capsys.readouterr().out
    assert "coco_panoptic, coco_pseudo_clips, coco_prompts (" in printed
    assert "1 sample" in printed or "samples read" in printed
    report = json.loads(out.read_text())
    found = {
        source["names"][0]: {kind: each["count"] for kind, each in source["problems"].items()}
        for source in report["sources"]
    }
    assert found["youtube_vis_2019"] == {} and found["vipseg"] == {"missing file or folder": 1}
    coco = found["coco_panoptic"]
    assert coco["missing file or folder"] == 1
    assert coco["segment of a PNG that is not in the annotation file"] == 1
    assert report["num_problems"] == sum(sum(kinds.values()) for kinds in found.values())
    assert f"{report['num_problems']} problems in 2 of 3 datasets" in printed
    assert check(toy, *arguments, "--fast") == 1  # a small set is read completely


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["configs/nothing.py"], "config configs/nothing.py not found"),
        (["Makefile"], "Makefile cannot be read: "),
        (["configs/_base_/runtime.py"], "configs/_base_/runtime.py: the config has no test_dataloader"),
        ([f"{BASE}/davis17.py", "--split", "train"], "davis17.py: the config has no train_dataloader"),
        ([f"{BASE}/davis17.py", "--cfg-options", "davis.x=1"], "no key 'davis'"),
        ([f"{BASE}/davis17.py", "--split", "all"], "invalid choice: 'all'"),
    ],
)
def test_nothing_to_check_is_exit_code_2(check, tmp_path, arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        check(tmp_path, *arguments)
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_options_change_where_data_are(check, tmp_path, toy, capsys):
    option = f"coco_panoptic_test_dataloader.dataset.data_root={toy}/coco/"
    arguments = [f"{BASE}/coco_panoptic.py", "--cfg-options", option]
    assert check(tmp_path / "nowhere", *arguments) == 1
    assert (
        f"coco_panoptic ({toy}/coco/annotations/panoptic_val2017.json): 4 of 4 samples"
        in capsys.readouterr().out
    )


def test_what_is_said_of_real_files_is_true(check, real_samples_dir, tmp_path, capsys):
    configs = [
        f"{BASE}/{name}.py" for name in ("coco_panoptic", "coco_prompts", "youtube_vis_2019", "davis17")
    ]
    assert check(real_samples_dir, *configs) == 0, capsys.readouterr().out
    assert check(real_samples_dir, *configs[:3], "--split", "train") == 0, capsys.readouterr().out
    # One mask of 16 frames; the other sequences' README says so.
    shutil.copytree(real_samples_dir / "DAVIS", tmp_path / "DAVIS")
    (tmp_path / "DAVIS/ImageSets/2017/val.txt").write_text("judo\n")
    capsys.readouterr()
    assert check(tmp_path, configs[3]) == 1
    printed = capsys.readouterr().out
    assert "image without annotation: 15" in printed and "15 problems in 1 of 1 dataset" in printed
