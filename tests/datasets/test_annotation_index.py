"""The index of an annotation file: what it finds, and that processes share it."""

import io
import json
import multiprocessing
import os
import pickle
import time

import numpy as np
import pytest

from omgseg.datasets import CocoInstanceDataset, annotation_index, json_stream
from omgseg.datasets.annotation_index import BOX, CROWD, SEGMENTATION, AnnotationIndex
from omgseg.datasets.json_stream import read_pieces

LISTS = ("images", "annotations")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Of files that count as just changed, however slow the machine is: nothing is noted of their paths."""
    monkeypatch.setenv("OMGSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(annotation_index, "_SETTLED_NS", 10**20)
    return tmp_path / "cache" / "annotation_index"


@pytest.fixture
def searches(monkeypatch):
    """The files that were searched from beginning to end."""
    done = []
    search = annotation_index._search
    monkeypatch.setattr(
        annotation_index, "_search", lambda file, path: done.append(path) or search(file, path)
    )
    return done


def opened(path):
    return AnnotationIndex(path, LISTS, "coco")


def loaded(data: bytes):
    """The object as it comes piece by piece, and the text of each entry."""
    fields, texts = {}, []
    for name, value, start, end in read_pieces(io.BytesIO(data), LISTS):
        if start is None:
            fields[name] = value
        else:
            fields[name].append(value)
            texts.append(data[start:end])
    return fields, texts


DOCUMENTS = {
    "empty": "{}",
    "spaces": ' {\n"images" : [ ] , "a":\t1}\r\n',
    "values": '{"a": -1.5e3, "images": [{"x": [1, {"y": null}]}, 7, "z", []], "b": true, "c": "", "d": NaN}',
    "no list": '{"images": {"a": [1]}, "annotations": null}',
    "twice": '{"images": [1, 2], "images": [3]}',
    "words": '{"ä": "ö", "images": [{"name": "日本 \\ud83d\\ude00 \\" ]"}, {"name": "é"}], "end": "ß"}',
    "long": json.dumps(
        {"images": [{"id": i, "name": "ü" * i} for i in range(60)], "annotations": [0.125] * 9}
    ),
}


@pytest.mark.parametrize("chunk", [1, 3, 16, 1 << 20])
@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_pieces_are_what_json_reads(document, chunk, monkeypatch):
    monkeypatch.setattr(json_stream, "_CHUNK", chunk)
    data = document.encode()
    expected = json.loads(data)
    for text in (data, b"\xef\xbb\xbf" + data):
        fields, texts = loaded(text)
        assert repr(fields) == repr(expected)  # NaN is not equal to itself
        assert all(
            json.loads(text) in (*expected["images"], *expected.get("annotations", ()), 1, 2)
            for text in texts
        )


@pytest.mark.parametrize("chunk", [1, 5, 1 << 20])
@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_file_that_was_cut_anywhere_is_no_json(document, chunk, monkeypatch):
    monkeypatch.setattr(json_stream, "_CHUNK", chunk)
    data = document.strip().encode()
    for length in range(0, len(data), 1 + len(data) // 100):
        with pytest.raises(ValueError):
            loaded(data[:length])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"images": [1, 2,]}', "Expecting value: byte 17"),
        ('{"images": [1 2]}', "Expecting ',' or ']': byte 14"),
        ('{"images": [1]', "Expecting ',' or '}': byte 14"),
        ('{"images": [1]} x', "Extra data: byte 16"),
        ('{"ü": [1], 2}', "Expecting property name enclosed in double quotes: byte 12"),
        ("<html>", "Expecting value: byte 0"),
        ("", "Expecting value: byte 0"),
        ('{"a": ' + "[" * 200_000, "nested too deep"),
    ],
)
def test_a_mistake_has_a_place(text, message):
    with pytest.raises(ValueError, match=message.replace("[", r"\[").replace("]", r"\]")):
        loaded(text.encode())


def test_a_long_file_is_read_in_small_parts(monkeypatch):
    """Also where the mistake comes early: what follows it is not read."""
    monkeypatch.setattr(json_stream, "_CHUNK", 1000)
    file = io.BytesIO(b'{"images": [' + b"1, " * 100_000 + b"0]}")
    pieces = read_pieces(file, LISTS)
    for _ in range(500):
        next(pieces)
    assert file.tell() < 5000
    broken = io.BytesIO(b'{"images": [1, {]' + b" " * 100_000)
    with pytest.raises(ValueError, match="byte 16"):
        list(read_pieces(broken, LISTS))
    assert broken.tell() < 5000


def test_other_encodings_are_refused():
    with pytest.raises(ValueError, match="it seems to be utf-16-le, not UTF-8"):
        loaded("{}".encode("utf-16-le"))


def test_an_index_finds_images_and_annotations(files, cache):
    path = files.root / "instances.json"
    index = opened(path)
    images, annotations = files.content["images"], files.content["annotations"]
    assert list(index.images()) == images == [index.image(row) for row in range(3)]
    assert [index.annotation(row) for row in range(index.num_annotations)] == annotations
    assert [index.rows_of(row).tolist() for row in range(3)] == [[0, 1, 2, 3, 4], [5], []]
    assert index.count(~index.has(CROWD)).tolist() == [4, 0, 0]
    assert index.has(SEGMENTATION).all() and index.has(BOX).all()
    assert [index.category_ids[code] for code in index.categories] == [5, 5, 5, 1, 1, 1]
    assert index.fields["categories"] == files.content["categories"]
    assert np.isnan(index.scores).all()


def test_ids_may_be_anything_that_can_be_compared(files, cache):
    """Whatever order the lists have: annotations may stand before the images."""
    images, annotations = files.content["images"], files.content["annotations"]
    images[0]["id"], images[1]["id"], images[2]["id"] = "four", 4.0, [9]
    annotations[0]["image_id"], annotations[1]["image_id"], annotations[2]["image_id"] = "four", 4, {}
    del annotations[3]["image_id"]
    annotations[4]["category_id"] = []
    annotations[5] = "no annotation"
    files.content = dict(reversed(files.content.items()))
    files.write()
    index = opened(files.root / "instances.json")
    assert [index.rows_of(row).tolist() for row in range(3)] == [[0], [1, 4], []]
    assert index.annotation_codes.tolist()[2:4] == [-1, -1] and index.categories.tolist()[4:] == [-1, -1]
    assert index.annotation(5) == "no annotation"


def test_an_index_is_made_once_for_a_content(files, cache, searches, instance_files, tmp_path):
    path = files.root / "instances.json"
    opened(path), opened(path)
    copied = instance_files(tmp_path / "copied")
    opened(copied.root / "instances.json")
    assert searches == [path] and len(list(cache.glob("*.arrow"))) == 1
    files.content["images"][0]["height"] = 41
    files.write()
    assert opened(path).image(0)["height"] == 41
    assert len(searches) == 2 and len(list(cache.glob("*.arrow"))) == 2
    assert not list(cache.glob("*.lock")) and not list(cache.glob("*.tmp"))


def test_a_settled_file_is_not_read_again(files, cache, monkeypatch):
    """One that has just changed is: its times may stay the same when it changes again."""
    path = files.root / "instances.json"
    read = []
    content = annotation_index.file_sha256
    monkeypatch.setattr(
        annotation_index, "file_sha256", lambda file: read.extend([1] * (file == path)) or content(file)
    )
    opened(path), opened(path)
    assert len(read) == 2 and not list(cache.glob("*.note"))
    monkeypatch.setattr(annotation_index, "_SETTLED_NS", -time.time_ns())
    opened(path)
    opened(path)
    assert len(read) == 3
    files.write()
    opened(path)
    assert len(read) == 4
    for note in cache.glob("*.note"):
        note.write_text("{")
    opened(path)
    assert len(read) == 5


def test_nothing_is_kept_of_a_file_that_is_no_json(files, cache):
    path = files.root / "instances.json"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(
        ValueError, match=r"instances.json is not valid JSON \(.*: byte \d+\); download it again"
    ):
        opened(path)
    assert not list(cache.iterdir())


@pytest.mark.parametrize("damage", [b"", b"ARROW1", None])
def test_a_damaged_index_is_made_again(files, cache, searches, damage):
    path = files.root / "instances.json"
    opened(path)
    (index,) = cache.glob("*.arrow")
    data = index.read_bytes()
    index.write_bytes(data[: len(data) // 2] if damage is None else damage)
    assert opened(path).num_images == 3
    assert len(searches) == 2 and index.read_bytes() == data


def test_a_folder_that_cannot_be_written(files, tmp_path, monkeypatch, searches):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OMGSEG_CACHE", str(tmp_path / "file"))
    dataset = CocoInstanceDataset(**files.config)
    assert len(dataset.get_data_info(0)["frames"][0]["instances"]) == 4 and len(searches) == 1


def read_in_process(path, barrier, results):
    barrier.wait()
    index = opened(path)
    results.put((index.num_annotations, sum(1 for _ in index.images())))


def test_processes_that_start_together(files, cache):
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(4), context.Queue()
    path = files.root / "instances.json"
    processes = [context.Process(target=read_in_process, args=(path, barrier, results)) for _ in range(4)]
    for process in processes:
        process.start()
    assert [results.get(timeout=60) for _ in processes] == [(6, 3)] * 4
    for process in processes:
        process.join()
    assert sorted(path.suffix for path in cache.iterdir()) == [".arrow", ".json"]


def test_an_index_in_other_processes(files, cache):
    dataset = CocoInstanceDataset(**files.config)
    sent = pickle.dumps(dataset)
    assert len(sent) < 10_000
    assert pickle.loads(sent).get_data_info(0) == dataset.get_data_info(0)


@pytest.mark.parametrize("change", ["written", "replaced", "deleted"])
def test_a_file_that_is_changed_while_it_is_used(files, cache, change):
    path = files.root / "instances.json"
    dataset = CocoInstanceDataset(**files.config)
    before, sent = dataset.get_data_info(0), pickle.dumps(dataset)
    if change == "replaced":
        os.replace(path, path.with_name("old.json"))
    files.content["images"][0]["height"] = 41
    files.write()
    if change == "deleted":
        path.unlink()
    assert dataset.get_data_info(0) == before == pickle.loads(sent).get_data_info(0)


def test_a_file_that_is_written_while_it_is_copied(files, cache, monkeypatch):
    copy = annotation_index.shutil.copyfile

    def change(path, target):
        files.content["images"][0]["height"] = 41
        files.write()
        return copy(path, target)

    monkeypatch.setattr(annotation_index.shutil, "copyfile", change)
    with pytest.raises(ValueError, match=r"instances.json was written while it was read; start again"):
        opened(files.root / "instances.json")
    assert not list(cache.iterdir())


def test_what_is_not_used_is_deleted(files, cache):
    path = files.root / "instances.json"
    opened(path)
    first = {path.name for path in cache.iterdir()}
    for name in first:
        os.utime(cache / name, (0, 0))
    opened(path)  # used again
    (cache / "old.arrow").write_bytes(b"")
    os.utime(cache / "old.arrow", (0, 0))
    files.content["images"][0]["height"] = 41
    files.write()
    opened(path)
    names = {path.name for path in cache.iterdir()}
    assert first < names and len(names) == 4 and "old.arrow" not in names


def test_parts_of_a_dataset(files, cache):
    files.content["annotations"].append({**files.content["annotations"][0], "image_id": 9, "id": 17})
    files.content["images"][2].update(width=30)
    files.write()
    dataset = CocoInstanceDataset(**files.config)
    assert [dataset.get_data_info(index)["frames"][0]["img_id"] for index in (0, 1, -1)] == [4, 9, 9]
    assert dataset.get_data_info(-1)["sample_idx"] == 1
    assert dataset.sampling_groups()[1].tolist() == [True, False]
    last = CocoInstanceDataset(**files.config, indices=-1)
    assert len(last) == 1 and last.sampling_groups()[1].tolist() == [False]
    for subset in (dataset.get_subset([1]), CocoInstanceDataset(**files.config, indices=[1])):
        assert subset.get_data_info(0) == last.get_data_info(0)
