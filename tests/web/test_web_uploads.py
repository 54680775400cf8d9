import av
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="Gradio is not installed (omgseg[web])")

from omgseg.web.uploads import Limits, Refused, check_film, read_picture


def test_a_picture_is_turned_as_its_camera_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.new("RGB", (8, 4), "red").save(tmp_path / "a.jpg", exif=exif)
    assert read_picture(str(tmp_path / "a.jpg"), Limits()).shape == (8, 4, 3)


def test_transparent_and_grey_pictures_become_rgb(tmp_path):
    for mode in ("RGBA", "L", "P", "LA"):
        Image.new(mode, (5, 6)).save(tmp_path / f"{mode}.png")
        pixels = read_picture(str(tmp_path / f"{mode}.png"), Limits())
        assert pixels.shape == (6, 5, 3) and pixels.dtype == np.uint8


def test_sixteen_bits_are_read_as_everywhere(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.full((4, 6), 40_000, np.uint16)).save(path)
    assert (read_picture(str(path), Limits()) == 40_000 >> 8).all()
    Image.new("F", (4, 4)).save(tmp_path / "a.tif")
    with pytest.raises(Refused, match="floats"):
        read_picture(str(tmp_path / "a.tif"), Limits())


def test_pictures_that_are_refused(tmp_path, photo):
    with pytest.raises(Refused, match="Upload a picture"):
        read_picture(None, Limits())
    with pytest.raises(Refused, match="no longer kept"):
        read_picture(str(tmp_path / "gone.png"), Limits())
    with pytest.raises(Refused, match="320 x 200"):
        read_picture(str(photo), Limits(image_megapixels=0.01))
    with pytest.raises(Refused, match="0.0 MB are accepted|at most 1e-06 MB"):
        read_picture(str(photo), Limits(upload_mb=1e-6))
    (tmp_path / "half.png").write_bytes(photo.read_bytes()[:300])
    (tmp_path / "drawing.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    for name in ("half.png", "drawing.eps"):
        with pytest.raises(Refused, match="not a picture"):
            read_picture(str(tmp_path / name), Limits())


def test_a_bomb_is_refused_by_its_head(tmp_path):
    Image.new("1", (14_000, 14_000)).save(tmp_path / "bomb.png")
    with pytest.raises(Refused, match="at most 25 megapixels"):
        read_picture(str(tmp_path / "bomb.png"), Limits())


def test_a_film(film):
    facts = check_film(str(film), Limits())
    assert (facts.size, facts.fps, facts.frames) == ((320, 200), 12, 12)


def test_films_that_are_refused(tmp_path, film):
    with pytest.raises(Refused, match="Upload a video"):
        check_film(None, Limits())
    with pytest.raises(Refused, match="lasts 1 s"):
        check_film(str(film), Limits(video_seconds=0.5))
    with pytest.raises(Refused, match="12 frames"):
        check_film(str(film), Limits(video_frames=10))
    with pytest.raises(Refused, match="320 x 200"):
        check_film(str(film), Limits(video_megapixels=0.01))
    (tmp_path / "no.mp4").write_bytes(b"no film" * 100)
    with pytest.raises(Refused, match="not a video"):
        check_film(str(tmp_path / "no.mp4"), Limits())


def test_the_content_decides_what_is_a_film(tmp_path, film):
    (tmp_path / "film.txt").write_bytes(film.read_bytes())
    assert check_film(str(tmp_path / "film.txt"), Limits()).frames == 12


def test_a_play_list_cannot_make_the_server_read_other_files(tmp_path, film):
    (tmp_path / "other.mp4").write_bytes(film.read_bytes())
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile other.mp4\n")
    with pytest.raises(Refused, match="not a video"):
        check_film(str(tmp_path / "list.mp4"), Limits())


def test_a_sound_is_no_film(tmp_path):
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(Refused, match="no pictures"):
        check_film(str(tmp_path / "sound.mp4"), Limits())


def test_limits_are_positive():
    with pytest.raises(ValueError, match="video_seconds"):
        Limits(video_seconds=0)
