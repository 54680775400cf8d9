"""What a model found in one image, or in one frame of a video."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omgseg.apis.results import json_file, pictures, tables
from omgseg.apis.results.coco import coco_content
from omgseg.apis.results.panoptic import write_panoptic
from omgseg.structures import Task, Vocabulary
from omgseg.structures.predictions import predicted_tasks, segments_of
from omgseg.structures.segments import Segments

if TYPE_CHECKING:
    import pandas
    import supervision
    from mmdet.structures import DetDataSample


class SegmentationResult(Segments):
    """The segments of one image, to look at, to compute with, and to give to other tools.

    :class:`Segments` says what they consist of.
    """

    def draw(self, image: np.ndarray | None = None, **style: Any) -> np.ndarray:
        """Draw the segments over the image.

        Args:
            image: RGB uint8 (H, W, 3); default: the own one, black where there is none.
            style: see :func:`omgseg.visualization.render`.

        Returns:
            RGB uint8 (H, W, 3).
        """
        from omgseg.visualization import render

        image = self.image if image is None else image
        return render(np.zeros((*self.size, 3), np.uint8) if image is None else image, self, **style)

    def save(self, path: str | Path, **style: Any) -> Path:
        """Write a picture (``.png``, ``.jpg``), or everything but the pixels exactly (``.json``).

        Args:
            path: missing folders are created; the file appears complete or not at all.
            style: of a picture, see :meth:`draw`.

        Returns:
            The path.

        Raises:
            ValueError: another ending.
        """
        path = Path(path)
        if path.suffix.lower() == ".json":
            json_file.write_image(path, self)
        elif path.suffix.lower() in pictures.SUFFIXES:
            pictures.write(path, self.draw(**style))
        else:
            endings = ", ".join([*pictures.SUFFIXES, ".json"])
            raise ValueError(f"{path}: a result is saved as {endings}, not as {path.suffix!r}")
        return path

    @classmethod
    def load(cls, path: str | Path) -> SegmentationResult:
        """Read what :meth:`save` wrote as ``.json``; equal to the saved result.

        Raises:
            FileNotFoundError: no such file.
            ValueError: it holds something else; names the field.
        """
        return json_file.read_image(path, cls)

    def to_coco(self) -> dict[str, Any]:
        """The content of a COCO instance file with ``score``: things of a panoptic result, else every mask."""
        return coco_content(self, self.vocabulary)

    def to_coco_panoptic(self, folder: str | Path) -> Path:
        """Write ``panoptic.json`` and ``panoptic/<name>.png`` (COCO panoptic) into a folder; returns the JSON file."""
        return write_panoptic(folder, self, self.vocabulary)

    def to_supervision(self) -> supervision.Detections:
        """Detections of the package supervision, with masks, scores, classes and identities.

        Raises:
            ImportError: it is not installed.
        """
        return tables.to_supervision(self)

    def to_dataframe(self) -> pandas.DataFrame:
        """One row a segment: frame, time, id, label, name, is_thing, score, area, and the box x1, y1, x2, y2.

        Raises:
            ImportError: pandas is not installed.
        """
        return tables.to_dataframe([self])


def result_of(
    sample: DetDataSample,
    vocabulary: Vocabulary | None = None,
    *,
    task: Task | str | None = None,
    **place: Any,
) -> SegmentationResult:
    """What the model predicted for an image, or for a frame of a video.

    Args:
        sample: on any device, with the predictions of :class:`~omgseg.models.segmentor.OMGSeg`.
        vocabulary: of the labels; None without classes.
        task: which of the predictions, where the sample has several.
        place: ``path``, ``name``, ``time`` and ``image`` of :class:`SegmentationResult`; and for the frame of a video
            ``frame_index``: identities are kept then.

    Raises:
        ValueError: the sample has no prediction of this task, or several and no task is chosen.
    """
    if task is None:
        predicted = predicted_tasks(sample)
        if len(predicted) != 1:
            names = ", ".join(each.value for each in predicted) or "nothing"
            raise ValueError(f"the sample holds predictions of {names}: choose one with task=")
        (task,) = predicted
    return segments_of(SegmentationResult, sample, task, vocabulary, **place)
