"""Uploaded files: looked at before they are decoded, and refused with the reason."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from omgseg.inference.video_files import VIDEO_SUFFIXES
from omgseg.web.limits import MEGABYTE, Limits, Refused

PICTURES = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
FILMS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,gif"
"""Formats that hold their own data. Play lists, which make a decoder read other files, and formats that need another
program are not among them."""


def read_picture(path: str | None, limits: Limits) -> np.ndarray:
    """The pixels of an uploaded picture, turned as its camera says.

    Returns:
        RGB uint8 (H, W, 3).

    Raises:
        Refused: none was uploaded, it is gone, too large, or no picture.
    """
    if path is None:
        raise Refused("Upload a picture first.")
    _check_size(path, limits)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=PICTURES) as opened:
                _check_pixels("picture", *opened.size, limits.image_megapixels)
                return np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    except Refused:
        raise
    except Image.DecompressionBombError:
        raise Refused(
            f"The picture is too large: at most {limits.image_megapixels:g} megapixels are accepted."
        ) from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        raise Refused("This file is no picture that can be read. Use PNG, JPEG, WebP or BMP.") from None


@dataclass(frozen=True)
class FilmFacts:
    """What the head of a video file says.

    Attributes:
        size: (width, height) of its frames, in pixels.
        fps: frames a second.
        frames: their number; None if the file does not say.
    """

    size: tuple[int, int]
    fps: float
    frames: int | None


def check_film(path: str | None, limits: Limits) -> FilmFacts:
    """Look at an uploaded video without decoding it.

    Raises:
        Refused: none was uploaded, it is gone, too large, too long, or no video.
    """
    if path is None:
        raise Refused("Upload a video first.")
    _check_size(path, limits)
    if Path(path).suffix.lower() not in VIDEO_SUFFIXES:
        raise Refused(f"A video's name must end in one of {', '.join(VIDEO_SUFFIXES)}.")
    try:
        with av.open(path, options={"format_whitelist": FILMS}, metadata_errors="ignore") as container:
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
        raise Refused("This file is no video that can be read. Use MP4, WebM, MOV or AVI.") from None
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
