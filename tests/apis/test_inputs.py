"""Reading what users hand in."""

import numpy as np
import pytest
from PIL import Image

from omgseg.apis import list_files, read_image, read_input


def test_image_file(photo):
    clip = read_input(photo)
    assert (clip.shape, clip.is_video, clip.name, clip.frame_names) == ((90, 140), False, "photo", ["photo"])
    assert np.array_equal(clip.frames[0], np.asarray(Image.open(photo)))
    assert read_input(str(photo)).name == "photo"
    assert read_input(clip) is clip


def test_folder_is_a_video_in_the_order_of_its_numbers(video):
    clip = read_input(video)
    assert clip.is_video and clip.name == "clip"
    assert clip.frame_names == ["7", "8", "9", "10", "11"]
    assert len(clip.frames) == 5


def test_folder_of_one_frame_is_a_video(tmp_path, photo):
    assert read_input(photo.parent).is_video


def test_arrays(photo):
    image = read_image(photo)
    assert not read_input(image).is_video
    clip = read_input(np.stack([image, image]))
    assert clip.is_video and clip.frame_names == ["00000", "00001"]


def test_exif_turn_is_applied(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # a camera that was held upright
    Image.new("RGB", (30, 20)).save(tmp_path / "upright.jpg", exif=exif)
    assert read_image(tmp_path / "upright.jpg").shape == (30, 20, 3)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "CMYK"])
def test_any_colour_mode_becomes_rgb(tmp_path, mode):
    suffix = "tif" if mode == "CMYK" else "png"
    Image.new(mode, (9, 7)).save(tmp_path / f"image.{suffix}")
    assert read_image(tmp_path / f"image.{suffix}").shape == (7, 9, 3)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.jpg not found.*folder of frames"):
        list_files(tmp_path / "nothing.jpg")


def test_empty_folder(tmp_path):
    (tmp_path / "readme.txt").write_text("")
    with pytest.raises(FileNotFoundError, match="has no images"):
        read_input(tmp_path)


def test_truncated_image(photo):
    photo.write_bytes(photo.read_bytes()[:300])
    with pytest.raises(OSError, match=r"photo\.png is truncated or not an image"):
        read_input(photo)


def test_text_called_an_image(tmp_path):
    (tmp_path / "a.jpg").write_text("hello")
    with pytest.raises(OSError, match="not an image"):
        read_input(tmp_path / "a.jpg")


def test_video_file(tmp_path):
    (tmp_path / "film.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match=r"film\.mp4 is a video file.*folder of its frames"):
        read_input(tmp_path / "film.mp4")


def test_frames_of_different_sizes(video):
    Image.new("RGB", (20, 30)).save(video / "9.png")
    with pytest.raises(ValueError, match=r"9\.png has 20x30 pixels, 7\.png 140x90"):
        read_input(video)


def test_more_than_8_bits(tmp_path):
    Image.fromarray(np.full((4, 5), 1000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match="more than 8 bits"):
        read_image(tmp_path / "deep.png")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 5), np.uint8),
        np.zeros((4, 5, 3)),
        np.zeros((4, 5, 4), np.uint8),
        np.zeros((0, 4, 5, 3), np.uint8),
    ],
)
def test_wrong_array(array):
    with pytest.raises(ValueError, match=r"expected an RGB image uint8 \(H, W, 3\)"):
        read_input(array)


def test_wrong_kind():
    with pytest.raises(TypeError, match="a path or a numpy array, not int"):
        read_input(3)
