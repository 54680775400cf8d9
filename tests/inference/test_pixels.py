"""How arrays and tensors are read."""

import numpy as np
import pytest
import torch

from omgseg.inference import open_source
from omgseg.inference.pixels import to_image, to_video

IMAGE = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
GREY = IMAGE[..., 0]
THREE_GREYS = np.stack([GREY] * 3, axis=-1)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_0_to_1(dtype):
    assert np.array_equal(to_image((IMAGE / 255).astype(dtype)), IMAGE)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1)])
def test_one_channel_is_grey(shape):
    assert np.array_equal(to_image(GREY.reshape(shape)), THREE_GREYS)
    assert np.array_equal(to_image((GREY / 255).reshape(shape)), THREE_GREYS)


def test_of_four_channels_the_transparency_is_left_out():
    assert np.array_equal(to_image(np.dstack([IMAGE, GREY])), IMAGE)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32])
def test_tensors_have_their_channels_first(dtype):
    image = torch.from_numpy(IMAGE).permute(2, 0, 1)
    given = image if dtype is torch.uint8 else (image / 255).to(dtype).requires_grad_()
    difference = np.abs(to_image(given).astype(int) - IMAGE).max()
    assert difference <= (0 if dtype is not torch.bfloat16 else 1)
    assert np.array_equal(to_image(torch.from_numpy(GREY)), THREE_GREYS)
    assert np.array_equal(to_image(torch.from_numpy(GREY)[None]), THREE_GREYS)


def test_sources_are_read_by_the_same_rule():
    for given in (IMAGE, IMAGE / 255, np.dstack([IMAGE, GREY]), torch.from_numpy(IMAGE).permute(2, 0, 1)):
        for source in (open_source(given), open_source([given]), open_source(iter([given]))):
            (frame,) = source
            assert np.array_equal(frame.image, IMAGE)
    for film in (
        np.stack([IMAGE] * 2),
        np.stack([IMAGE / 255] * 2),
        np.stack([np.dstack([IMAGE, GREY])] * 2),
    ):
        assert open_source(film).is_video
        assert all(np.array_equal(frame.image, IMAGE) for frame in open_source(film))
    assert np.array_equal(to_video(np.stack([GREY[..., None]] * 2))[1], THREE_GREYS)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (IMAGE.astype(np.float32), r"read as 0 to 1, and these reach from .* to 2\d\d: .* image.round\(\)"),
        (np.full((4, 5, 3), np.nan), "reach from nan to nan"),
        (IMAGE / 255 - 0.5, "reach from -0.4"),
        (IMAGE.astype(np.uint16), r"got uint16 \(4, 5, 3\); convert it with \(image >> 8\)"),
        (IMAGE.astype(np.int64), r"image.astype\(np.uint8\), if it holds 0 to 255"),
        (IMAGE.transpose(2, 0, 1), r"image.transpose\(1, 2, 0\), as the channels come first"),
        (IMAGE[:0], r"got uint8 \(0, 5, 3\)"),
        (np.zeros((4, 5, 2), np.uint8), r"expected an RGB image uint8 \(H, W, 3\), got uint8 \(4, 5, 2\)"),
        (
            torch.zeros(4, 5, 3)[..., None],
            r"tensor \(4, 5, 3, 1\) is a batch or a video; give list\(tensor\)",
        ),
        (torch.zeros(7, 5, 3), r"expected a tensor \(3, H, W\) .* \(7, 5, 3\); permute its axes"),
        (torch.zeros(3, 4, 5) - 1, "reach from -1 to -1"),
        (torch.zeros(3, 4, 5, dtype=torch.int64), "got int64"),
        (torch.zeros(()), r"expected a tensor \(3, H, W\)"),
    ],
)
def test_what_can_be_meant_in_two_ways_is_refused(image, message):
    with pytest.raises(ValueError, match=message):
        to_image(image)
    with pytest.raises(ValueError, match=message):
        open_source(image)


def test_wrong_kinds():
    for value in (3, None, {"a": 1}):
        with pytest.raises(TypeError, match=f"not {type(value).__name__}"):
            to_image(value)


def test_a_video_of_floats_is_judged_as_a_whole():
    dark = np.zeros((2, 4, 5, 3), np.float32)
    dark[1] = 200
    with pytest.raises(ValueError, match=r"a video uint8 \(T, H, W, 3\); floats are read as 0 to 1"):
        open_source(dark)
