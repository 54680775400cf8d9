"""What a user sees of broken input: the command lines on a toy world with one thing wrong. Every reader's own cases are
in tests/datasets, tests/evaluation, tests/models and tests/engine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from omgseg.structures.label_png import decode_panoptic_png, write_panoptic_png

IMAGE = "train2017/000000000001.jpg"
MAP = "annotations/panoptic_train2017/000000000001.png"
JSON = "annotations/panoptic_train2017.json"
IMAGES_ONLY = """
names = ("coco_pseudo_clips", "coco_prompts", "vipseg", "youtube_vis_2019")
train_dataloader["dataset"]["datasets"].update((name, None) for name in names)
train_cfg["max_iters"] = 2
"""
VIDEOS_ONLY = """
names = ("coco_panoptic", "coco_pseudo_clips", "coco_prompts")
train_dataloader["dataset"]["datasets"].update((name, None) for name in names)
train_cfg["max_iters"] = 2
"""


@pytest.fixture
def toy(toy_root: Path, tmp_path: Path) -> Path:
    """A copy of the toy images to break."""
    shutil.copytree(toy_root / "data/coco", tmp_path / "toy/data/coco")
    return tmp_path / "toy"


def cut(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


def change_json(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def unknown_segment(coco: Path) -> None:
    ids = decode_panoptic_png(coco / MAP)
    ids[:4] = 7777
    write_panoptic_png(coco / MAP, ids)


def unknown_category(content: dict[str, Any]) -> None:
    content["annotations"][0]["segments_info"][0]["category_id"] = 999


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing file": (lambda coco: (coco / JSON).unlink(), rf"{JSON} not found; see data/README.md#coco"),
    "missing folder": (
        lambda coco: (coco / "train2017").rename(coco / "images"),
        r"folder .*coco/train2017/? not found; see data/README.md#coco",
    ),
    "missing image": (lambda coco: (coco / IMAGE).unlink(), rf"{IMAGE} not found; see data/README.md#coco"),
    "segment id": (
        unknown_segment,
        rf"{MAP}: segment id 7777 is not in 'segments_info' of .*{JSON} \(image 1\)",
    ),
    "category id": (
        lambda coco: change_json(coco / JSON, unknown_category),
        rf"{JSON}: category_id 999 of an annotation is not in the vocabulary .*; vocabulary=None takes",
    ),
    "empty annotations": (
        lambda coco: change_json(coco / JSON, lambda content: content["annotations"].clear()),
        rf"{JSON}: 'annotations' is empty, training needs .*data/README.md#coco",
    ),
    "mask size": (
        lambda coco: write_panoptic_png(coco / MAP, np.zeros((50, 60), int)),
        rf"{MAP}: the mask is 60x50, its image .*{IMAGE} is 128x128",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_training_stops_with_file_field_and_fix(case, toy, write_config, call_tool):
    damage, message = BROKEN[case]
    damage(toy / "data/coco")
    with pytest.raises((SystemExit, ValueError), match=message):
        call_tool("train.py", write_config(IMAGES_ONLY, toy))


def test_training_goes_on_without_a_truncated_image(toy, write_config, call_tool, tmp_path):
    cut(toy / "data/coco" / IMAGE)
    call_tool("train.py", write_config(IMAGES_ONLY, toy))
    (log,) = (tmp_path / "work_dirs/small").glob("*/*.log")
    line = next(line for line in log.read_text().splitlines() if "skipped: " in line)
    assert f"{IMAGE} is truncated" in line and "1 of 2 samples of coco_panoptic cannot be read" in line
    assert (tmp_path / "work_dirs/small/iter_2.pth").is_file()


def test_testing_stops_at_a_truncated_image_and_a_wrong_checkpoint(toy, write_config, call_tool, tmp_path):
    config = write_config(IMAGES_ONLY, toy)
    torch.save({"state_dict": {"backbone.conv.weight": torch.zeros(3)}}, tmp_path / "other.pth")
    with pytest.raises(SystemExit, match=r"other.pth does not fit the model:(.|\n)*missing(.|\n)*unexpected"):
        call_tool("test.py", config, "other.pth")
    (tmp_path / "photo.pth").write_bytes((toy / "data/coco" / IMAGE).read_bytes())
    with pytest.raises(SystemExit, match=r"photo.pth is .*not a PyTorch file"):
        call_tool("test.py", config, "photo.pth")
    call_tool("train.py", config, "--cfg-options", "train_cfg.max_iters=1")
    cut(toy / "data/coco/val2017/000000100001.jpg")
    with pytest.raises(SystemExit, match=r"val2017/000000100001.jpg is truncated"):
        call_tool("test.py", config, "work_dirs/small/iter_1.pth")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "model.query_decoder.num_querys=5",
            r"model.query_decoder.num_querys: .*; did you mean 'num_queries'",
        ),
        ("model.test_cfg.clip_sise=5", r"clip_sise.*clip_size"),
        ("train_dataloader.dataset.datasets.vipsek.data_root=x", r"no key 'vipsek' in .* 'vipseg'"),
    ],
)
def test_config_keys_that_do_not_exist(option, message, write_config, call_tool):
    with pytest.raises((SystemExit, ValueError), match=message):
        call_tool("train.py", write_config(), "--cfg-options", option)


def keep_first_frame(data: Path) -> None:
    """Shorten all videos to one frame."""
    for folder in [*data.glob("VIPSeg/*/*/"), *data.glob("DAVIS/JPEGImages/480p/*/")]:
        for file in sorted(folder.iterdir())[1:]:
            file.unlink()

    def shorten(content: dict[str, Any]) -> None:
        for video in content["videos"]:
            video["file_names"], video["length"] = video["file_names"][:1], 1
        for annotation in content["annotations"]:
            for key in ("segmentations", "bboxes", "areas"):
                annotation[key] = annotation[key][:1]

    for file in data.glob("youtube_vis_2019/annotations/*.json"):
        change_json(file, shorten)


def test_videos_of_one_frame_train_and_are_tested(toy_root, write_config, call_tool, tmp_path):
    toy = tmp_path / "toy"
    shutil.copytree(toy_root / "data", toy / "data")
    keep_first_frame(toy / "data")
    config = write_config(VIDEOS_ONLY, toy)
    call_tool("train.py", config)
    text = Path(config).read_text().split("val_dataloader")[0]
    for name in ("vipseg", "youtube_vis", "davis"):
        Path(f"{name}.py").write_text(text.replace("configs/toy/joint.py", f"configs/toy/{name}.py"))
    checkpoint = "work_dirs/small/iter_2.pth"
    call_tool("test.py", "vipseg.py", checkpoint, "--out", "vipseg.json")
    assert 0 <= json.loads(Path("vipseg.json").read_text())["vipseg/VPQ"] <= 100
    call_tool("test.py", "youtube_vis.py", checkpoint, "--out", "youtube_vis.json")
    assert 0 <= json.loads(Path("youtube_vis.json").read_text())["youtube_vis/AP"] <= 100
    with pytest.raises(ValueError, match=r"video 'toy-00' has 1 frame.*at least 3 are needed"):
        call_tool("test.py", "davis.py", checkpoint)
