"""Video files, streams and cameras."""

import os
import struct
import traceback
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from mmengine.logging import MMLogger

from omgseg.inference import open_source
from omgseg.visualization import VideoWriter

HEIGHT, WIDTH, FRAMES, FPS = 48, 64, 12, 10


def write_film(path, codec="mpeg4", frames=FRAMES):
    """Grey frames that become brighter by 15 each."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = WIDTH, HEIGHT, "yuv420p", 1
        for index in range(frames):
            image = np.full((HEIGHT, WIDTH, 3), 20 + 15 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture
def film(tmp_path):
    return write_film(tmp_path / "film.mp4")


def check_film(source):
    frames = list(source)
    assert [frame.index for frame in frames] == list(range(FRAMES))
    assert [frame.time for frame in frames] == pytest.approx([index / FPS for index in range(FRAMES)])
    for index, frame in enumerate(frames):
        assert frame.image.shape == (HEIGHT, WIDTH, 3) and frame.image.dtype == np.uint8
        assert abs(frame.image.mean() - (20 + 15 * index)) < 4
    return frames


def test_video_file(film):
    source = open_source(film)
    assert (source.is_video, source.is_live, source.fps, source.length) == (True, False, FPS, FRAMES)
    assert (source.name, source.path) == ("film", film)
    assert check_film(source)[3].name == "00003"
    check_film(source)  # a second time


def test_length_where_the_container_states_none(tmp_path):
    assert open_source(write_film(tmp_path / "film.mkv")).length == FRAMES


def test_stream(film):
    source = open_source(film.as_uri())
    assert (source.is_video, source.is_live, source.path, source.name) == (True, False, None, "film")
    assert check_film(source)[0].path is None
    assert open_source("rtsp://user:secret@host/live").is_live
    assert "secret" not in open_source("rtsp://user:secret@host").name


def test_a_video_file_is_open_while_it_is_read(film):
    def is_open() -> bool:
        descriptors = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
        return any(os.path.realpath(descriptor) == str(film.resolve()) for descriptor in descriptors)

    frames = iter(open_source(film))
    assert not is_open()
    next(frames)
    assert is_open()
    frames.close()
    assert not is_open()


def test_damaged_frames_are_left_out_and_counted(tmp_path, warnings_given):
    film = write_film(tmp_path / "film.avi")
    data = bytearray(film.read_bytes())
    middle = data.index(b"00dc", len(data) // 2)
    data[middle + 8 : middle + 60] = bytes(52)
    film.write_bytes(data)
    frames = list(open_source(film))
    assert FRAMES - 3 <= len(frames) <= FRAMES
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert len(frames) == FRAMES or "1 damaged frames were left out" in warnings_given[0]


def test_files_that_are_no_videos(tmp_path):
    (tmp_path / "film.mp4").write_bytes(b"no film")
    with pytest.raises(OSError, match=r"film\.mp4 cannot be opened as a video"):
        open_source(tmp_path / "film.mp4")
    with av.open(str(tmp_path / "sound.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate, sound.time_base, sound.pts = 8000, Fraction(1, 8000), 0
        container.mux(stream.encode(sound))
    with pytest.raises(OSError, match=r"sound\.mkv has no video in it"):
        open_source(tmp_path / "sound.mkv")
    with pytest.raises(OSError, match="cannot be opened as a video"):
        list(open_source((tmp_path / "nothing.mp4").as_uri()))


@pytest.mark.parametrize(
    ("matrix", "is_turned", "bright"),
    [
        ((1, 0, 0, 1), False, (0, 0)),
        ((0, 1, -1, 0), True, (0, 1)),  # a quarter clockwise
        ((0, -1, 1, 0), True, (1, 0)),
        ((-1, 0, 0, -1), False, (1, 1)),
    ],
)
def test_frames_are_turned_as_the_recorder_says(tmp_path, matrix, is_turned, bright):
    """Phones store upright videos lying, with a matrix in the header of the track."""
    file = tmp_path / "phone.mp4"
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[: HEIGHT // 2, : WIDTH // 2] = 255
    with VideoWriter(file, FPS) as writer:
        writer.add(image)
    content = bytearray(file.read_bytes())
    start = content.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in matrix)
    content[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    file.write_bytes(content)
    (frame,) = open_source(file)
    assert frame.image.shape[:2] == ((WIDTH, HEIGHT) if is_turned else (HEIGHT, WIDTH))
    height, width = frame.image.shape[0] // 2, frame.image.shape[1] // 2
    quarters = frame.image[..., 0].reshape(2, height, 2, width).mean((1, 3))
    assert quarters[bright] > 200 and np.count_nonzero(quarters > 200) == 1


class FakeCamera:
    def __init__(self, number, frames=4):
        self.left = frames if number == 0 else 0
        self.number, self.released = number, False
        FakeCamera.last = self

    def isOpened(self):
        return self.number < 2

    def read(self):
        self.left -= 1
        image = np.zeros((4, 6, 3), np.uint8)
        image[..., 0] = 200  # blue, as OpenCV orders colours
        return self.left >= 0, image

    def release(self):
        self.released = True


def test_camera(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", FakeCamera)
    source = open_source(0)
    assert (source.is_video, source.is_live, source.name) == (True, True, "camera0")
    frames = list(source)
    assert [frame.index for frame in frames] == [0, 1, 2, 3] and frames[0].image[0, 0].tolist() == [0, 0, 200]
    assert FakeCamera.last.released
    iterator = iter(source)
    next(iterator)
    iterator.close()
    assert FakeCamera.last.released
    with pytest.raises(OSError, match="camera 1 gives no picture"):
        list(open_source(1))
    with pytest.raises(OSError, match="camera 2 cannot be opened"):
        list(open_source(2))


@pytest.fixture
def warnings_given(monkeypatch):
    messages = []
    monkeypatch.setattr(
        MMLogger.get_current_instance(), "callHandlers", lambda r: messages.append(r.getMessage())
    )
    return messages


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi"])
def test_a_short_video_is_not_taken_for_one_that_is_cut_off(tmp_path, warnings_given, frames, ending):
    """Its last frame is shown for a large part of its duration."""
    assert len(list(open_source(write_film(tmp_path / f"film.{ending}", frames=frames)))) == frames
    assert not warnings_given


def test_a_film_that_is_cut_off_is_told(tmp_path, warnings_given):
    film = write_film(tmp_path / "film.mkv")
    assert len(list(open_source(film))) == FRAMES and not warnings_given
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    assert 0 < len(list(open_source(film))) < FRAMES
    assert "film.mkv is cut off" in warnings_given[0]


def damage(monkeypatch, packets):
    """Let PyAV open containers that give so many packets before each damaged place, and none after the last one."""
    opened = av.open

    class Damaged:
        def __init__(self, *arguments, **more):
            self.container, self.left = opened(*arguments, **more), iter(packets)

        def __getattr__(self, name):
            return getattr(self.container, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.container.close()

        def demux(self, stream):
            left = next(self.left, 0)
            source = iter(()) if not left else self.container.demux(stream)
            for number, packet in enumerate(source):
                if number == left:
                    break
                yield packet
            else:
                if left:
                    return
            raise av.error.InvalidDataError(1, "damaged")

    monkeypatch.setattr(av, "open", Damaged)


def test_reading_goes_on_behind_a_damaged_place_of_the_container(film, monkeypatch, warnings_given):
    """FFmpeg's iterator of packets ends with the error."""
    damage(monkeypatch, [3, 2, FRAMES])
    assert len(list(open_source(film))) == FRAMES - 2  # the packets in whose place the errors came
    assert "2 damaged frames were left out" in warnings_given[0]


def test_a_film_that_stays_damaged_ends(film, monkeypatch):
    damage(monkeypatch, [4])
    assert len(list(open_source(film))) == 4


def test_tags_may_hold_any_bytes(tmp_path):
    film = tmp_path / "film.mkv"
    with av.open(str(film), "w") as container:
        container.metadata["title"] = "TITLETITLE"
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8))))
        container.mux(stream.encode())
    film.write_bytes(film.read_bytes().replace(b"TITLETITLE", b"TITLE\xff\xfe\xe9\xe8\xe7"))
    assert len(list(open_source(film))) == 1


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://user:secret@localhost:1/live",
        "http://user:sec@secret@localhost:1/live?token=secret",
        "nonsense://user:secret@[::1/live",
        "http://user:secret@localhost/photo.jpg",
    ],
)
def test_no_password_in_errors(address):
    with pytest.raises((OSError, ValueError)) as caught:
        list(open_source(address))
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    with pytest.raises((OSError, ValueError)) as caught:
        open_source(["a.jpg", address.replace("photo.jpg", "film") + ".mp4"])
    assert "secret" not in str(caught.value)
