"""tools/teacher_embeddings.py fills a cache, whatever kills it, and a student trains from it."""

import json
import multiprocessing
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import omgseg
from omgseg.datasets.embedding_cache import SHARD_SIZE, EmbeddingCache
from omgseg.files import file_sha256
from omgseg.registry import MODELS

COUNT = 2 * SHARD_SIZE + 5
SAM = """
model = dict(
    type="SAM",
    image_encoder=dict(
        type="SamImageEncoder", image_size=64, patch_size=16, width=32, depth=2, num_heads=2, window_size=2,
        global_layers=(1,), embed_dim=32,
    ),
    prompt_encoder=dict(type="SamPromptEncoder", embed_dim=32, image_size=64, stride=16),
    mask_decoder=dict(type="SamMaskDecoder", embed_dim=32, num_heads=2, mlp_dim=64, iou_hidden_dim=32),
)
"""
STUDENT = """
_base_ = ["sam.py", "{root}/configs/_base_/runtime.py"]
experiment_name = "{name}"
teacher = dict(config="sam.py", weights="teacher.pth", cache="cache")
model = dict(
    type="EncoderDistillation",
    teacher="teacher.pth",
    image_encoder=dict(width=16),
)
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type="SA1BDataset",
        data_root="images/",
        data_prefix=dict(img=""),
        image_size=(64, 64),
        pipeline=[
            dict(type="LoadFrames"),
            dict(type="Resize"),
            dict(type="LoadTeacherEmbedding", cache="cache"),
            dict(type="PackClip"),
        ],
    ),
)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=3e-3))
train_cfg = dict(type="IterBasedTrainLoop", max_iters=4, val_interval=1000)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(by_epoch=False, interval=2))
log_processor = dict(by_epoch=False)
"""


@pytest.fixture(scope="module")
def ready(tmp_path_factory, root):
    """A folder with images, a teacher, and the config of its student. Read only."""
    folder = tmp_path_factory.mktemp("distillation")
    shard = folder / "images/sa_000000"
    shard.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(COUNT):
        height, width = 20 + number % 3 * 10, 60
        cv2.imwrite(str(shard / f"sa_{number}.jpg"), random.integers(0, 256, (height, width, 3), np.uint8))
        head = {"image": {"width": width, "height": height}, "annotations": []}
        (shard / f"sa_{number}.json").write_text(json.dumps(head))
    (folder / "sam.py").write_text(SAM)
    (folder / "student.py").write_text(STUDENT.format(root=root, name=folder.name))
    scope = {}
    exec(SAM, scope)
    torch.manual_seed(7)
    torch.save({"state_dict": MODELS.build(scope["model"]).state_dict()}, folder / "teacher.pth")
    return folder


@pytest.fixture
def here(ready, tmp_path, monkeypatch):
    """A copy of the folder, which is the working folder."""
    shutil.copytree(ready, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fill(call_tool):
    return lambda *arguments: call_tool("teacher_embeddings.py", "student.py", *arguments)


@pytest.fixture(scope="module")
def filled(ready, tmp_path_factory, root):
    """The folder with a filled cache. Read only."""
    folder = tmp_path_factory.mktemp("filled")
    shutil.copytree(ready, folder, dirs_exist_ok=True)
    patch = pytest.MonkeyPatch()
    patch.chdir(folder)
    process = start(root)
    process.join(120)
    patch.undo()
    assert process.exitcode == 0
    return folder


def start(root):
    """The tool in a process of its own, in the working folder; the packages are imported already."""
    process = multiprocessing.get_context("fork").Process(target=run_tool, args=(root,))
    process.start()
    return process


def run_tool(root):
    torch.set_num_threads(1)
    sys.argv = ["teacher_embeddings.py", "student.py"]
    runpy.run_path(str(root / "tools/teacher_embeddings.py"), run_name="__main__")


def contents(folder):
    """All embeddings by file name."""
    cache = EmbeddingCache(folder / "cache")
    assert len(cache) == COUNT
    return {path.name: cache[file_sha256(path)] for path in sorted(folder.glob("images/*/*.jpg"))}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_embeddings_are_the_teachers(filled):
    model = omgseg.load(filled / "sam.py", filled / "teacher.pth", device="cpu").model
    found = contents(filled)
    for name in ("sa_0.jpg", f"sa_{COUNT - 1}.jpg"):
        pixels = cv2.imread(str(filled / "images/sa_000000" / name))[..., ::-1]
        with torch.no_grad():
            expected = model.image_encoder(model.preprocess(np.ascontiguousarray(pixels))[0])[0]
        assert found[name].dtype == torch.float16
        torch.testing.assert_close(found[name].float(), expected, rtol=2e-3, atol=2e-3)


def test_cost_is_told_before_and_a_second_run_finds_all(here, fill, capsys):
    fill()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{COUNT} images; 0 of them are in cache, {COUNT} are missing"
    assert lines[1].startswith(f"1 KiB an image: {COUNT} KiB of the ") and " an image: about " in lines[1]
    assert lines[2].startswith(f"{COUNT} embeddings computed in ")
    before = {path: path.stat().st_mtime_ns for path in here.glob("cache/*.safetensors")}
    fill()
    assert f"{COUNT} of them are in cache, 0 are missing" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in here.glob("cache/*.safetensors")}


