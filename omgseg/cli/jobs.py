"""What `omgseg predict` is asked to do: every input with the files that become of it, known before a model is built."""

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
"""Files and folders of the formats that put all inputs together."""


@dataclass(frozen=True)
class Job:
    """One image or one video.

    Attributes:
        source: the opened input.
        name: of its files, without ending; safe, and no two jobs have the same.
        formats: to write.
    """

    source: Source
    name: str
    formats: tuple[str, ...]

    @property
    def label(self) -> str:
        """What the user calls it."""
        return str(self.source.path or self.source.name)

    def files(self, out: Path) -> list[Path]:
        """Files and folders of its own."""
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
        inputs: as on the command line; a number is a camera unless it is a file.
        formats: default: a picture for an image, a film for a video.
        as_video: a folder is one video.
        out: the folder of results; what lies there is no input unless it is named itself.

    Returns:
        The jobs, each image once, and the errors of inputs that cannot be opened.

    Raises:
        UsageError: something does not exist, or has none of the formats.
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
    """Nothing that is there already may be lost.

    Raises:
        UsageError: names the first file that is in the way.
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
    # a second run in the folder of the images must not take the first one's results for images
    return [entry for entry in entries if not entry.resolve().is_relative_to(out)] or entries


def _formats_of(source: Source, formats: Sequence[str]) -> tuple[str, ...]:
    if not formats:
        return ("mp4",) if source.is_video else ("png",)
    possible = VIDEO_FORMATS if source.is_video else IMAGE_FORMATS
    possible_ones = tuple(form for form in dict.fromkeys(formats) if form in possible)
    if not possible_ones:
        kind = "a video" if source.is_video else "an image"
        raise UsageError(
            f"{source.path or source.name} is {kind}, which is not written as {', '.join(formats)}; add one of "
            f"--format {' '.join(possible)}"
        )
    return possible_ones
