"""The files that `omgseg predict` writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from omgseg.cli.jobs import COLLECTED, Job
from omgseg.files import remove_abandoned
from omgseg.inference.results import (
    CocoWriter,
    MaskWriter,
    PanopticWriter,
    SegmentationResult,
    VideoResult,
    YouTubeVISWriter,
)
from omgseg.inference.results.files import DEFAULT_FPS
from omgseg.visualization import VideoWriter

FILMS = ("mp4", "gif")
WHILE_READING = (*FILMS, "png")
"""Formats of videos that are written frame by frame; the others need the whole video."""
Writer = CocoWriter | PanopticWriter | MaskWriter | YouTubeVISWriter
_WRITERS: dict[str, type[Writer]] = {
    "coco": CocoWriter,
    "panoptic": PanopticWriter,
    "masks": MaskWriter,
    "youtube-vis": YouTubeVISWriter,
}


@dataclass(frozen=True)
class Written:
    """The output of a video.

    Attributes:
        files: the files of this video alone.
        counts: number of objects by name.
        interrupted: whether Ctrl-C ended the video.
    """

    files: list[Path]
    counts: Counter[str]
    interrupted: bool


class Outputs:
    """Writes results as they come, in a ``with`` block; files that collect inputs are complete at its end.

    Args:
        folder: folder of all files; created with the first file.

    Raises:
        FileNotFoundError: at the end of the block, finished files are not there any more.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._finished: list[Path] = []
        self._stack = ExitStack()
        self._writers: dict[str, Writer] = {}

    def __enter__(self) -> Outputs:
        for form in FILMS:
            remove_abandoned(self.folder, f"*.{form}")  # of runs that were killed
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)
        if error[0] is None:
            self._check_presence()

    def _check_presence(self) -> None:
        """A folder that was lost meanwhile was made again for the later files.

        Raises:
            FileNotFoundError: a finished file is not there any more.
        """
        gone = [path for path in self._finished if not path.exists()]
        if gone:
            raise FileNotFoundError(
                f"{gone[0]} was written and is gone, as {len(gone)} of {len(self._finished)} files are: {self.folder} "
                "was moved, deleted or unmounted meanwhile; run the command again"
            )

    @property
    def collected(self) -> list[Path]:
        """The files that collect all inputs so far."""
        return [self.folder / COLLECTED[form][0] for form in self._writers]

    def add_image(self, job: Job, result: SegmentationResult) -> list[Path]:
        """Write the files of an image; returns those of this image alone."""
        files = job.files(self.folder)
        for path in files:
            result.save(path)
        self._finished += files
        self._collect(job, result)
        return files

    def add_video(self, job: Job, results: Iterable[SegmentationResult]) -> Written:
        """Write the files of a video while its frames arrive.

        Pixels are not kept. Ctrl-C ends the video, and the frames until then are written.

        Raises:
            KeyboardInterrupt: Ctrl-C came before the first frame.
        """
        keep = not set(job.formats) <= set(WHILE_READING)
        kept: list[SegmentationResult] = []
        names: dict[int, str] = {}
        count, interrupted = 0, False
        with ExitStack() as stack:
            fps = job.source.fps or DEFAULT_FPS
            films = [
                stack.enter_context(VideoWriter(self.folder / f"{job.name}.{form}", fps))
                for form in job.formats
                if form in FILMS
            ]
            try:
                for result in results:
                    self._add_frame(job, result, films)
                    count += 1
                    names.update(zip(result.ids.tolist(), result.names, strict=True))
                    if keep:
                        kept.append(result.replace(image=None))
            except KeyboardInterrupt:
                if not count:
                    raise
                interrupted = True
        if kept:
            video = VideoResult(kept, job.source.fps, job.source.path, job.name)
            if "json" in job.formats:
                video.save(self.folder / f"{job.name}.json")
            self._collect(job, video)
        self._finished += job.files(self.folder)
        return Written(job.files(self.folder), Counter(names.values()), interrupted)

    def _add_frame(self, job: Job, result: SegmentationResult, films: list[VideoWriter]) -> None:
        if films:
            picture = result.draw()
            for film in films:
                film.add(picture)
        if "png" in job.formats:
            result.save(self.folder / job.name / f"{result.frame_index:06d}.png")

    def _collect(self, job: Job, result: SegmentationResult | VideoResult) -> None:
        first = result[0] if isinstance(result, VideoResult) else result
        for form in job.formats:
            if form in COLLECTED:
                if form not in self._writers:
                    writer = _WRITERS[form](self.folder / COLLECTED[form][0], first.vocabulary)
                    self._writers[form] = self._stack.enter_context(writer)
                self._writers[form].add(result)
