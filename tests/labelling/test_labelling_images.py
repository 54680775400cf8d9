"""Which images are labelled, and by whom."""

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
        with pytest.raises(FileNotFoundError, match="not found|no images"):
            collect_images([str(tmp_path / source)])


def test_a_shard_depends_on_the_name_alone():
    names = [f"{number:06d}.jpg" for number in range(1000)]
    sizes = [sum(Shard(number, 4).has(name) for name in names) for number in (1, 2, 3, 4)]
    assert sum(sizes) == 1000 and min(sizes) > 200
    assert Shard.parse("2/8") == Shard(2, 8) and str(Shard(2, 8)) == "2/8"
    for text in ("0/4", "5/4", "1", "a/b", "1/0", "-1/4"):
        with pytest.raises(ValueError, match="1 <= i <= n"):
            Shard.parse(text)
