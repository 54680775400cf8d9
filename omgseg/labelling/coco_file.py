"""Merges journals into one COCO file, which does not depend on the number of shards."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from omgseg.files import whole_file
from omgseg.labelling.images import Shard, in_order
from omgseg.labelling.journal import check_header, read_lines


@dataclass(frozen=True)
class Summary:
    """What a COCO file contains.

    Attributes:
        images: number of images.
        annotations: number of annotations.
        unreadable: names of images that could not be read and are left out.
    """

    images: int
    annotations: int
    unreadable: list[str]


def merge_journals(paths: Sequence[Path], out: Path, names: Iterable[str] | None = None) -> Summary:
    """Write the COCO file of one or more journals.

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
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("rb")) for path in paths]
        temporary = stack.enter_context(whole_file(out))
        with temporary.open("w") as file:
            info = {"description": "omgseg label", **header["settings"], "unreadable": unreadable}
            file.write(f'{{"info": {json.dumps(info)},\n"images": [')
            count = _write_entries(file, files, [where[name] for name in readable])
            file.write(f'\n],\n"categories": {json.dumps(header["categories"])}}}\n')
    return Summary(len(readable), count, unreadable)


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


def _write_entries(file: TextIO, journals: Sequence[BinaryIO], places: Sequence[_Place]) -> int:
    """Write the lists of images and annotations, up to the closing bracket; returns the number of annotations."""
    for image_id, place in enumerate(places, 1):
        record = _read(journals, place)
        entry = {
            "id": image_id,
            "file_name": record["file"],
            "width": record["width"],
            "height": record["height"],
        }
        file.write((",\n" if image_id > 1 else "\n") + json.dumps(entry))
    file.write('\n],\n"annotations": [')
    count = 0
    for image_id, place in enumerate(places, 1):
        for annotation in _read(journals, place)["annotations"]:
            count += 1
            entry = {"id": count, "image_id": image_id, **annotation}
            file.write((",\n" if count > 1 else "\n") + json.dumps(entry))
    return count


def _read(journals: Sequence[BinaryIO], place: _Place) -> dict[str, Any]:
    journals[place.journal].seek(place.start)
    return json.loads(journals[place.journal].read(place.end - place.start))
