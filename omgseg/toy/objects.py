"""Toy videos with objects without classes, in the official layouts of DAVIS and YouTube-VOS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from omgseg.structures.png import object_image
from omgseg.toy.annotation import annotate
from omgseg.toy.categories import NAMES
from omgseg.toy.videos import Video, visible_things
from omgseg.toy.world import render
from omgseg.toy.writers import write_image, write_json

YOUTUBE_VOS_STEP = 5
"""The official frames are every fifth of their video, and are named so."""


def write_davis(root: Path, split: str, videos: Sequence[Video]) -> None:
    """Write ``JPEGImages/480p/``, ``Annotations/480p/`` (palette PNGs with the objects of the first frame, numbered
    from 1) and ``ImageSets/2017/{split}.txt``. 480p is the official folder's name; frames keep the toy's size."""
    names = []
    for video_id, (scene, length) in enumerate(videos):
        name = f"toy-{video_id:02d}"
        names.append(name)
        numbers = np.zeros(len(scene.things) + 1, dtype=np.uint8)
        for index in range(length):
            frame = render(scene, index)
            annotation = annotate(scene, frame)
            if index == 0:
                first = visible_things(annotation)
                numbers[first] = np.arange(1, len(first) + 1)
            write_image(root / "JPEGImages" / "480p" / name / f"{index:05d}.jpg", frame.image)
            _write_palette_png(
                root / "Annotations" / "480p" / name / f"{index:05d}.png", numbers[annotation.instances]
            )
    listing = root / "ImageSets" / "2017" / f"{split}.txt"
    listing.parent.mkdir(parents=True, exist_ok=True)
    listing.write_text("\n".join(names) + "\n")


def write_youtube_vos(root: Path, split: str, videos: Sequence[Video]) -> None:
    """Write ``{split}/JPEGImages/``, ``{split}/meta.json`` and ``{split}/Annotations/``: palette PNGs of the frames in
    which objects appear first, and of these objects only. Objects count from 1 in the order of their appearance."""
    folder = root / split
    meta = {}
    for video_id, (scene, length) in enumerate(videos):
        name = f"toy{video_id:04d}"
        numbers = np.zeros(len(scene.things) + 1, dtype=np.uint8)
        objects: dict[str, dict] = {}
        for index in range(length):
            frame = render(scene, index)
            annotation = annotate(scene, frame)
            stem = f"{YOUTUBE_VOS_STEP * index:05d}"
            write_image(folder / "JPEGImages" / name / f"{stem}.jpg", frame.image)
            visible = visible_things(annotation)
            new = visible[numbers[visible] == 0]
            numbers[new] = np.arange(1, len(new) + 1) + len(objects)
            for thing in new:
                objects[str(numbers[thing])] = {
                    "category": NAMES[scene.things[thing - 1].category],
                    "frames": [],
                }
            for thing in visible:
                objects[str(numbers[thing])]["frames"].append(stem)
            if len(new):
                shown = np.where(np.isin(annotation.instances, new), numbers[annotation.instances], 0)
                _write_palette_png(folder / "Annotations" / name / f"{stem}.png", shown.astype(np.uint8))
        meta[name] = {"objects": objects}
    write_json(folder / "meta.json", {"videos": meta})


def _write_palette_png(path: Path, objects: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    object_image(objects).save(path)
