"""What a model found in an image, in a frame, or in a video."""

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
    """What images and videos share."""

    def to_coco(self) -> dict[str, Any]:
        """The content of a COCO instance file with ``score``: things of a panoptic result, else every mask. The images
        of a video's file are its frames."""
        return coco_content(self)

    def to_coco_panoptic(self, folder: str | Path) -> Path:
        """Write COCO panoptic into a folder: ``panoptic.json``, and ``panoptic/<name>.png``, of a video
        ``panoptic/<name>/<frame>.png``; returns the JSON file."""
        return write_panoptic(folder, self)

    def to_dataframe(self) -> pandas.DataFrame:
        """One row per segment (and frame): frame, time, id, label, name, is_thing, score, area, and the box x1, y1, x2,
        y2.

        Raises:
            ImportError: pandas is not installed.
        """
        return files.to_dataframe([self] if isinstance(self, Segments) else self)


class SegmentationResult(_Exports, Segments):
    """The segments of one image, to look at, to compute with, and to give to other tools.

    :class:`Segments` says what they consist of.
    """

    def draw(self, image: np.ndarray | None = None, **style: Any) -> np.ndarray:
        """Draw the segments over the image.

        Args:
            image: RGB uint8 (H, W, 3); default: the result's, black where there is none.
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
            save_image_segments(path, self)
        elif path.suffix.lower() in files.PICTURE_SUFFIXES:
            files.write_picture(path, self.draw(**style))
        else:
            endings = ", ".join([*files.PICTURE_SUFFIXES, ".json"])
            raise ValueError(f"{path}: a result is saved as {endings}, not as {path.suffix!r}")
        return path

    @classmethod
    def load(cls, path: str | Path) -> SegmentationResult:
        """Read what :meth:`save` wrote as ``.json``; equal to the saved result.

        Raises:
            FileNotFoundError: no such file.
            ValueError: it holds something else; names the field.
        """
        return cls.of(load_image_segments(path))

    def to_supervision(self) -> supervision.Detections:
        """Detections of the package supervision, with masks, scores, classes and identities.

        Raises:
            ImportError: it is not installed.
        """
        return files.to_supervision(self)


class VideoResult(_Exports, VideoSegments[SegmentationResult]):
    """The results of the frames of one video, to look at, to compute with, and to give to other tools.

    :class:`~omgseg.structures.video_segments.VideoSegments` says what it consists of.
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
        """The pixels of each frame, RGB uint8 (H, W, 3), read from the files again; None where there are none.

        Raises:
            OSError, ValueError: the files are gone, broken, or others by now.
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
        """Write a film (``.mp4``, ``.gif``), a folder of PNGs (no ending), or everything but the pixels (``.json``).

        Args:
            path: missing folders are created; files appear complete or not at all.
            style: of the pictures, see :func:`omgseg.visualization.render`.

        Returns:
            The path.

        Raises:
            ValueError: another ending, or a film without frames.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix == ".json":
            save_video_segments(path, self)
        elif suffix in files.FILM_SUFFIXES:
            if not len(self):
                raise ValueError(f"{path}: a video without frames cannot be a film")
            files.write_film(path, self.draw(**style), self.fps)
        elif not suffix or path.is_dir():
            files.write_folder(path, self.frames, self.draw(**style))
        else:
            endings = ", ".join([*files.FILM_SUFFIXES, ".json"])
            raise ValueError(f"{path}: a video's result is saved as {endings} or a folder, not as {suffix!r}")
        return path

    @classmethod
    def load(cls, path: str | Path) -> VideoResult:
        """Read what :meth:`save` wrote as ``.json``; equal to the saved result.

        Raises:
            FileNotFoundError: no such file.
            ValueError: it holds something else; names the field.
        """
        video = load_video_segments(path)
        return cls(video, video.fps, video.path, video.name)

    def to_youtube_vis(self, video_id: int = 1) -> list[dict[str, Any]]:
        """A result list as the YouTube-VIS servers take it, by falling score.

        Args:
            video_id: of this video in the dataset.

        Returns:
            ``video_id``, ``category_id``, ``score`` and ``segmentations`` (one per frame, None where not seen) of each
            track. Category ids are those of the vocabulary, or positions + 1 where it has none.
        """
        return list(tracks_of(self, video_id, CategoryTable(self.vocabulary)))


def result_of(
    sample: DetDataSample,
    vocabulary: Vocabulary | None = None,
    *,
    task: Task | str | None = None,
    **place: Any,
) -> SegmentationResult:
    """What the model predicted for an image, or for a frame of a video.

    Args:
        sample: on any device, with the predictions of a model (its ``pred_*`` fields).
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
            names = ", ".join(found.value for found in predicted) or "nothing"
            raise ValueError(f"the sample holds predictions of {names}: choose one with task=")
        (task,) = predicted
    return segments_of(SegmentationResult, sample, task, vocabulary, **place)
