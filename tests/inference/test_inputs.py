"""Pixels that users hand in."""

import re

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from omgseg.inference.sources import list_images, to_image
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


def test_16_bits_keep_their_upper_half(tmp_path):
    """Grey values and colours alike."""
    values = np.arange(0, 65536, 3277, dtype=np.uint16).reshape(4, 5)
    for name, array in (("grey", values), ("colour", np.stack([values] * 3, axis=-1))):
        for suffix in ("png", "tif"):
            file = tmp_path / f"{name}.{suffix}"
            cv2.imwrite(str(file), array)
            assert np.array_equal(read_image(file), np.stack([values >> 8] * 3, axis=-1))
            assert np.array_equal(to_image(Image.open(file)), read_image(file))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_numbers_without_a_known_range_are_refused(tmp_path, dtype, channels):
    cv2.imwrite(str(tmp_path / "deep.tif"), np.full((4, 5, channels), 1000, dtype))
    with pytest.raises(
        (ValueError, OSError), match=r"deep\.tif (holds|is a TIFF of a kind).*convert it to 8 bits"
    ):
        read_image(tmp_path / "deep.tif")


@pytest.mark.parametrize(
    ("array", "conversion"),
    [
        (np.random.default_rng(0).random((4, 5, 3)), "image * 255"),
        (np.full((4, 5, 3), 200.0), "image).round"),
        (np.zeros((4, 5), np.uint8), "np.stack([image] * 3"),
        (np.zeros((4, 5, 4), np.uint8), "image[..., :3]"),
        (np.zeros((4, 5, 1), np.uint8), "np.repeat"),
        (np.zeros((3, 4, 5), np.uint8), "image.transpose(1, 2, 0)"),
        (np.zeros((4, 5, 3), np.uint16), "image >> 8"),
    ],
)
def test_wrong_arrays_come_with_the_conversion(array, conversion):
    with pytest.raises(ValueError, match=r"expected an RGB image uint8 \(H, W, 3\)") as caught:
        to_image(array)
    code = re.search("convert it with ([^ ].*?)(, as|, which|$)", str(caught.value))[1]
    assert conversion in code
    assert to_image(eval(code, {"np": np, "image": array})).ndim == 3


def test_a_tensor_comes_with_the_conversion():
    with pytest.raises(TypeError, match=r"Tensor \(3, 4, 5\); give the array image.permute\(1, 2, 0\)"):
        to_image(torch.zeros(3, 4, 5))


def test_wrong_kind():
    with pytest.raises(TypeError, match="not int"):
        to_image(3)
