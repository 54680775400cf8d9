"""Limits of the page, its folder of uploads and results, and checks of uploads before they are decoded."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path

import av
import numpy as np
from gradio.components import Component
from PIL import Image, UnidentifiedImageError

from omgseg.inference.video_files import FILM_FORMATS
from omgseg.structures.images import upright

MEGABYTE = 1 << 20
PART = "tmp*"
"""Files directly in the workspace in which Gradio collects uploads that are still arriving."""
PICTURES = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")


class Refused(ValueError):
    """A request that the page refuses; the message is shown to the visitor."""


@dataclass(frozen=True)
class Limits:
    """Limits for one request, one visitor and all visitors together.

    Attributes:
        upload_mb: size of an uploaded file, in megabytes of 2**20 bytes.
        image_megapixels: width x height of a picture.
        video_megapixels: width x height of a video's frames.
        video_seconds: length of a video.
        video_frames: number of a video's frames.
        words: number of words in a vocabulary.
        word_megapixels: words x megapixels of a picture in a semantic request, whose time grows with both.
        clicks: prompts on one picture.
        encoded: encoded pictures in the cache of the click tab, one per visitor; the least recently used one is
            dropped.
        waiting: requests in the queue of the model, which runs one at a time.
        visitors: visitors whose state is kept; that of the least recently active one is dropped.
        stored_mb: size of the uploads and results of all visitors together; the oldest are deleted first.
        keep_minutes: time after which uploads and results are deleted.
        pause_seconds: longest pause while a request arrives.
        request_seconds: time in which a request must have arrived.

    Raises:
        ValueError: a limit is not positive, or `stored_mb` is less than an upload needs.
    """

    upload_mb: float = 100
    image_megapixels: float = 25
    video_megapixels: float = 2.5
    video_seconds: float = 60
    video_frames: int = 1800
    words: int = 200
    word_megapixels: float = 500
    clicks: int = 40
    encoded: int = 4
    waiting: int = 16
    visitors: int = 32
    stored_mb: float = 2000
    keep_minutes: float = 60
    pause_seconds: float = 20
    request_seconds: float = 900

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise ValueError(f"limit {field.name}={getattr(self, field.name)}: must be above 0")
        if self.stored_mb < self.upload_mb + 1:
            raise ValueError(
                f"limit stored_mb={self.stored_mb:g}: must be above upload_mb={self.upload_mb:g} by 1 at least"
            )

    @property
    def upload_bytes(self) -> int:
        return int(self.upload_mb * MEGABYTE)

    @property
    def stored_bytes(self) -> int:
        return int(self.stored_mb * MEGABYTE)

    @property
    def keep_seconds(self) -> int:
        return max(int(self.keep_minutes * 60), 1)


class Workspace:
    """A temporary folder, which is deleted by :meth:`close` or when Python ends.

    Gradio stores uploads in it, and serves its files without copying them. A process can have only one workspace, as
    Gradio finds it by an environment variable.

    Args:
        limits: limits of the stored bytes and of their age.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._folder = tempfile.TemporaryDirectory(prefix="omgseg-web-", ignore_cleanup_errors=True)
        self._lock = threading.Lock()
        self._reserved = self._arriving = 0
        self.path = Path(self._folder.name).resolve()
        os.environ["GRADIO_TEMP_DIR"] = str(self.path)

    def new_folder(self) -> Path:
        """An empty folder for the files of one request."""
        with self._lock:
            self._remove(self._limits.stored_bytes - self._reserved)
        return Path(tempfile.mkdtemp(prefix="result-", dir=self.path))

    def holds(self, path: str) -> bool:
        """Whether a path is absolute and leads into the folder, after links are resolved."""
        try:
            return os.path.isabs(path) and Path(os.path.realpath(path)).is_relative_to(self.path)
        except (OSError, ValueError):
            return False

    @contextmanager
    def reserved(self, size: int) -> Iterator[None]:
        """Reserve space for an upload of `size` bytes while it arrives; the oldest files are deleted for it. After the
        last one of several at the same time, what Gradio keeps of those that broke off is deleted.

        Raises:
            Refused: other uploads that arrive at the same time need the space.
        """
        with self._lock:
            free = self._limits.stored_bytes - self._reserved - size
            if free < 0:
                raise Refused("Too many uploads at the same time. Try again in a minute.")
            self._remove(free)
            self._reserved += size
            self._arriving += 1
        try:
            yield
        finally:
            with self._lock:
                self._reserved -= size
                self._arriving -= 1
                if not self._arriving:
                    for part in self.path.glob(PART):
                        part.unlink(missing_ok=True)

    def clean(self) -> None:
        """Remove what is older than the limits say, whoever left it."""
        with self._lock:
            self._remove(self._limits.stored_bytes - self._reserved)

    def _remove(self, most: int) -> None:
        """What is too old; then the oldest, until no more than `most` bytes are left."""
        entries = sorted(_age_and_size(path) + (path,) for path in self.path.iterdir())
        used = sum(size for _, size, _ in entries)
        too_old = time.time() - self._limits.keep_seconds
        for changed, size, path in entries:
            if changed > too_old and used <= most:
                return
            used -= size
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        self._folder.cleanup()
        if os.environ.get("GRADIO_TEMP_DIR") == str(self.path):
            del os.environ["GRADIO_TEMP_DIR"]


