"""Journals become one COCO file."""

import json

import pytest

from omgseg.labelling import Journal, Shard, merge_journals

SETTINGS = {"settings": {"format": "coco", "task": "instance"}, "categories": [{"id": 1, "name": "dog"}]}


def write(path, names, shard="1/1", finish=True, **changes):
    with Journal(path, {**SETTINGS, **changes, "shard": shard}) as journal:
        for name in names:
            if name.startswith("broken"):
                journal.add({"file": name, "error": "unreadable"})
            else:
                objects = [{"category_id": 1, "area": int(name)}] * (int(name) % 3)
                journal.add({"file": name, "height": 4, "width": 6, "annotations": objects})
        if finish:
            journal.finish()
    return path


def test_the_order_of_the_journal_does_not_matter(tmp_path):
    names = ["1", "2", "10", "broken", "11"]
    summary = merge_journals([write(tmp_path / "a", names)], tmp_path / "a.json")
    merge_journals([write(tmp_path / "b", names[::-1])], tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (summary.images, summary.annotations, summary.unreadable) == (4, 6, ["broken"])
    content = json.loads((tmp_path / "a.json").read_text())
    assert [image["file_name"] for image in content["images"]] == ["1", "2", "10", "11"]
    assert [image["id"] for image in content["images"]] == [1, 2, 3, 4]
    assert content["images"][0] == {"id": 1, "file_name": "1", "width": 6, "height": 4}
    assert [annotation["id"] for annotation in content["annotations"]] == [1, 2, 3, 4, 5, 6]
    assert [annotation["image_id"] for annotation in content["annotations"]] == [1, 2, 2, 3, 4, 4]
    assert content["categories"] == SETTINGS["categories"]
    assert content["info"]["unreadable"] == ["broken"]


def test_shards_make_the_file_of_one_process(tmp_path):
    names = [str(number) for number in range(40)]
    merge_journals([write(tmp_path / "all", names)], tmp_path / "one.json")
    shards = [Shard(number, 3) for number in (1, 2, 3)]
    parts = [[name for name in names if shard.has(name)] for shard in shards]
    assert sorted(sum(parts, [])) == sorted(names) and all(parts)
    paths = [write(tmp_path / f"{s.number}", part, str(s)) for s, part in zip(shards, parts, strict=True)]
    merge_journals(paths[::-1], tmp_path / "merged.json")
    assert (tmp_path / "merged.json").read_bytes() == (tmp_path / "one.json").read_bytes()


def test_only_the_images_that_are_still_there(tmp_path):
    path = write(tmp_path / "a", ["1", "2", "3"])
    assert merge_journals([path], tmp_path / "out.json", ["3", "1"]).images == 2


def test_what_cannot_be_merged(tmp_path):
    first = write(tmp_path / "1", ["1"], "1/3")
    second = write(tmp_path / "2", ["2"], "2/3", finish=False)
    other = write(tmp_path / "3", ["3"], "2/2")
    changed = write(tmp_path / "4", ["4"], "2/3", settings={"format": "coco", "task": "panoptic"})
    out = tmp_path / "out.json"
    for paths, message in (
        ([], "no journals are given"),
        ([first], "shards are missing: 2/3, 3/3"),
        ([first, second], "2 is not finished"),
        ([first, other], "different counts"),
        ([first, changed], "another task"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            merge_journals(paths, out)
    assert not out.exists()


def test_a_run_that_was_killed_after_images_were_added_is_not_finished(tmp_path):
    path = write(tmp_path / "a", ["1"])
    write(path, ["2"], finish=False)
    with pytest.raises(ValueError, match="not finished"):
        merge_journals([path], tmp_path / "out.json")
