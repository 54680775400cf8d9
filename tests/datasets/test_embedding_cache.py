"""A teacher's embeddings on disk: what is written is read, or the file that is wrong is named."""

import json
import multiprocessing
import os
import signal
import time

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open

from omgseg.datasets.embedding_cache import (
    SHARD_SIZE,
    EmbeddingCache,
    EmbeddingCacheError,
    EmbeddingWriter,
    Teacher,
)
from omgseg.files import file_sha256
from omgseg.registry import TRANSFORMS

TEACHER = Teacher("teacher.pth", "ab" * 32, image_size=64)


def key_of(number):
    return f"{number * 2654435761 % 2**64:016x}" + f"{number:048x}"


def embedding_of(number):
    return torch.arange(number, number + 12, dtype=torch.float32).view(3, 2, 2) / 7


def fill(folder, numbers, teacher=TEACHER):
    with EmbeddingWriter(folder, teacher) as writer:
        for number in numbers:
            if writer.claim(key_of(number)):
                writer.add(key_of(number), embedding_of(number))


def shards(folder):
    return sorted(folder.glob("*.safetensors"))


def test_what_is_written_is_read_in_half_precision(tmp_path):
    fill(tmp_path, range(SHARD_SIZE + 3))
    cache = EmbeddingCache(tmp_path)
    assert len(cache) == SHARD_SIZE + 3 and len(shards(tmp_path)) == 2 and cache.teacher == TEACHER
    for number in range(SHARD_SIZE + 3):
        read = cache[key_of(number)]
        assert torch.equal(read, embedding_of(number).half())
        assert read.untyped_storage().nbytes() == read.nbytes  # sent between processes without its shard
    assert key_of(99) not in cache
    with pytest.raises(KeyError):
        cache[key_of(99)]


def test_only_what_is_missing_is_claimed(tmp_path):
    fill(tmp_path, range(5))
    with EmbeddingWriter(tmp_path, TEACHER) as writer:
        assert [writer.claim(key_of(number)) for number in (4, 5)] == [False, True]
        writer.add(key_of(5), embedding_of(5))
        assert not writer.claim(key_of(5))  # it is there, although no shard has it yet
    assert len(EmbeddingCache(tmp_path)) == 6


def test_what_another_writer_has_written_meanwhile_is_not_claimed(tmp_path):
    with EmbeddingWriter(tmp_path, TEACHER) as writer:
        fill(tmp_path, range(5))
        assert [writer.claim(key_of(number)) for number in (4, 5)] == [False, True]


def test_a_key_with_the_beginning_of_another_is_its_own(tmp_path):
    keys = ["0" * 16 + "1" * 48, "0" * 16 + "2" * 48]
    for number, key in enumerate(keys):
        with EmbeddingWriter(tmp_path, TEACHER) as writer:
            writer.add(key, embedding_of(number))
    cache = EmbeddingCache(tmp_path)
    assert [cache[key][0, 0, 0] for key in keys] == [embedding_of(n).half()[0, 0, 0] for n in range(2)]
    with pytest.raises(KeyError):
        cache["0" * 16 + "3" * 48]


def fill_slowly(folder, numbers, computed):
    with EmbeddingWriter(folder, TEACHER) as writer:
        for number in numbers:
            if writer.claim(key_of(number)):
                computed.put(number)
                time.sleep(0.002)
                writer.add(key_of(number), embedding_of(number))


def test_processes_share_the_work(tmp_path):
    """Each embedding is computed once, although both go through all of them."""
    count, computed = 3 * SHARD_SIZE, multiprocessing.get_context("fork").Queue()
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=fill_slowly, args=(tmp_path, range(count), computed)) for _ in range(2)]
    for worker in workers:
        worker.start()
    numbers = sorted(computed.get(timeout=60) for _ in range(count))
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert numbers == list(range(count)) and computed.empty()
    cache = EmbeddingCache(tmp_path)
    assert len(cache) == count
    assert all(torch.equal(cache[key_of(n)], embedding_of(n).half()) for n in range(count))


def test_a_killed_process_leaves_whole_shards_and_no_claims(tmp_path):
    context = multiprocessing.get_context("fork")
    computed = context.Queue()
    count = 4 * SHARD_SIZE
    worker = context.Process(target=fill_slowly, args=(tmp_path, range(count), computed))
    worker.start()
    for _ in range(SHARD_SIZE + 7):
        computed.get(timeout=60)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join(60)
    before = EmbeddingCache(tmp_path)
    assert len(before) % SHARD_SIZE == 0 and before[key_of(0)].shape == (3, 2, 2)
    (tmp_path / ".half.safetensors.0.tmp").write_bytes(b"half")  # killed while it wrote
    fill(tmp_path, range(count))
    after = EmbeddingCache(tmp_path)
    assert len(after) == count and not list(tmp_path.glob(".*.tmp"))
    assert all(torch.equal(after[key_of(n)], embedding_of(n).half()) for n in range(count))


