"""Writes videos frame by frame."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.video.reformatter import Colorspace
from PIL import Image

from omgseg.files import whole_file

_ENCODERS = (("libx264", {"crf": "20", "preset": "veryfast"}), ("mpeg4", {"qscale": "3"}))
_BT709 = 1  # FFmpeg's number of the colour space of HD television, the default of browsers
_PALETTE_FRAMES = 8  # number of frames from which the palette of an animation is computed


class VideoWriter:
    """Writes ``.mp4`` (H.264 where PyAV's FFmpeg has it, else MPEG-4; 4:2:0, plays in browsers) or ``.gif`` files.

    ::

        with VideoWriter("out/film.mp4", fps=25) as writer:
            for frame in frames:
                writer.add(frame)

    The file appears complete, or not at all if the block ends with an error. Frames of an mp4 are encoded at once. A
    gif has one palette, so that it does not flicker; its frames are kept in memory until the end, so use it for short
    videos only.

    Args:
        path: the file; missing folders are created.
        fps: frames per second.

    Raises:
        ValueError: the suffix is another one, `fps` is not positive, a frame is not an RGB image or has another size
            than the first one, or there are no frames.
    """

    def __init__(self, path: str | Path, fps: float) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in (".mp4", ".gif"):
            raise ValueError(f"{path}: videos are written as .mp4 or .gif")
        if not fps > 0:
            raise ValueError(f"{path}: fps={fps} must be above 0")
        self.fps = fps
        self._size: tuple[int, int] | None = None
        self._frames: list[np.ndarray] = []
        self._file = self._container = self._stream = None

    def __enter__(self) -> VideoWriter:
        self._file = whole_file(self.path)
        self._temporary = self._file.__enter__()
        return self

    def add(self, frame: np.ndarray) -> None:
        """Append a frame, uint8 RGB (H, W, 3), of the size of the first one."""
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(
                f"{self.path}: expected uint8 RGB (H, W, 3) frames, got {frame.dtype} {frame.shape}"
            )
        self._size = self._size or frame.shape[:2]
        if frame.shape[:2] != self._size:
            raise ValueError(f"{self.path}: a frame of size {frame.shape[:2]} follows one of {self._size}")
        if self.path.suffix.lower() == ".gif":
            self._frames.append(frame.copy())
        else:
            self._encode(frame)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._finish()
            elif self._container is not None:
                self._container.close()
        except BaseException as failure:
            self._file.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._file.__exit__(kind, error, trace)

    def _finish(self) -> None:
        if self._size is None:
            raise ValueError(f"{self.path}: no frames to write")
        if self._frames:
            _write_gif(self._temporary, self._frames, self.fps)
            return
        self._container.mux(self._stream.encode())
        self._container.close()

    def _open(self, height: int, width: int) -> None:
        name, options = next(entry for entry in _ENCODERS if entry[0] in av.codecs_available)
        # with the index at the front, browsers can play the file while it loads
        self._container = av.open(str(self._temporary), "w", format="mp4", options={"movflags": "+faststart"})
        rate = Fraction(self.fps).limit_denominator(1001)
        self._stream = self._container.add_stream(name, rate=rate, options=options)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        context = self._stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709

    def _encode(self, frame: np.ndarray) -> None:
        height, width = frame.shape[:2]
        if height % 2 or width % 2:  # 4:2:0 needs even sizes: repeat the last row or column
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self._container is None:
            self._open(*frame.shape[:2])
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture = picture.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
        self._container.mux(self._stream.encode(picture))


def _write_gif(path: Path, frames: list[np.ndarray], fps: float) -> None:
    """Write an endless animation; one palette and no dithering, so that static parts do not flicker."""
    step = -(-len(frames) // _PALETTE_FRAMES)
    sample = np.concatenate([frame[::4, ::4] for frame in frames[::step]])
    palette = Image.fromarray(np.ascontiguousarray(sample)).quantize(256)
    images = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    duration = max(20, round(1000 / fps))  # milliseconds; browsers slow down faster animations
    images[0].save(path, format="GIF", save_all=True, append_images=images[1:], duration=duration, loop=0)
