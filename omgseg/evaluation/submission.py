"""Zip files as the servers of data sets without public annotations want them."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from omgseg.files import safe_name, whole_file
from omgseg.structures.label_png import object_image
from omgseg.structures.run_lengths import as_text

RESULTS_JSON = "results.json"


def zip_path(path: str | Path) -> Path:
    """`path`, if it is the name of a zip file.

    Raises:
        ValueError: it is not.
    """
    if Path(path).suffix != ".zip":
        raise ValueError(f"submission={str(path)!r} must be the name of a .zip file: servers take no other")
    return Path(path)


class TrackSubmission:
    """The format of the YouTube-VIS and OVIS servers: ``results.json``, alone in a zip.

    A list with ``video_id``, ``category_id``, ``score`` and ``segmentations`` of each track, one run-length mask
    per frame and null where the track is absent (https://youtube-vos.org/dataset/vis/, "Submission").

    Args:
        path: the zip file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = zip_path(path)

    def write(self, tracks: Iterable[dict[str, Any]]) -> None:
        """Write tracks one after the other, with the official ids of videos and categories."""
        with (
            whole_file(self.path) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open(RESULTS_JSON, "w", force_zip64=True) as file,
        ):
            separator = b"[\n"
            for track in tracks:
                entry = {**track, "segmentations": [_segmentation(m) for m in track["segmentations"]]}
                file.write(separator + json.dumps(entry).encode())
                separator = b",\n"
            file.write(b"\n]\n" if separator == b",\n" else b"[]\n")


def _segmentation(mask: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if mask is None or not coco_mask.area(mask) else as_text(mask)


class MapSubmission:
    """The format of the DAVIS and YouTube-VOS servers: palette PNGs of object numbers, ``<video>/<frame>.png``.

    The PNGs are collected in a folder beside the zip file, from any number of threads and processes.

    Args:
        path: the zip file.
        folder: of the videos inside the zip; empty: they lie at its top.
    """

    def __init__(self, path: str | Path, folder: str = "") -> None:
        self.path = zip_path(path)
        self.prefix = f"{folder}/" if folder else ""
        self.parts = self.path.with_name(f".{self.path.name}.parts")

    def add(self, video: str, frames: Iterable[tuple[str, np.ndarray]]) -> list[str]:
        """Write the frames of a video.

        Args:
            video: name of its folder. It and the frames' names may come from any file: they never lead out of the
                submission, and ordinary ones stay as they are.
            frames: the name without suffix and the map of object numbers (H, W) of each frame.

        Returns:
            The names of the files in the zip, for :meth:`pack`.

        Raises:
            ValueError: an object number is not in 0..255.
        """
        names = []
        for frame, objects in frames:
            name = f"{self.prefix}{safe_name(video)}/{safe_name(frame)}.png"
            try:
                image = object_image(objects)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
            with whole_file(self.parts / name) as temporary:
                image.save(temporary, format="PNG")
            names.append(name)
        return names

    def pack(self, names: Sequence[str]) -> None:
        """Put the files that :meth:`add` has written, in any process, into the zip, and delete them.

        Raises:
            FileNotFoundError: one of them does not exist here.
        """
        with whole_file(self.path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for name in names:
                if not (self.parts / name).is_file():
                    raise FileNotFoundError(
                        f"{self.parts / name} was written by another process, but is not found; the folder of "
                        f"submission={str(self.path)!r} must be one that all machines share"
                    )
                archive.write(self.parts / name, name)
        shutil.rmtree(self.parts)
