"""Merges journals into one annotation file, which does not depend on the number of shards."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from omgseg.files import whole_file
from omgseg.inference.results import PanopticWriter, YouTubeVISWriter
from omgseg.inference.results.json_file import read_image, read_video
from omgseg.labelling.images import Shard, in_order
from omgseg.labelling.journal import check_header, read_lines
from omgseg.structures import Vocabulary
from omgseg.structures.video_segments import VideoSegments


@dataclass(frozen=True)
class Summary:
    """What an annotation file contains.

    Attributes:
        format: see :class:`~omgseg.labelling.labeller.Settings`.
        images: number of images, or of videos.
        annotations: number of objects, of segments of the maps, or of tracks.
        unreadable: names of images or videos that could not be read and are left out.
    """

    format: str
    images: int
    annotations: int
    unreadable: list[str]


def merge_journals(paths: Sequence[Path], out: Path, names: Iterable[str] | None = None) -> Summary:
    """Write the annotation file of one or more journals, in the format that they were labelled for.

    Images are numbered in the order of their names and annotations in that of the images, so the file does not depend
    on the order of labelling. It appears complete or not at all. Annotations are copied one image at a time; only the
    names of the images are in memory.

    Args:
        paths: the journals of all shards, made with the same settings.
        out: the file.
        names: the images to take; None: all. Journals may also hold images that were deleted since.

    Raises:
        FileNotFoundError: no journal is given.
        ValueError: a shard is missing or not finished, or shards were made with different settings.
    """
    if not paths:
        raise FileNotFoundError("no journals are given; there is nothing to merge")
    header, where = _read_all(paths)
    wanted = in_order(where if names is None else [name for name in names if name in where])
    unreadable = [name for name in wanted if where[name].failed]
    readable = [name for name in wanted if not where[name].failed]
    info = {"description": "omgseg label", **header["settings"], "unreadable": unreadable}
    with ExitStack() as stack:
        journals = [stack.enter_context(path.open("rb")) for path in paths]
        records = _Records(journals, [where[name] for name in readable])
        if header["settings"]["format"] == "coco":
            count = _write_coco(out, info, header["categories"], records)
        else:
            count = _write_results(out, info, header["categories"], records)
    return Summary(header["settings"]["format"], len(readable), count, unreadable)


def format_of(journal: Path) -> str:
    """The format that a journal was made for.

    Raises:
        ValueError: the file is not a journal.
    """
    for _, header in read_lines(journal):
        return header["settings"]["format"]
    raise ValueError(f"{journal} is empty; run its shard again")


@dataclass(frozen=True)
class _Place:
    """Where a record is: the number of the journal, and the range of bytes."""

    journal: int
    start: int
    end: int
    failed: bool


def _read_all(paths: Sequence[Path]) -> tuple[dict[str, Any], dict[str, _Place]]:
    """The common header, and the place of each image's record: the last one with annotations, else the last one."""
    header: dict[str, Any] = {}
    where: dict[str, _Place] = {}
    shards: dict[Shard, Path] = {}
    for index, path in enumerate(paths):
        own_header: dict[str, Any] = {}
        last: dict[str, Any] = {}
        for (start, end), record in read_lines(path):
            last = record
            if start == 0:
                own_header = record
            elif "file" in record:
                name, failed = record["file"], "error" in record
                if not failed or name not in where or where[name].failed:
                    where[name] = _Place(index, start, end, failed)
        if "finished" not in last:
            raise ValueError(f"{path} is not finished; run its shard again, which continues where it ended")
        shared = {key: own_header[key] for key in ("settings", "categories")}
        if header:
            check_header(path, own_header, header)
        header = shared
        shards[Shard.parse(own_header["shard"])] = path
    _check_complete(shards)
    return header, where


def _check_complete(shards: dict[Shard, Path]) -> None:
    counts = {shard.count for shard in shards}
    if len(counts) > 1:
        listed = ", ".join(f"{shard} in {path}" for shard, path in shards.items())
        raise ValueError(f"the shards have different counts: {listed}; merge those of one count")
    (count,) = counts
    missing = set(range(1, count + 1)) - {shard.number for shard in shards}
    if missing:
        listed = ", ".join(f"{number}/{count}" for number in sorted(missing))
        raise ValueError(f"shards are missing: {listed}; run them with --shard, or give their journals")


class _Records:
    """The records of readable images in their order; only one is in memory."""

    def __init__(self, journals: Sequence[BinaryIO], places: Sequence[_Place]) -> None:
        self._journals, self._places = journals, places

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for place in self._places:
            self._journals[place.journal].seek(place.start)
            yield json.loads(self._journals[place.journal].read(place.end - place.start))


def _write_coco(out: Path, info: dict[str, Any], categories: list[dict[str, Any]], records: _Records) -> int:
    """COCO instances; returns the number of annotations."""
    with whole_file(out) as temporary, temporary.open("w") as file:
        file.write(f'{{"info": {json.dumps(info)},\n"images": [')
        for image_id, record in enumerate(records, 1):
            sizes = {"width": record["width"], "height": record["height"]}
            entry = {"id": image_id, "file_name": record["file"], **sizes}
            file.write((",\n" if image_id > 1 else "\n") + json.dumps(entry))
        file.write('\n],\n"annotations": [')
        count = 0
        for image_id, record in enumerate(records, 1):
            for annotation in record["annotations"]:
                count += 1
                entry = {"id": count, "image_id": image_id, **annotation}
                file.write((",\n" if count > 1 else "\n") + json.dumps(entry))
        file.write(f'\n],\n"categories": {json.dumps(categories)}}}\n')
    return count


_FORMATS = {"panoptic": (PanopticWriter, read_image), "youtube-vis": (YouTubeVISWriter, read_video)}
"""The writer of each format, and what reads the results in its journals."""


def _write_results(
    out: Path, info: dict[str, Any], categories: list[dict[str, Any]], records: _Records
) -> int:
    """Panoptic maps or tracks; returns the number of segments or tracks."""
    writer_type, read = _FORMATS[info["format"]]
    words = {"categories": categories}
    count = 0
    with writer_type(out, Vocabulary.from_dict(words), info=info) as writer:
        for record in records:
            result = read({**record["result"], "vocabulary": words})
            writer.add(result)
            frames = result if isinstance(result, VideoSegments) else [result]
            count += len({number for frame in frames for number in frame.ids.tolist()})
    return count
