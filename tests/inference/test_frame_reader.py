"""Parts of one video, in any order."""

import numpy as np
import pytest
from PIL import Image

from omgseg.inference.sources import FrameReader
from omgseg.visualization import VideoWriter

FRAMES = 6


@pytest.fixture(params=["film", "folder", "array", "list"])
def reader(request, tmp_path):
    images = [np.full((16, 24, 3), 40 * index, np.uint8) for index in range(FRAMES)]
    if request.param == "film":
        with VideoWriter(tmp_path / "film.mp4", 10) as writer:
            for image in images:
                writer.add(image)
        return FrameReader(tmp_path / "film.mp4")
    if request.param == "folder":
        for index, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / f"{index}.png")
        return FrameReader(tmp_path)
    return FrameReader(np.stack(images) if request.param == "array" else [*map(Image.fromarray, images)])


def numbers(frames) -> list[int]:
    return [round(frame.image.mean() / 40) for frame in frames]


def test_frames_in_any_order(reader):
    for index in (3, 4, 1, 5, 0):
        frame = reader.frame(index)
        assert frame.index == index and numbers([frame]) == [index]
    assert numbers(reader.read(2, 4)) == [2, 3] and numbers(reader.read(4)) == [4, 5]
    assert numbers(reader.read(3, 3)) == []


@pytest.mark.parametrize("wrong", [FRAMES, FRAMES + 100])
def test_a_frame_that_is_not_there_spoils_no_others(reader, wrong):
    for _ in range(2):
        with pytest.raises(IndexError, match=f"no frame {wrong}"):
            reader.frame(wrong)
        for index in (FRAMES - 1, 2, FRAMES - 1):
            assert numbers([reader.frame(index)]) == [index]
    with pytest.raises(IndexError, match="counted from 0"):
        reader.frame(-1)


@pytest.mark.parametrize("kind", [np.asarray, Image.fromarray])
def test_pixels_that_nobody_can_read_again_are_kept(kind):
    images = [kind(np.full((16, 24, 3), 99, np.uint8)) for _ in range(3)]
    assert FrameReader(images).in_memory


def test_files_are_read_again(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "1.png")
    assert not FrameReader([tmp_path / "1.png"]).in_memory