def _age_and_size(path: Path) -> tuple[float, int]:
    """The time of the last change in a file or folder, and its size in bytes."""
    changed, size = 0.0, 0
    for entry in (path, *path.rglob("*")):
        with suppress(OSError):  # the entry may be deleted meanwhile
            facts = entry.lstat()
            changed, size = max(changed, facts.st_mtime), size + facts.st_size
    return changed, size


def as_uploaded(component: Component, workspace: Workspace) -> Component:
    """Let the value of a component be the path of the uploaded file, which is checked before it is decoded.

    By default Gradio decodes images and converts videos first. It checks paths only in requests that mark them as
    files, so the path is checked here; else a request could name any file of the server. (A sub-class would make Gradio
    write a file beside the module.)
    """

    def path_of(payload) -> str | None:
        if payload is None:
            return None
        if not isinstance(payload.path, str) or not workspace.holds(payload.path):
            raise Refused("The request names a file that was not uploaded.")
        return payload.path

    component.preprocess = path_of
    return component


def read_picture(path: str | None, limits: Limits) -> np.ndarray:
    """The pixels of an uploaded picture, rotated as its metadata say.

    Returns:
        RGB uint8 (H, W, 3).

    Raises:
        Refused: there is no upload, or it was deleted, is too large, or is not a picture.
    """
    if path is None:
        raise Refused("Upload a picture first.")
    _check_size(path, limits)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=PICTURES) as opened:
                _check_pixels("picture", *opened.size, limits.image_megapixels)
                opened.load()
                try:
                    return upright(opened, "The picture")
                except ValueError as error:
                    raise Refused(f"{error}.") from None
    except Refused:
        raise
    except Image.DecompressionBombError:
        raise Refused(
            f"The picture is too large: at most {limits.image_megapixels:g} megapixels are accepted."
        ) from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        raise Refused("This file is not a picture that can be read. Use PNG, JPEG, WebP or BMP.") from None


@dataclass(frozen=True)
class FilmFacts:
    """Data from the header of a video file.

    Attributes:
        size: (width, height) of its frames, in pixels.
        fps: frames per second.
        frames: number of frames; None if the file does not state it.
    """

    size: tuple[int, int]
    fps: float
    frames: int | None


def check_film(path: str | None, limits: Limits) -> FilmFacts:
    """Check an uploaded video without decoding it.

    Raises:
        Refused: there is no upload, or it was deleted, is too large, is too long, or is not a video.
    """
    if path is None:
        raise Refused("Upload a video first.")
    _check_size(path, limits)
    try:
        with av.open(path, options={"format_whitelist": FILM_FORMATS}, metadata_errors="ignore") as container:
            if not container.streams.video:
                raise Refused("This file has no pictures in it. Upload a video.")
            stream = container.streams.video[0]
            size = (stream.codec_context.width, stream.codec_context.height)
            fps = float(stream.average_rate or stream.guessed_rate or 0) or 25.0
            seconds = None if container.duration is None else container.duration / 1_000_000
            frames = stream.frames or (None if seconds is None else round(seconds * fps))
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, Refused):
            raise
        raise Refused("This file is not a video that can be read. Use MP4, WebM, MOV or AVI.") from None
    _check_pixels("video", *size, limits.video_megapixels)
    if seconds is not None and seconds > limits.video_seconds:
        raise Refused(
            f"The video lasts {seconds:.0f} s; at most {limits.video_seconds:g} s are accepted. Cut it first."
        )
    if frames is not None and frames > limits.video_frames:
        raise Refused(
            f"The video has {frames} frames; at most {limits.video_frames} are accepted. Cut it first."
        )
    return FilmFacts(size, fps, frames)


def _check_size(path: str, limits: Limits) -> None:
    if not Path(path).is_file():
        raise Refused("The upload is no longer kept. Upload it again.")
    size = Path(path).stat().st_size
    if size > limits.upload_bytes:
        raise Refused(f"The file has {size / MEGABYTE:.1f} MB; at most {limits.upload_mb:g} MB are accepted.")


def _check_pixels(kind: str, width: int, height: int, megapixels: float) -> None:
    if width * height > megapixels * 1e6:
        raise Refused(
            f"The {kind} has {width} x {height} pixels ({width * height / 1e6:.1f} megapixels); "
            f"at most {megapixels:g} megapixels are accepted. Make it smaller first."
        )