def flip_last_byte(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def test_a_damaged_shard_is_named_with_the_fix(tmp_path):
    fill(tmp_path, range(4))
    (path,) = shards(tmp_path)
    with safe_open(path, "pt") as shard:
        last = shard.offset_keys()[-1]
    cache = EmbeddingCache(tmp_path)
    flip_last_byte(path)
    with pytest.raises(
        EmbeddingCacheError, match=rf"{path} is damaged .*checksum.*: delete it, then run .*teacher_emb"
    ):
        cache[last]
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(EmbeddingCacheError, match=f"{path} is damaged"):
        cache[last]
    with pytest.raises(EmbeddingCacheError, match=f"{path} is damaged .*delete it"):
        EmbeddingCache(tmp_path)
    path.unlink()
    fill(tmp_path, range(4))
    assert len(EmbeddingCache(tmp_path)) == 4


def test_a_full_disk_ends_the_work_with_one_sentence_and_no_half_shard(tmp_path, monkeypatch):
    fill(tmp_path, range(2))

    def save_half(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("omgseg.datasets.embedding_cache.save_file", save_half)
        with pytest.raises(
            EmbeddingCacheError, match=f"{tmp_path}: a shard cannot be written .*No space left"
        ):
            fill(tmp_path, range(5))
    assert len(shards(tmp_path)) == 1 and not list(tmp_path.glob(".*.tmp"))
    fill(tmp_path, range(5))
    assert len(EmbeddingCache(tmp_path)) == 5


def test_a_folder_of_another_teacher_is_not_added_to(tmp_path):
    fill(tmp_path, range(2))
    moved = Teacher("/elsewhere/teacher.pth", TEACHER.sha256, TEACHER.image_size)
    fill(tmp_path, range(3), moved)
    for other in (Teacher("b.pth", "cd" * 32, 64), Teacher("teacher.pth", TEACHER.sha256, 128)):
        with pytest.raises(
            EmbeddingCacheError, match=r"another teacher, teacher.pth .*choose another folder"
        ):
            fill(tmp_path, range(3), other)


def test_a_folder_without_embeddings_names_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no embeddings .*run python tools/teacher_embeddings"):
        EmbeddingCache(tmp_path)
    (tmp_path / "teacher.json").write_text(json.dumps({"name": 1}))
    with pytest.raises(EmbeddingCacheError, match="teacher.json does not name a teacher"):
        EmbeddingCache(tmp_path)


@pytest.fixture
def photo(tmp_path):
    """An image of 40x20 pixels (width x height) whose embedding is in the cache, and the cache."""
    path, folder = tmp_path / "photo.png", tmp_path / "cache"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (20, 40, 3), np.uint8))
    with EmbeddingWriter(folder, TEACHER) as writer:
        writer.add(file_sha256(path), embedding_of(1))
    return path, folder


def load(photo, *steps, image_size=(64, 64), options=None):
    path, folder = photo
    results = {
        "frames": [{"img_path": str(path), "img_id": 1, "frame_id": 0}],
        "readme_anchor": "coco",
        "image_size": image_size,
        "is_video": False,
        "tasks": ("interactive",),
        "source": "toy",
    }
    last = [dict(type="LoadTeacherEmbedding", cache=str(folder), **(options or {})), dict(type="PackClip")]
    for step in [dict(type="LoadFrames"), *steps, *last]:
        results = TRANSFORMS.build(step)(results)
    return results["data_samples"]


def test_the_embedding_of_an_image_comes_with_its_sample(photo):
    sample = load(photo, dict(type="Resize"))
    assert torch.equal(sample.teacher_embedding, embedding_of(1).half())
    assert sample.teacher == TEACHER.sha256 and sample.img_shape == (32, 64)
    assert sample.to(torch.float32).teacher_embedding.dtype == torch.float32


@pytest.mark.parametrize(
    ("steps", "size"),
    [
        ([dict(type="Resize")], (32, 32)),
        ([dict(type="Resize"), dict(type="RandomFlip", prob=1.0)], (64, 64)),
        ([dict(type="LargeScaleJitter", ratio_range=(1.5, 1.5))], (64, 64)),
    ],
)
def test_a_frame_that_is_not_the_teachers_is_an_error(photo, steps, size):
    with pytest.raises(
        ValueError, match=r"photo.png: .*whole images of 64 pixels; give .*image_size=\(64, 64\)"
    ):
        load(photo, *steps, image_size=size)


def test_a_student_may_see_smaller_images_than_its_teacher(photo):
    sample = load(photo, dict(type="Resize"), image_size=(32, 32), options=dict(image_size=32))
    assert sample.img_shape == (16, 32) and torch.equal(sample.teacher_embedding, embedding_of(1).half())
    with pytest.raises(ValueError, match="whole images of 32 pixels"):
        load(photo, dict(type="Resize"), options=dict(image_size=32))


def test_a_changed_image_is_noticed(photo):
    path, folder = photo
    cv2.imwrite(str(path), np.zeros((20, 40, 3), np.uint8))
    with pytest.raises(
        EmbeddingCacheError, match=f"{path} is not in {folder}: .*changed.*teacher_embeddings.py"
    ):
        load(photo, dict(type="Resize"))
