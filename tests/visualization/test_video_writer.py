"""Films that browsers play, and animations: frames, colours, speed; never half a file."""

import av
import numpy as np
import pytest
from PIL import Image

from omgseg.visualization import VideoWriter

COLORS = [(200, 30, 60), (20, 180, 90), (40, 60, 220), (240, 220, 80)]


def frames(size=(120, 200)) -> list[np.ndarray]:
    return [np.full((*size, 3), color, np.uint8) for color in COLORS]


def write(path, pictures, fps=12.5) -> None:
    with VideoWriter(path, fps) as writer:
        for picture in pictures:
            writer.add(picture)


@pytest.mark.parametrize("size", [(120, 200), (121, 201)])
def test_an_mp4_has_all_frames_their_colours_and_the_speed(tmp_path, size):
    path = tmp_path / "new" / "film.mp4"
    write(path, frames(size))
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        assert stream.codec_context.name == ("h264" if "libx264" in av.codecs_available else "mpeg4")
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert float(stream.average_rate) == 12.5
        assert (stream.width % 2, stream.height % 2) == (0, 0)
        shown = [
            frame.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray()
            for frame in film.decode(video=0)
        ]
    assert len(shown) == len(COLORS)
    for picture, color in zip(shown, COLORS, strict=True):
        assert picture.shape[0] - size[0] in (0, 1)
        np.testing.assert_allclose(picture.mean((0, 1)), color, atol=6)
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), (
        "browsers must load the whole file before they play"
    )


def test_where_h264_is_missing_mpeg4_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    write(tmp_path / "film.mp4", frames())
    with av.open(str(tmp_path / "film.mp4")) as film:
        assert film.streams.video[0].codec_context.name == "mpeg4"
        assert sum(1 for _ in film.decode(video=0)) == len(COLORS)


def test_a_gif_keeps_frames_colours_and_speed(tmp_path):
    write(tmp_path / "film.gif", frames((32, 48)), fps=5)
    with Image.open(tmp_path / "film.gif") as gif:
        assert gif.n_frames == len(COLORS)
        assert gif.info["duration"] == 200
        assert gif.info["loop"] == 0
        gif.seek(3)
        shown = np.asarray(gif.convert("RGB")).astype(int)
    assert np.abs(shown - COLORS[3]).max() <= 8


@pytest.mark.parametrize("name", ["film.mp4", "film.gif"])
def test_a_failed_film_leaves_no_file(tmp_path, name):
    with pytest.raises(RuntimeError, match="model"), VideoWriter(tmp_path / name, 5) as writer:
        writer.add(frames()[0])
        raise RuntimeError("the model failed")
    with pytest.raises(ValueError, match="no frames"):
        write(tmp_path / name, [])
    with pytest.raises(ValueError, match=r"size \(10, 10\) follows one of \(120, 200\)"):
        write(tmp_path / name, [frames()[0], frames((10, 10))[0]])
    with pytest.raises(ValueError, match="uint8 RGB"):
        write(tmp_path / name, [frames()[0][..., 0]])
    assert not list(tmp_path.iterdir())


def test_wrong_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"film\.avi: videos are written as \.mp4 or \.gif"):
        VideoWriter(tmp_path / "film.avi", 5)
    with pytest.raises(ValueError, match="fps=0"):
        VideoWriter(tmp_path / "film.mp4", 0)
