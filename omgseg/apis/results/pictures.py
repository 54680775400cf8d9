"""Pictures as files that appear complete or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from omgseg.files import safe_name, whole_file

if TYPE_CHECKING:
    from omgseg.apis.results.result import SegmentationResult

SUFFIXES = (".png", ".jpg", ".jpeg")
FILM_SUFFIXES = (".mp4", ".gif")
DEFAULT_FPS = 10.0  # of films of frames whose speed is not known


def write(path: str | Path, picture: np.ndarray) -> None:
    """Write RGB uint8 (H, W, 3) as PNG or JPEG, by the ending of `path`; missing folders are created."""
    path = Path(path)
    with whole_file(path) as temporary:
        image = Image.fromarray(np.ascontiguousarray(picture))
        if path.suffix.lower() == ".png":
            image.save(temporary, format="PNG")
        else:
            image.save(temporary, format="JPEG", quality=92, subsampling=0)


def write_film(path: Path, drawn: Iterable[np.ndarray], fps: float | None) -> None:
    """Write pictures of one size as a film of `fps` frames a second."""
    from omgseg.visualization import VideoWriter

    with VideoWriter(path, fps or DEFAULT_FPS) as writer:
        for picture in drawn:
            writer.add(picture)


def write_folder(folder: Path, frames: Sequence[SegmentationResult], drawn: Iterable[np.ndarray]) -> None:
    """Write one PNG per frame, named like the frame, or by its number where the names repeat."""
    names = [safe_name(frame.name) for frame in frames]
    if len({name.casefold() for name in names}) < len(names) or not all(frame.name for frame in frames):
        names = [f"{frame.frame_index:06d}" for frame in frames]
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in zip(names, drawn, strict=True):
        write(folder / f"{name}.png", picture)
