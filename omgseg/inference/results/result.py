"""Results of images, frames and videos."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omgseg.inference.results import files
from omgseg.inference.results.coco import CategoryTable, coco_content, tracks_of, write_panoptic
from omgseg.inference.results.json_file import (
    load_image_segments,
    load_video_segments,
    save_image_segments,
    save_video_segments,
)
from omgseg.structures import Segments, Task, Vocabulary
from omgseg.structures.predictions import predicted_tasks, segments_of
from omgseg.structures.video_segments import VideoSegments

if TYPE_CHECKING:
    import pandas
    import supervision
    from mmdet.structures import DetDataSample


class _Exports:
    """Exports that images and videos share."""

    def to_coco(self) -> dict[str, Any]:
        """The content of a COCO instance file with ``score``, for the things of a panoptic result or all masks of
        another one. Frames of a video are images of the file."""
        return coco_content(self)

    def to_coco_panoptic(self, folder: str | Path) -> Path:
        """Write COCO panoptic into a folder: ``panoptic.json`` and ``panoptic/<name>.png``, for a video
        ``panoptic/<name>/<frame>.png``. Returns the JSON file.

        Raises:
            ValueError: an id does not fit into three bytes.
        """
        return write_panoptic(folder, self)

    def to_dataframe(self) -> pandas.DataFrame:
        """One row per segment (and frame): frame, time, id, label, name, is_thing, score, area, and the box x1, y1, x2,
        y2.

        Raises:
            ImportError: pandas is not installed.
        """
        return files.to_dataframe([self] if isinstance(self, Segments) else self)


class SegmentationResult(_Exports, Segments):
    """The segments of one image, with drawing, saving and exports.

    :class:`Segments` describes the attributes.
    """

    def draw(self, image: np.ndarray | None = None, **style: Any) -> np.ndarray:
        """Draw the segments over the image.

        Args:
            image: RGB uint8 (H, W, 3); default: the image of the result, or black if it has none.
            style: see :func:`omgseg.visualization.render`.

        Returns:
            RGB uint8 (H, W, 3).
        """
        from omgseg.visualization import render

        image = self.image if image is None else image
        return render(np.zeros((*self.size, 3), np.uint8) if image is None else image, self, **style)

    def save(self, path: str | Path, **style: Any) -> Path:
        """Write a picture (``.png``, ``.jpg``), or everything but the pixels without loss (``.json``).

        Args:
            path: missing folders are created; the file appears complete or not at all.
            style: drawing options of a picture, see :meth:`draw`.

        Returns:
            The path.

        Raises:
            ValueError: the path has another suffix.
        """
        path = Path(path)
        if path.suffix.lower() == ".json":
            save_image_segments(path, self)
        elif path.suffix.lower() in files.PICTURE_SUFFIXES:
            files.write_picture(path, self.draw(**style))
        else:
            endings = ", ".join([*files.PICTURE_SUFFIXES, ".json"])
            raise ValueError(f"{path}: a result is saved with the suffix {endings}, not {path.suffix!r}")
        return path

    @classmethod
    def load(cls, path: str | Path) -> SegmentationResult:
        """Read a ``.json`` file of :meth:`save`; the result equals the saved one.

        Raises:
            FileNotFoundError: the file does not exist.
            ValueError: the file is not the result of an image; the message names the field.
        """
        return cls.of(load_image_segments(path))

    def to_supervision(self) -> supervision.Detections:
        """Detections of the package supervision, with masks, scores, classes and ids.

        Raises:
            ImportError: supervision is not installed.
        """
        return files.to_supervision(self)


class VideoResult(_Exports, VideoSegments[SegmentationResult]):
    """The results of the frames of one video, with drawing, saving and exports.

    :class:`~omgseg.structures.video_segments.VideoSegments` describes the attributes.
    """

    def __init__(
        self,
        frames: Iterable[Segments],
        fps: float | None = None,
        path: str | Path | None = None,
        name: str | None = None,
    ) -> None:
        results = (
            frame if isinstance(frame, SegmentationResult) else SegmentationResult.of(frame)
            for frame in frames
        )
        super().__init__(results, fps, path, name)

    def images(self) -> Iterator[np.ndarray | None]:
        """The pixels of each frame, RGB uint8 (H, W, 3), read from the files again; None if there is no file.

        Raises:
            OSError, ValueError: a file is missing, broken, or was changed since the result was made.
        """
        return files.read_frames(self)

    def draw(self, **style: Any) -> Iterator[np.ndarray]:
        """Draw the segments over each frame.

        Args:
            style: see :func:`omgseg.visualization.render`.

        Yields:
            RGB uint8 (H, W, 3), one per frame.
        """
        for frame, image in zip(self.frames, self.images(), strict=True):
            yield frame.draw(image, **style)

    def save(self, path: str | Path, **style: Any) -> Path:
        """Write a video (``.mp4``, ``.gif``), a folder of PNGs (no suffix), or everything but the pixels (``.json``).

        Args:
            path: missing folders are created; files appear complete or not at all.
            style: drawing options, see :func:`omgseg.visualization.render`.

        Returns:
            The path.

        Raises:
            ValueError: the path has another suffix, or there are no frames for a video.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix == ".json":
            save_video_segments(path, self)
        elif suffix in files.FILM_SUFFIXES:
            if not len(self):
                raise ValueError(f"{path}: the result has no frames to write")
            files.write_film(path, self.draw(**style), self.fps)
        elif not suffix or path.is_dir():
            files.write_folder(path, self.frames, self.draw(**style))
        else:
            endings = ", ".join([*files.FILM_SUFFIXES, ".json"])
            raise ValueError(
                f"{path}: the result of a video is saved with the suffix {endings} or as a folder, not {suffix!r}"
            )
        return path

    @classmethod
    def load(cls, path: str | Path) -> VideoResult:
        """Read a ``.json`` file of :meth:`save`; the result equals the saved one.

        Raises:
            FileNotFoundError: the file does not exist.
            ValueError: the file is not the result of a video; the message names the field.
        """
        video = load_video_segments(path)
        return cls(video, video.fps, video.path, video.name)

    def to_youtube_vis(self, video_id: int = 1) -> list[dict[str, Any]]:
        """The list of results that the YouTube-VIS servers take, by falling score.

        Args:
            video_id: id of this video in the dataset.

        Returns:
            ``video_id``, ``category_id``, ``score`` and ``segmentations`` (one per frame, None without the object) of
            each track. Category ids are those of the vocabulary, or positions + 1 if it has none.
        """
        return list(tracks_of(self, video_id, CategoryTable(self.vocabulary)))


def result_of(
    sample: DetDataSample,
    vocabulary: Vocabulary | None = None,
    *,
    task: Task | str | None = None,
    **place: Any,
) -> SegmentationResult:
    """The prediction for an image, or for a frame of a video, as a result.

    Args:
        sample: a data sample on any device, with the predictions of a model (its ``pred_*`` fields).
        vocabulary: the words that the labels index; None: no classes.
        task: the task to read; needed if the sample has predictions of several tasks.
        place: ``path``, ``name``, ``time`` and ``image`` of :class:`SegmentationResult`; and ``frame_index`` for a
            frame of a video, whose ids are kept.

    Raises:
        ValueError: the sample has no prediction of this task, or has several and no task is given.
    """
    if task is None:
        predicted = predicted_tasks(sample)
        if len(predicted) != 1:
            names = ", ".join(prediction.value for prediction in predicted) or "no task"
            raise ValueError(f"the sample holds predictions of {names}: choose one with task=")
        (task,) = predicted
    return segments_of(SegmentationResult, sample, task, vocabulary, **place)
