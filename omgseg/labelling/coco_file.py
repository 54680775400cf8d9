"""The COCO file, put together from journals; the same for one process and for many."""

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
    """
    Attributes:
        images, annotations: numbers of them in the file.
        unreadable: names of images that are not in it.
    """

    images: int
    annotations: int
    unreadable: list[str]


def merge_journals(paths: Sequence[Path], out: Path, names: Iterable[str] | None = None) -> Summary:
    """Write the COCO file of one or more journals.

    Images are numbered in the order of their names and annotations in that of the images, so the file does not depend
    on who labelled what and when. It appears complete or not at all. Annotations are read when they are written: memory
    holds names only.

    Args:
        paths: journals of the same settings, all shards of them.
        out: the file.
        names: the images to take; default: all. Others in the journals are images that are gone by now.

    Raises:
        FileNotFoundError: no journal.
        ValueError: shards are missing, unfinished, or were made with different settings.
    """
    if not paths:
        raise FileNotFoundError("there are no finished shards to merge")
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
    """Where a record is: which journal, and its bytes."""

    journal: int
    start: int
    end: int
    failed: bool


def _read_all(paths: Sequence[Path]) -> tuple[dict[str, Any], dict[str, _Place]]:
    """The common header, and the place of every image's record: the last one with annotations, if there is any."""
    header: dict[str, Any] = {}
    where: dict[str, _Place] = {}
    shards: dict[Shard, Path] = {}
    for index, path in enumerate(paths):
        found: dict[str, Any] = {}
        last: dict[str, Any] = {}
        for (start, end), record in read_lines(path):
            last = record
            if start == 0:
                found = record
            elif "file" in record:
                name, failed = record["file"], "error" in record
                if not failed or name not in where or where[name].failed:
                    where[name] = _Place(index, start, end, failed)
        if "finished" not in last:
            raise ValueError(f"{path} is not finished; run its shard again, it goes on where it ended")
        shared = {key: found[key] for key in ("settings", "categories")}
        if header:
            check_header(path, found, header)
        header = shared
        shards[Shard.parse(found["shard"])] = path
    _check_complete(shards)
    return header, where


def _check_complete(shards: dict[Shard, Path]) -> None:
    counts = {shard.count for shard in shards}
    if len(counts) > 1:
        listed = ", ".join(f"{shard} in {path}" for shard, path in shards.items())
        raise ValueError(f"these are shards of different divisions: {listed}")
    (count,) = counts
    missing = set(range(1, count + 1)) - {shard.number for shard in shards}
    if missing:
        listed = ", ".join(f"{number}/{count}" for number in sorted(missing))
        raise ValueError(f"shards are missing: {listed}; run them with --shard, or name their journals")


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
