"""Frames of video files and streams through PyAV, and of cameras through OpenCV."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
import cv2
import numpy as np
from mmengine.logging import print_log

VIDEO_SUFFIXES = (
    ".mp4",
    ".avi",
    ".mov",
    ".mkv",
    ".webm",
    ".m4v",
    ".mpg",
    ".mpeg",
    ".gif",
    ".ts",
    ".mts",
    ".m2ts",
    ".wmv",
    ".flv",
    ".f4v",
    ".3gp",
    ".3g2",
    ".asf",
    ".ogv",
    ".vob",
    ".m2v",
    ".mxf",
)
FILM_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,mxf"
"""Formats that FFmpeg may open where the name of a file does not say that it is a video. Play lists are left out, as
they make a decoder read other files."""
_PICTURES = (b"\x89PNG", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""Beginnings of PNG, BMP and TIFF."""
_EITHER = (b"GIF8", b"\xff\xd8\xff")
"""Beginnings of GIF and JPEG: pictures, or animations and streams of JPEGs."""
OPEN_TIMEOUT = 10.0
READ_TIMEOUT = 10.0
"""Seconds without an answer after which a stream counts as lost."""
MAX_FAILURES = 20
"""Reading of a file ends after this many damaged places in a row."""
CUT_OFF = 0.9
"""A file that ends before this fraction of its stated duration is incomplete."""


@dataclass(frozen=True)
class Frame:
    """An image, or a frame of a video.

    Attributes:
        image: RGB uint8 (H, W, 3).
        path: the image file, or the video file; None for arrays, cameras and streams.
        name: the file name of an image without its suffix; the frame number in a video file.
        index: frame number in the video, from 0; in a live stream dropped frames count. 0 for images.
        time: seconds from the start of the video, if known.
    """

    image: np.ndarray
    path: Path | None
    name: str
    index: int = 0
    time: float | None = None


def is_video_file(path: Path) -> bool:
    """Whether a file is a video, by its content; a GIF, a JPEG, and what cannot be read, by its name."""
    is_called_so = path.suffix.lower() in VIDEO_SUFFIXES
    if not path.is_file():
        return is_called_so
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return is_called_so
    if head.startswith(_EITHER):
        return is_called_so
    if head.startswith(_PICTURES) or (head[:4] == b"RIFF" and head[8:] == b"WEBP"):
        return False
    return is_called_so or _holds_film(path)


def _holds_film(path: Path) -> bool:
    try:
        options = {"format_whitelist": FILM_FORMATS}
        with av.open(str(path), options=options, metadata_errors="ignore") as container:
            return bool(container.streams.video)
    except (av.error.FFmpegError, OSError, ValueError):
        return False


def probe_video(path: str | Path) -> tuple[float | None, int | None]:
    """Frames per second and number of frames as the container states them; None for what it does not state.

    Raises:
        OSError: the file is not a video, or is broken.
    """
    with _open(path) as container:
        stream = container.streams.video[0]
        fps = float(stream.average_rate) if stream.average_rate else None
        if stream.frames:
            return fps, stream.frames
        seconds = container.duration / av.time_base if container.duration else None
        return fps, round(seconds * fps) if seconds and fps else None


def read_video(path: str | Path) -> Iterator[Frame]:
    """Decode a video file or a stream frame by frame, rotated as its metadata say.

    Damaged frames are left out; a warning at the end counts them. A file that is cut off also gives a warning.

    Args:
        path: a file, or the URL of a stream.

    Raises:
        OSError: the input cannot be opened, is not a video, or has no frame that can be decoded; or the stream is lost.
    """
    file = path if isinstance(path, Path) else None
    damaged, count, start, last, shape = 0, 0, None, None, None
    with _open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        pictures = _pictures(container, stream)
        while True:
            try:
                picture = next(pictures)
            except StopIteration:
                break
            except (av.error.FFmpegError, OSError) as error:
                raise OSError(
                    f"{shown_address(path)}: reading stopped after {count} frames ({_reason(error)})"
                ) from None  # the error holds the address with its password
            if picture is None:
                damaged += 1
                continue
            image = _upright(picture)
            shape = shape or image.shape
            if image.shape != shape:  # a stream may change its resolution; a video's frames must agree
                image = cv2.resize(image, shape[1::-1], interpolation=cv2.INTER_AREA)
            start = picture.time if start is None else start
            last = None if picture.time is None else picture.time - start
            yield Frame(image, file, f"{count:05d}", count, last)
            count += 1
        promised = container.duration / av.time_base if container.duration and file is not None else None
        last_shown = float(1 / stream.average_rate) if stream.average_rate else 0.0
    if not count:
        raise OSError(f"{shown_address(path)} has no frame that can be decoded; is it complete?")
    if damaged:
        _warn(f"{shown_address(path)}: {damaged} damaged frames were left out")
    if promised and last is not None and last + last_shown < CUT_OFF * promised:
        _warn(
            f"{path} is cut off: {last + last_shown:.1f} of {promised:.1f} seconds can be read, {count} frames"
        )


def _pictures(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[av.VideoFrame | None]:
    """The decoded frames of a stream; None for damaged data."""
    failures = 0
    while failures < MAX_FAILURES:
        try:
            for packet in container.demux(stream):
                failures = 0
                try:
                    pictures = packet.decode()
                except av.error.InvalidDataError:
                    yield None
                else:
                    yield from pictures
            return
        except av.error.InvalidDataError:  # in the container: demuxing continues behind the damage
            failures += 1
            yield None
    yield from stream.codec_context.decode(None)  # the frames that the decoder still holds


def read_camera(number: int) -> Iterator[Frame]:
    """Frames of a local camera, until it is unplugged or the iterator is closed.

    Raises:
        OSError: the camera does not exist, is in use, or gives no picture.
    """
    camera = cv2.VideoCapture(number)
    try:
        if not camera.isOpened():
            raise OSError(
                f"camera {number} cannot be opened; is it connected, and not in use? The first camera is 0"
            )
        start, count = time.monotonic(), 0
        while True:
            has_image, image = camera.read()
            if not has_image:
                break
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            yield Frame(image, None, f"{count:05d}", count, time.monotonic() - start)
            count += 1
        if not count:
            raise OSError(f"camera {number} gives no picture")
    finally:
        camera.release()


def shown_address(path: str | Path) -> str:
    """A path, or an address without its password and query, for errors and logs."""
    text = str(path)
    if "://" not in text:
        return text
    return re.sub(r"\?.*", "?...", re.sub(r"://[^/?#]*@", "://***@", text), flags=re.DOTALL)


def _open(path: str | Path) -> av.container.InputContainer:
    try:
        timeout = (OPEN_TIMEOUT, READ_TIMEOUT) if isinstance(path, str) else None
        # tags are not used, and may hold bytes that are not text
        container = av.open(str(path), timeout=timeout, metadata_errors="ignore")
    except (av.error.FFmpegError, OSError) as error:
        raise OSError(f"{shown_address(path)} cannot be opened as a video ({_reason(error)})") from None
    if not container.streams.video:
        container.close()
        raise OSError(f"{shown_address(path)} has no video in it")
    return container


def _reason(error: Exception) -> str:
    """The reason of an error without the address, which FFmpeg repeats in its message."""
    return getattr(error, "strerror", None) or type(error).__name__


def _warn(message: str) -> None:
    print_log(message, logger="current", level=logging.WARNING)


def _upright(picture: av.VideoFrame) -> np.ndarray:
    image = picture.to_ndarray(format="rgb24")
    quarters = round(picture.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image
