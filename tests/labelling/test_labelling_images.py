"""Which images are labelled, and by whom."""

import os

import pytest

from omgseg.labelling import Shard, collect_images


@pytest.fixture
def folder(tmp_path):
    for name in ("10.jpg", "2.PNG", "sub/1.jpg", "notes.txt"):
        file = tmp_path / "in" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return tmp_path / "in"


def test_a_folder_with_its_sub_folders(folder):
    images = collect_images([str(folder)])
    assert list(images) == ["2.PNG", "10.jpg", "sub/1.jpg"]
    assert images["sub/1.jpg"] == folder / "sub" / "1.jpg"


def test_files_and_globs_keep_the_names_that_were_given(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert list(collect_images(["in/10.jpg", "in/*.jpg", "in/**/1.jpg"])) == ["in/10.jpg", "in/sub/1.jpg"]


def test_nothing_there(tmp_path):
    (tmp_path / "empty").mkdir()
    for source in ("missing", "empty", "*.jpg"):
        with pytest.raises(FileNotFoundError, match="not found|no image"):
            collect_images([str(tmp_path / source)])


def test_a_shard_depends_on_the_name_alone():
    names = [f"{number:06d}.jpg" for number in range(1000)]
    sizes = [sum(Shard(number, 4).has(name) for name in names) for number in (1, 2, 3, 4)]
    assert sum(sizes) == 1000 and min(sizes) > 200
    assert Shard.parse("2/8") == Shard(2, 8) and str(Shard(2, 8)) == "2/8"
    for text in ("0/4", "5/4", "1", "a/b", "1/0", "-1/4"):
        with pytest.raises(ValueError, match="1 <= i <= n"):
            Shard.parse(text)


def test_links_that_lead_back_are_followed_once(folder):
    (folder / "sub" / "up").symlink_to(folder)
    (folder / "sub" / "again").symlink_to(folder / "sub")
    for source in (folder, folder / "**" / "*.jpg", folder / "**"):
        found = [path.relative_to(folder).as_posix() for path in collect_images([str(source)]).values()]
        assert [name for name in found if name.endswith("jpg")] == ["10.jpg", "sub/1.jpg"]


def test_a_linked_folder_counts(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.jpg").touch()
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    assert "link/a.jpg" in collect_images([str(folder)])


def test_hidden_files_do_not_count(folder):
    for name in ("._10.jpg", ".hidden.jpg", ".thumbnails/1.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    assert len(collect_images([str(folder)])) == 3


def test_a_name_that_is_not_utf_8_is_spelled_out(folder):
    odd = folder / os.fsdecode(b"caf\xe9.jpg")
    odd.touch()
    images = collect_images([str(folder)])
    assert images["caf\\xe9.jpg"] == odd
    assert sum(Shard(number, 3).has("caf\\xe9.jpg") for number in (1, 2, 3)) == 1


def test_an_empty_source_is_not_the_current_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(ValueError, match="empty; '.' is the current folder"):
        collect_images([""])
