"""PNGs that hold one number a pixel."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from omgseg.apis.results.naming import FileNames
from omgseg.files import whole_file
from omgseg.structures import NO_CLASS, Task, Vocabulary
from omgseg.structures.png import object_image
from omgseg.structures.segments import Segments

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

    from omgseg.apis.results.video import VideoResult

VOCABULARY_FILE = "vocabulary.json"


class MaskWriter:
    """One PNG an image or frame, in a ``with`` block, in the layout that the task's data sets have.

    With classes: labels, positions in ``vocabulary.json`` of the same folder (:meth:`Vocabulary.load` reads it);
    where nothing is, the highest number that the file can hold, 255 or 65535. Without classes: object numbers, 0 is
    background; up to 255 in the colours of DAVIS.

    Args:
        folder: created if missing.
        vocabulary: of all results.
        root: the folder of the images, whose folders are kept; None: all PNGs lie side by side.
    """

    def __init__(self, folder: str | Path, vocabulary: Vocabulary, root: str | Path | None = None) -> None:
        self.folder = Path(folder)
        self.vocabulary = vocabulary
        self._names = FileNames(".png", None if root is None else Path(root))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and len(self.vocabulary):
            with whole_file(self.folder / VOCABULARY_FILE) as temporary:
                temporary.write_text(json.dumps(self.vocabulary.to_dict(), indent=1))

    def add(self, result: Segments | VideoResult) -> None:
        """Write the PNG of an image or a frame, or those of a video, whose frames lie in a folder.

        Raises:
            ValueError: it has another vocabulary, or an object number above 65535.
        """
        for frame, name in self._names.of(result):
            self._write(frame, name)

    def _write(self, result: Segments, name: str) -> None:
        if result.vocabulary != self.vocabulary:
            raise ValueError(f"the result of {result.name!r} has another vocabulary than the other PNGs")
        by_object = not len(self.vocabulary) or result.task is Task.VOS
        image = _objects(result) if by_object else _labels(result)
        with whole_file(self.folder / name) as temporary:
            image.save(temporary, format="PNG")


def _labels(result: Segments) -> Image.Image:
    dtype = np.uint8 if len(result.vocabulary) <= np.iinfo(np.uint8).max else np.uint16
    labels = result.label_map
    return Image.fromarray(np.where(labels == NO_CLASS, np.iinfo(dtype).max, labels).astype(dtype))


def _objects(result: Segments) -> Image.Image:
    highest = int(result.ids.max(initial=0))
    if highest > np.iinfo(np.uint16).max:
        raise ValueError(f"{result.name}: object number {highest} does not fit into a PNG")
    objects = result.id_map
    return object_image(objects) if highest <= 255 else Image.fromarray(objects.astype(np.uint16))
