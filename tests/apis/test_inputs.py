"""Pixels that users hand in."""

import numpy as np
import pytest
from PIL import Image

from omgseg.apis.inputs import list_images, to_image
from omgseg.structures.images import read_image


def test_files_arrays_and_pictures_agree(photo):
    image = read_image(photo)
    assert np.array_equal(image, np.asarray(Image.open(photo)))
    for other in (str(photo), image, Image.open(photo)):
        assert np.array_equal(to_image(other), image)


def test_exif_turn_is_applied(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # a camera that was held upright
    Image.new("RGB", (30, 20)).save(tmp_path / "upright.jpg", exif=exif)
    assert read_image(tmp_path / "upright.jpg").shape == (30, 20, 3)
    assert to_image(Image.open(tmp_path / "upright.jpg")).shape == (30, 20, 3)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "CMYK"])
def test_any_colour_mode_becomes_rgb(tmp_path, mode):
    suffix = "tif" if mode == "CMYK" else "png"
    Image.new(mode, (9, 7)).save(tmp_path / f"image.{suffix}")
    assert read_image(tmp_path / f"image.{suffix}").shape == (7, 9, 3)


def test_folder_is_sorted_by_numbers(video):
    assert [path.stem for path in list_images(video)] == ["7", "8", "9", "10", "11"]


def test_folder_without_images(tmp_path):
    (tmp_path / "readme.txt").write_text("")
    with pytest.raises(FileNotFoundError, match="has no images"):
        list_images(tmp_path)
    (tmp_path / "film.mp4").write_text("")
    with pytest.raises(FileNotFoundError, match=r"for its 1 video files give .*/\*"):
        list_images(tmp_path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.jpg not found"):
        read_image(tmp_path / "nothing.jpg")


def test_truncated_image(photo):
    photo.write_bytes(photo.read_bytes()[:300])
    with pytest.raises(OSError, match=r"photo\.png is truncated or not an image"):
        read_image(photo)


def test_text_called_an_image(tmp_path):
    (tmp_path / "a.jpg").write_text("hello")
    with pytest.raises(OSError, match="not an image"):
        read_image(tmp_path / "a.jpg")


def test_unreasonably_large_image(photo, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(OSError, match=r"photo\.png: .*make it smaller"):
        read_image(photo)


def test_more_than_8_bits(tmp_path):
    Image.fromarray(np.full((4, 5), 1000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match=r"deep\.png has pixels of more than 8 bits"):
        read_image(tmp_path / "deep.png")


@pytest.mark.parametrize(
    "array", [np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3)), np.zeros((4, 5, 4), np.uint8)]
)
def test_wrong_array(array):
    with pytest.raises(ValueError, match=r"expected an RGB image uint8 \(H, W, 3\)"):
        to_image(array)


def test_wrong_kind():
    with pytest.raises(TypeError, match="not int"):
        to_image(3)
