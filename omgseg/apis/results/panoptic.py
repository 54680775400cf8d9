"""COCO panoptic: a JSON file, and a PNG of segment ids for each image (https://cocodataset.org/#format-data)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import find_objects

from omgseg.apis.results.coco import image_entry
from omgseg.apis.results.json_writer import JsonWriter, shortest
from omgseg.apis.results.naming import FileNames
from omgseg.files import whole_file
from omgseg.structures import Vocabulary
from omgseg.structures.panoptic_png import write_panoptic_png
from omgseg.structures.segments import Segments

if TYPE_CHECKING:
    from omgseg.apis.results.video import VideoResult


class PanopticWriter(JsonWriter):
    """Panoptic maps of many images; see :class:`JsonWriter`.

    The PNGs lie in a folder named like the file: ``out/panoptic.json`` and ``out/panoptic/<image>.png``. The ids of
    segments are the identities, so they are constant over the frames of a video. Where masks overlap, the first one
    is seen; what is hidden completely is left out.
    """

    def __init__(self, path: str | Path, vocabulary: Vocabulary, root: str | Path | None = None) -> None:
        super().__init__(path, vocabulary, root)
        self.folder = self.path.with_suffix("")
        self._names = FileNames(".png", self.root)
        self._images: list[dict[str, Any]] = []

    def add(self, result: Segments | VideoResult) -> None:
        """Add an image, a frame or a video, whose frames lie in a folder; the PNGs are written now.

        Raises:
            ValueError: it has another vocabulary, or an identity beyond what three bytes hold.
        """
        for frame, name in self._names.of(result):
            self._add_image(frame, name)

    def _add_image(self, result: Segments, file_name: str) -> None:
        self.categories.check(result.vocabulary, result.name)
        image_id = len(self._images) + 1
        index_map = result.index_map
        ids = np.concatenate([[0], result.ids])[index_map]
        with whole_file(self.folder / file_name) as temporary:
            write_panoptic_png(temporary, ids)
        areas = np.bincount(index_map.ravel(), minlength=len(result) + 1)[1:]
        boxes = find_objects(index_map, len(result))
        segments = [
            {
                "id": int(result.ids[index]),
                "category_id": self.categories.id_of(int(result.labels[index])),
                "area": int(areas[index]),
                "bbox": [x.start, y.start, x.stop - x.start, y.stop - y.start],
                "iscrowd": 0,
                "score": shortest(result.scores[index]),
            }
            for index, (y, x) in ((index, box) for index, box in enumerate(boxes) if box is not None)
        ]
        self._images.append(image_entry(result, image_id, self.root))
        self.write([{"image_id": image_id, "file_name": file_name, "segments_info": segments}])

    def records(self) -> dict[str, list[dict[str, Any]]]:
        return {"images": self._images}


def write_panoptic(folder: str | Path, result: Segments | VideoResult, vocabulary: Vocabulary) -> Path:
    """Write one image or video as ``panoptic.json`` and ``panoptic/*.png``; returns the JSON file."""
    with PanopticWriter(Path(folder) / "panoptic.json", vocabulary) as writer:
        writer.add(result)
    return writer.path
