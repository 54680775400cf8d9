"""The jobs of `omgseg predict`: every input with its output files, planned before the model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omgseg.cli.status import UsageError, user_errors
from omgseg.files import safe_name, unique_name
from omgseg.inference.sources import Source, expand, open_source

IMAGE_FORMATS = ("png", "json", "coco", "panoptic", "masks")
VIDEO_FORMATS = ("mp4", "gif", "png", "json", "coco", "panoptic", "masks", "youtube-vis")
COLLECTED = {
    "coco": ("coco.json",),
    "panoptic": ("panoptic.json", "panoptic"),
    "masks": ("masks",),
    "youtube-vis": ("youtube-vis.json",),
}
"""Files and folders of the formats that collect all inputs."""


@dataclass(frozen=True)
class Job:
    """One image or one video.

    Attributes:
        source: the opened input.
        name: name of its files, without suffix; safe and unique.
        formats: the formats to write.
    """

    source: Source
    name: str
    formats: tuple[str, ...]

    @property
    def label(self) -> str:
        """The path or name of the input, for messages."""
        return str(self.source.path or self.source.name)

    def files(self, out: Path) -> list[Path]:
        """The files and folders of this job alone."""
        single = [form for form in self.formats if form not in COLLECTED]
        return [
            out / (self.name if form == "png" and self.source.is_video else f"{self.name}.{form}")
            for form in single
        ]


def plan(
    inputs: Sequence[str], formats: Sequence[str], as_video: bool, out: Path
) -> tuple[list[Job], list[str]]:
    """Open the inputs.

    Args:
        inputs: the inputs of the command line; a number is a camera unless a file has this name.
        formats: default: a picture for an image, an mp4 for a video.
        as_video: whether a folder is one video.
        out: the folder of results; files in it are inputs only if they are named themselves.

    Returns:
        The jobs, each image once, and the errors of inputs that cannot be opened.

    Raises:
        UsageError: an input does not exist, or cannot be written in any of the formats.
    """
    jobs: list[Job] = []
    failures: list[str] = []
    used = {*COLLECTED}
    seen: set[Path] = set()
    for text in inputs:
        for entry in _entries(text, as_video, out.resolve()):
            try:
                source = open_source(entry, as_video)
            except FileNotFoundError as error:
                raise UsageError(str(error)) from error
            except (OSError, ValueError) as error:
                failures.append(str(error))
                continue
            if source.path in seen:
                continue
            if source.path is not None:
                seen.add(source.path)
            jobs.append(Job(source, unique_name(safe_name(source.name), used), _formats_of(source, formats)))
    return jobs, failures


def check_free(jobs: Sequence[Job], out: Path) -> None:
    """Check that no output file exists.

    Raises:
        UsageError: a file exists; the message names the first one.
    """
    used = {form for job in jobs for form in job.formats}
    shared = [out / name for form, names in COLLECTED.items() if form in used for name in names]
    for path in (*shared, *(path for job in jobs for path in job.files(out))):
        if path.exists():
            raise UsageError(f"{path} exists; give another --out, or --overwrite")


def _entries(text: str, as_video: bool, out: Path) -> Sequence[object]:
    if text.isdecimal() and not Path(text).exists():
        return [int(text)]
    if as_video:
        return [text]
    with user_errors():
        entries = expand(text)
    if entries is None:
        return [text]
    # a second run in the folder of the images must not read the results of the first one
    return [entry for entry in entries if not entry.resolve().is_relative_to(out)] or entries


def _formats_of(source: Source, formats: Sequence[str]) -> tuple[str, ...]:
    if not formats:
        return ("mp4",) if source.is_video else ("png",)
    possible = VIDEO_FORMATS if source.is_video else IMAGE_FORMATS
    chosen = tuple(form for form in dict.fromkeys(formats) if form in possible)
    if not chosen:
        kind = "a video" if source.is_video else "an image"
        raise UsageError(
            f"{source.path or source.name} is {kind}, which cannot be written as {', '.join(formats)}; add one of "
            f"--format {' '.join(possible)}"
        )
    return chosen
