"""Label maps survive their files, and broken files are reported by name."""

import os

import numpy as np
import pytest
from PIL import Image

from omgseg.datasets.transforms.loading import read_rgb
from omgseg.structures.label_png import (
    decode_panoptic_png,
    decode_vipseg_panomask,
    encode_panoptic_png,
    encode_vipseg_panomask,
    id_to_rgb,
    image_size,
    load_image,
    read_index_png,
    read_vipseg_panomask,
    rgb_to_id,
    write_panoptic_png,
    write_png,
    write_vipseg_panomask,
)


def test_panoptic_id_is_little_endian_rgb(tmp_path):
    ids = np.array([[0, 1, 255], [256, 65536 * 7 + 256 * 5 + 3, 256**3 - 1]])
    rgb = encode_panoptic_png(ids)
    assert rgb.dtype == np.uint8 and rgb[1, 1].tolist() == [3, 5, 7]
    assert rgb_to_id(rgb).dtype == np.int32
    write_panoptic_png(tmp_path / "new" / "a.png", ids)
    np.testing.assert_array_equal(decode_panoptic_png(tmp_path / "new" / "a.png"), ids)


@pytest.mark.parametrize("bad", [[-1], [256**3]])
def test_panoptic_id_out_of_range(bad):
    with pytest.raises(ValueError, match="segment ids must lie"):
        id_to_rgb(np.array(bad))


def test_panoptic_png_needs_colour(tmp_path):
    write_png(tmp_path / "grey.png", np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="grey.png.*RGB"):
        decode_panoptic_png(tmp_path / "grey.png")


@pytest.mark.parametrize("read", [decode_panoptic_png, read_vipseg_panomask, read_index_png])
def test_broken_files_are_named(tmp_path, read):
    with pytest.raises(FileNotFoundError, match="absent.png.*data/README.md"):
        read(tmp_path / "absent.png")
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    write_png(tmp_path / "whole.png", noise)
    data = (tmp_path / "whole.png").read_bytes()
    for name, content in (
        ("cut.png", data[: len(data) // 2]),
        ("text.png", b"not an image"),
        ("empty.png", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(OSError, match=f"{name} is truncated or not an image"):
            read(tmp_path / name)


def test_index_png_reads_palette_and_refuses_colour(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [2, 255]], np.uint8), mode="P")
    image.putpalette(list(range(256)) * 3)
    image.save(tmp_path / "palette.png")
    assert read_index_png(tmp_path / "palette.png").tolist() == [[0, 1], [2, 255]]
    write_png(tmp_path / "colour.png", np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match="colour.png: expected one channel"):
        read_index_png(tmp_path / "colour.png")


def test_vipseg_values_of_the_official_readme():
    # person has category number 61 in the masks and id 60 in the category file
    classes, instances = decode_vipseg_panomask(np.array([0, 1, 124, 6100, 6101, 12499], np.uint16))
    assert classes.tolist() == [255, 0, 123, 60, 60, 123]
    assert instances.tolist() == [0, 0, 0, 1, 2, 100]


def test_vipseg_round_trip(tmp_path):
    classes = np.array([[255, 0, 123], [60, 60, 123]])
    instances = np.array([[0, 0, 0], [1, 100, 1]])
    write_vipseg_panomask(tmp_path / "v" / "0.png", classes, instances)
    with Image.open(tmp_path / "v" / "0.png") as image:
        assert image.mode.startswith("I")
    read = read_vipseg_panomask(tmp_path / "v" / "0.png")
    np.testing.assert_array_equal(read[0], classes)
    np.testing.assert_array_equal(read[1], instances)


def test_vipseg_reads_8_bit_files(tmp_path):
    write_png(tmp_path / "stuff.png", np.array([[0, 5]], np.uint8))
    assert read_vipseg_panomask(tmp_path / "stuff.png")[0].tolist() == [[255, 4]]


def test_vipseg_refuses_what_it_cannot_hold(tmp_path):
    write_png(tmp_path / "bad.png", np.array([[12500]], np.uint16))
    with pytest.raises(ValueError, match="bad.png: value 12500"):
        read_vipseg_panomask(tmp_path / "bad.png")
    one = np.ones((1, 1), int)
    with pytest.raises(ValueError, match="class_map must hold"):
        encode_vipseg_panomask(124 * one, one)
    with pytest.raises(ValueError, match="instance_map must hold"):
        encode_vipseg_panomask(one, 101 * one)
    with pytest.raises(ValueError, match="category id 0"):
        encode_vipseg_panomask(0 * one, one)
    with pytest.raises(ValueError, match="differ in shape"):
        encode_vipseg_panomask(one, np.ones((2, 1), int))


def test_the_size_of_an_image_comes_from_its_header(tmp_path):
    path = tmp_path / "a.png"
    write_png(path, np.zeros((300, 400, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:60])  # no pixels are read
    assert image_size(path) == (400, 300)
    path.write_text("no image")
    with pytest.raises(OSError, match="a.png is truncated or not an image"):
        image_size(path)
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:8])
    with pytest.raises(OSError, match="a.jpg is truncated or not an image"):
        image_size(tmp_path / "a.jpg")


@pytest.mark.parametrize("read", [load_image, image_size])
def test_images_too_large_are_refused_before_they_are_decoded(tmp_path, read):
    """A small file may hold an image of gigabytes."""
    Image.new("1", (13_000, 13_000)).save(tmp_path / "large.png")
    with pytest.raises(
        OSError, match=r"large.png has 13000x13000 pixels, more than 120000000; make it smaller"
    ):
        read(tmp_path / "large.png")


@pytest.mark.parametrize("read", [load_image, image_size, lambda path: read_rgb(path, "coco")])
def test_a_pipe_is_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "image.jpg")
    with pytest.raises(OSError, match=r"image.jpg is not a regular file"):
        read(tmp_path / "image.jpg")