def test_killed_runs_and_runs_at_the_same_time_give_the_same_set(here, filled, fill, root):
    first, second = start(root), start(root)
    deadline = time.monotonic() + 120
    while not list(here.glob("cache/*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(first.pid, signal.SIGKILL)
    first.join(60)
    second.join(120)
    assert second.exitcode == 0
    fill()
    assert same(contents(here), contents(filled))
    keys = sum(len(EmbeddingCache(here / "cache")._keys_of(p.name)) for p in here.glob("cache/*.safetensors"))
    assert keys == COUNT  # none twice


def test_processes_of_torchrun_take_their_parts(here, filled, root):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*launch, str(root / "tools/teacher_embeddings.py"), "student.py"],
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    lines = done.stdout.splitlines()
    assert lines[0] == f"{COUNT} images; 0 of them are in cache, {COUNT} are missing"
    assert f"{COUNT} KiB of the " in lines[1] and lines[1].endswith(" in 2 processes")
    assert lines[2].startswith(f"{COUNT} embeddings computed in ") and len(lines) == 3
    assert same(contents(here), contents(filled))


def test_damaged_shards_and_changed_images_are_computed_again(here, filled, fill, capsys):
    shutil.copytree(filled / "cache", here / "cache")
    next(here.glob("cache/*.safetensors")).write_bytes(b"damaged")
    with pytest.raises(SystemExit, match=r"safetensors is damaged .*delete it, then run"):
        fill()
    next(path for path in here.glob("cache/*.safetensors") if path.read_bytes() == b"damaged").unlink()
    fill()
    assert same(contents(here), contents(filled))
    capsys.readouterr()
    cv2.imwrite("images/sa_000000/sa_3.jpg", np.zeros((20, 60, 3), np.uint8))
    fill()
    assert f"{COUNT - 1} of them are in cache, 1 are missing" in capsys.readouterr().out


def test_images_that_cannot_be_read_are_skipped_and_named(here, fill, capsys):
    path = here / "images/sa_000000/sa_3.jpg"
    path.write_bytes(path.read_bytes()[:-40])
    fill()
    out = capsys.readouterr().out
    assert "skipped: images/sa_000000/sa_3.jpg is truncated" in out and "1 images cannot be read" in out
    assert f"{COUNT - 1} embeddings computed" in out


MISTAKES = {
    "no weights": (["teacher.weights=none.pth"], "the teacher's weights none.pth not found"),
    "no teacher": (["teacher.weights=None"], r"no teacher.weights: add teacher = dict"),
    "another model's weights": (["teacher.config=student.py"], r"teacher.pth does not fit the model"),
    "no SAM": (["teacher.config=omg.py"], r"teacher.config omg.py is no SAM"),
    "no images": (
        ["train_dataloader.dataset.data_root=none/"],
        r"folder none/? not found; see data/README.md",
    ),
    "no dataset": (["train_dataloader=None"], r"train"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_named_in_one_sentence(case, here, fill, monkeypatch):
    options, message = MISTAKES[case]
    if case == "no SAM":
        monkeypatch.setattr("omgseg.inference.load", lambda *args, **kwargs: object())
    with pytest.raises(SystemExit, match=message):
        fill("--cfg-options", *options)
    assert not (here / "cache").exists()


def test_the_cache_of_another_teacher_and_a_full_disk_are_refused(here, filled, fill, monkeypatch):
    usage = shutil.disk_usage(here)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage._replace(free=10_000))
    with pytest.raises(SystemExit, match=rf"need {COUNT} KiB, and cache has 9.766 KiB free: name a folder"):
        fill()
    assert not list(here.glob("cache/*.safetensors"))
    other = torch.load("teacher.pth", weights_only=True)
    other["state_dict"]["image_encoder.pos_embed"] += 1
    torch.save(other, "other.pth")
    with pytest.raises(
        SystemExit, match=r"cache holds the embeddings of another teacher, teacher.pth .*other.pth"
    ):
        fill("--cfg-options", "teacher.weights=other.pth")


@pytest.fixture
def train(here, filled, call_tool):
    shutil.copytree(filled / "cache", here / "cache")
    return lambda *arguments: call_tool("train.py", "student.py", *arguments)


def test_a_student_learns_resumes_and_answers_prompts(here, train):
    train("--work-dir", "whole")
    train("--work-dir", "parts", "--cfg-options", "train_cfg.max_iters=2")
    train("--work-dir", "parts", "--resume")
    whole, parts = (
        torch.load(f"{name}/iter_4.pth", weights_only=False)["state_dict"] for name in ("whole", "parts")
    )
    assert whole.keys() == parts.keys() and all(torch.equal(whole[name], parts[name]) for name in whole)
    teacher = torch.load("teacher.pth", weights_only=True)["state_dict"]
    assert all(torch.equal(whole[name], teacher[name]) for name in whole if "image_encoder" not in name)
    Path("teacher.pth").unlink()  # prediction never reads it
    shutil.rmtree("cache")
    predictor = omgseg.OMGSegInferencer("whole", device="cpu").interactive
    predictor.set_image("images/sa_000000/sa_0.jpg")
    result = predictor.predict(points=[(10, 10)])
    assert result.masks.shape == (1, 20, 60)


def test_training_without_the_cache_names_the_command(here, train):
    shutil.rmtree("cache")
    with pytest.raises(
        SystemExit, match=r"cache holds no embeddings of a teacher; run python tools/teacher_emb"
    ):
        train()


def test_training_with_a_cache_of_another_teacher_stops(here, train):
    other = torch.load("teacher.pth", weights_only=True)
    other["state_dict"]["image_encoder.pos_embed"] += 1
    torch.save(other, "other.pth")
    with pytest.raises(SystemExit, match=r"the cache holds embeddings of another teacher"):
        train("--cfg-options", "model.teacher=other.pth")


def test_training_on_images_that_are_not_in_the_cache_names_the_command(here, train):
    for path in here.glob("images/*/*.jpg"):
        cv2.imwrite(str(path), np.full((20, 60, 3), int(path.stem[3:]), np.uint8))
    with pytest.raises(
        SystemExit, match=r"sa_\d+.jpg is not in cache: .*run python tools/teacher_embeddings.py"
    ):
        train()
