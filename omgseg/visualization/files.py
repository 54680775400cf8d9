"""Writing pictures and animations. PNG files: :func:`omgseg.structures.png.write_png`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def write_video_gif(path: str | Path, frames: Sequence[np.ndarray], fps: float = 6.0) -> None:
    """Write frames, uint8 RGB of one size, as an endless GIF; missing folders are created.

    All frames share one palette and are not dithered, so that what does not move does not flicker.

    Raises:
        ValueError: there are no frames.
    """
    if not len(frames):
        raise ValueError(f"{path}: no frames to write")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    step = -(-len(frames) // 8)
    sample = np.concatenate([frame[::4, ::4] for frame in frames[::step]])
    palette = Image.fromarray(np.ascontiguousarray(sample)).quantize(256)
    images = [
        Image.fromarray(np.ascontiguousarray(frame)).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    ]
    images[0].save(path, save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=0)
