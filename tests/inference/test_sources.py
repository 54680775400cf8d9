"""What can be segmented, and how it is read."""

import numpy as np
import pytest
from PIL import Image

from omgseg.inference import open_source, read_image
from omgseg.inference.sources import expand


def names(source) -> list[str]:
    return [frame.name for frame in source]


def test_image_file(photo):
    source = open_source(photo)
    (frame,) = source
    assert (source.is_video, source.is_single, source.length, source.name) == (False, True, 1, "photo")
    assert (frame.path, frame.name, frame.index, frame.time) == (photo, "photo", 0, None)
    assert np.array_equal(frame.image, read_image(photo))
    assert open_source(source) is source


def test_folder_is_images_or_a_video(video):
    images = open_source(video)
    assert not images.is_video and images.length == 5 and images.name == "clip"
    assert names(images) == ["7", "8", "9", "10", "11"]
    assert [frame.index for frame in images] == [0] * 5
    film = open_source(str(video), as_video=True)
    assert film.is_video and [frame.index for frame in film] == list(range(5))
    assert [frame.path.stem for frame in film] == names(images)


def test_globs(video, photo):
    assert names(open_source(f"{video}/1*.png")) == ["10", "11"]
    assert open_source(f"{video}/*.png", as_video=True).is_video
    assert sorted(names(open_source(f"{video.parent}/**/*.png"))) == ["10", "11", "7", "8", "9", "photo"]
    with pytest.raises(FileNotFoundError, match=r"no image or video matches .*\*\.jpg"):
        open_source(f"{video}/*.jpg")


def test_file_whose_name_looks_like_a_glob(photo):
    odd = photo.rename(photo.with_name("photo[1].png"))
    assert names(open_source(odd)) == ["photo[1]"]


def test_arrays_and_pictures(photo):
    image = read_image(photo)
    assert open_source(image).is_single and open_source(Image.open(photo)).is_single
    assert names(open_source(Image.open(photo))) == ["photo"]
    film = open_source(np.stack([image, image]))
    assert film.is_video and names(film) == ["00000", "00001"] and film.length == 2


def test_lists(photo, video):
    mixed = open_source([photo, read_image(photo), video, Image.open(photo)])
    assert not mixed.is_video and mixed.length == 8
    assert names(mixed) == ["photo", "00001", "7", "8", "9", "10", "11", "photo"]
    assert open_source([read_image(photo)] * 2, as_video=True).is_video
    with pytest.raises(ValueError, match="empty"):
        open_source([])
    with pytest.raises(ValueError, match=r"film\.mp4 is a video among several inputs"):
        open_source([photo, "film.mp4"])


def test_images_are_read_one_at_a_time(video):
    frames = iter(open_source(video))
    Image.new("RGB", (5, 4)).save(video / "7.png")
    assert next(frames).image.shape == (4, 5, 3)
    Image.new("RGB", (6, 4)).save(video / "8.png")
    assert next(frames).image.shape == (4, 6, 3)


def test_unreadable_images_among_several(video):
    (video / "8.png").write_text("no picture")
    failed = []
    frames = open_source(video).frames(lambda name, error: failed.append((name, error)))
    assert [frame.name for frame in frames] == ["7", "9", "10", "11"]
    ((name, error),) = failed
    assert name == str(video / "8.png") and "not an image" in str(error)
    with pytest.raises(OSError, match=r"8\.png"):
        list(open_source(video))
    with pytest.raises(OSError, match=r"8\.png"):  # the frames of a video belong together
        list(open_source(video, as_video=True).frames(lambda *_: None))


def test_frames_of_different_sizes(video):
    Image.new("RGB", (20, 30)).save(video / "9.png")
    assert len(list(open_source(video))) == 5
    with pytest.raises(ValueError, match=r"9\.png has 20x30 pixels, the first frame 140x90"):
        list(open_source(video, as_video=True))


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("nothing.jpg", FileNotFoundError, r"nothing\.jpg not found; a source is"),
        ("https://example.org/a/dog.jpg", ValueError, "download it"),
        (np.zeros((4, 5, 3)), ValueError, r"uint8 \(H, W, 3\) or a video uint8 \(T, H, W, 3\), got float64"),
        (None, TypeError, "not NoneType"),
        (True, TypeError, "not bool"),
        (1.5, TypeError, "not float"),
        ("", ValueError, "empty; '.' is the current folder"),
        ([""], ValueError, "empty"),
        (iter(["a.jpg"]), TypeError, r"list_iterator, which has no order or no length; give a list: list\("),
        ({"a.jpg"}, TypeError, r"set, which has no order"),
        (np.zeros((4, 5, 3), np.float32), ValueError, r"convert it with \(image \* 255\).round"),
    ],
)
def test_wrong_sources(source, error, message):
    with pytest.raises(error, match=message):
        open_source(source)


def test_a_folder_means_its_images_and_those_below_and_a_video_its_own(video, photo):
    below = video / "more"
    below.mkdir()
    photo.rename(below / "1.png")
    (video / "._8.png").write_bytes(b"resource fork of macOS")
    assert names(open_source(video)) == ["7", "8", "9", "10", "11", "1"]
    assert len(expand(video)) == 6 and expand(video)[-1] == below / "1.png"
    assert names(open_source(video, as_video=True)) == ["7", "8", "9", "10", "11"]


def test_a_glob_as_a_video_is_called_by_its_folder(video, monkeypatch):
    for pattern in ("*.png", "**/*.png", "1?.png"):
        assert open_source(f"{video}/{pattern}", as_video=True).name == "clip"
    monkeypatch.chdir(video)
    assert open_source("*.png", as_video=True).name == "clip"


@pytest.mark.parametrize("suffix", [".ts", ".wmv", ".flv", ".3gp", ".mts", ".m2ts"])
def test_endings_of_videos(tmp_path, suffix):
    (tmp_path / f"film{suffix}").write_bytes(b"no film")
    with pytest.raises(OSError, match="cannot be opened as a video"):
        open_source(tmp_path / f"film{suffix}")
