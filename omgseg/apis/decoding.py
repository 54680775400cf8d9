"""Frames of video files and streams through PyAV, and of cameras through OpenCV."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import av
import av.error
import cv2
import numpy as np
from mmengine.logging import print_log

from omgseg.apis.frames import Frame

OPEN_TIMEOUT = 10.0
READ_TIMEOUT = 10.0
"""Seconds without an answer after which a stream counts as gone."""


def probe_video(path: str | Path) -> tuple[float | None, int | None]:
    """Frames a second, and the number of frames as the container states it; None where it does not.

    Raises:
        OSError: the file is no video, or broken.
    """
    with _open(path) as container:
        stream = container.streams.video[0]
        fps = float(stream.average_rate) if stream.average_rate else None
        if stream.frames:
            return fps, stream.frames
        seconds = container.duration / av.time_base if container.duration else None
        return fps, round(seconds * fps) if seconds and fps else None


def read_video(path: str | Path) -> Iterator[Frame]:
    """Decode a video file or a stream, frame by frame, turned as the recorder held the camera.

    Damaged frames are left out, with a warning at the end that counts them.

    Args:
        path: a file, or the URL of a stream.

    Raises:
        OSError: it cannot be opened, is no video, has no frame that can be decoded, or a stream is gone.
    """
    file = path if isinstance(path, Path) else None
    damaged, count, start, shape = 0, 0, None, None
    with _open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
                decoded = packet.decode()
            except StopIteration:
                break
            except av.error.InvalidDataError:
                damaged += 1
                continue
            except (av.error.FFmpegError, OSError) as error:
                raise OSError(f"{path}: reading stopped after {count} frames ({error})") from error
            for picture in decoded:
                image = _upright(picture)
                shape = shape or image.shape
                if image.shape != shape:  # a stream may change its resolution; a video's frames must agree
                    image = cv2.resize(image, shape[1::-1], interpolation=cv2.INTER_AREA)
                seconds = picture.time
                start = seconds if start is None else start
                yield Frame(image, file, f"{count:05d}", count, None if seconds is None else seconds - start)
                count += 1
    if not count:
        raise OSError(f"{path} has no frame that can be decoded; is it complete?")
    if damaged:
        print_log(f"{path}: {damaged} damaged frames were left out", logger="current", level=logging.WARNING)


def read_camera(number: int) -> Iterator[Frame]:
    """Frames of a camera at this machine, until it is unplugged or the iterator is closed.

    Raises:
        OSError: there is no such camera, or it gives no picture.
    """
    camera = cv2.VideoCapture(number)
    try:
        if not camera.isOpened():
            raise OSError(f"camera {number} cannot be opened; is it connected, and free? The first one is 0")
        start, count = time.monotonic(), 0
        while True:
            found, image = camera.read()
            if not found:
                break
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            yield Frame(image, None, f"{count:05d}", count, time.monotonic() - start)
            count += 1
        if not count:
            raise OSError(f"camera {number} gives no picture")
    finally:
        camera.release()


def _open(path: str | Path) -> av.container.InputContainer:
    try:
        timeout = (OPEN_TIMEOUT, READ_TIMEOUT) if isinstance(path, str) else None
        container = av.open(str(path), timeout=timeout)
    except (av.error.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OSError(f"{path} cannot be opened as a video ({reason})") from error
    if not container.streams.video:
        container.close()
        raise OSError(f"{path} has no video in it")
    return container


def _upright(picture: av.VideoFrame) -> np.ndarray:
    image = picture.to_ndarray(format="rgb24")
    quarters = round(picture.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image
