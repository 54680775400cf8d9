"""The journal: nothing that was added is lost."""

import json

import pytest

from omgseg.labelling import Journal

HEADER = {"settings": {"task": "instance"}, "shard": "1/1", "categories": [{"id": 1, "name": "dog"}]}


def record(name: str, objects: int = 0) -> dict:
    return {"file": name, "height": 4, "width": 6, "annotations": [{"category_id": 1}] * objects}


def test_goes_on_where_it_ended(tmp_path):
    path = tmp_path / "parts" / "1-of-1.jsonl"
    with Journal(path, HEADER) as journal:
        journal.add(record("a"))
        journal.add({"file": "b", "error": "broken"})
    with Journal(path, HEADER) as journal:
        assert journal.done == {"a"} and journal.failed == {"b": "broken"}
        journal.add(record("b"))
        journal.add({"file": "a", "error": "gone by now"})
    with Journal(path, HEADER) as journal:
        assert journal.done == {"a", "b"} and not journal.failed


@pytest.mark.parametrize("cut", range(1, 53, 4))
def test_drops_a_line_that_was_cut_off(tmp_path, cut):
    path = tmp_path / "journal.jsonl"
    with Journal(path, HEADER) as journal:
        journal.add(record("a"))
        journal.add(record("b"))
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    with Journal(path, HEADER) as journal:
        assert journal.done == {"a"}
        journal.add(record("b"))
    assert path.read_bytes() == content


def test_a_header_that_was_cut_off_is_written_again(tmp_path):
    path = tmp_path / "journal.jsonl"
    Journal(path, HEADER).close()
    content = path.read_bytes()
    for length in (0, 5, len(content) - 1):
        path.write_bytes(content[:length])
        Journal(path, HEADER).close()
        assert path.read_bytes() == content


def test_is_on_the_disk_after_each_record(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Journal(path, HEADER) as journal:
        journal.add(record("a"))
        assert [json.loads(line).get("file") for line in path.read_text().splitlines()] == [None, "a"]


def test_refuses_other_settings_and_foreign_files(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Journal(path, HEADER) as journal:
        journal.add(record("a"))
    with pytest.raises(ValueError, match="another task.*panoptic.*--overwrite"):
        Journal(path, {**HEADER, "settings": {"task": "panoptic"}})
    with Journal(path, {**HEADER, "settings": {"task": "panoptic"}}, restart=True) as journal:
        assert not journal.done
    foreign = tmp_path / "notes.txt"
    foreign.write_text("do not lose me")
    with pytest.raises(ValueError, match="not a journal"):
        Journal(foreign, HEADER)
    assert foreign.read_text() == "do not lose me"


def test_has_one_writer(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Journal(path, HEADER), pytest.raises(BlockingIOError, match="another process"):
        Journal(path, HEADER)
    Journal(path, HEADER).close()
