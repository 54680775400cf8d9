"""Writes the whole toy world: one data root in the layouts of data/README.md."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from omgseg.toy.annotation import annotate
from omgseg.toy.categories import NOVEL_THINGS, NUM_THINGS, THINGS, is_base, permuted_vocabulary
from omgseg.toy.coco import write_coco
from omgseg.toy.videos import (
    Video,
    first_objects,
    write_davis,
    write_vipseg,
    write_vipseg_categories,
    write_youtube_vis,
)
from omgseg.toy.world import World, render

MANIFEST = "toy_manifest.json"
WORLD_VERSION = 2
"""Goes up when equal seeds draw other pictures, so that older data are made anew."""

_BASE_CLASSES = [index for index in range(NUM_THINGS) if is_base(index)]
_NOVEL_CLASSES = [THINGS.index(name) for name in NOVEL_THINGS]


@dataclass(frozen=True)
class Sizes:
    """How many images and videos each part holds; a video has `min_length` to `max_length` frames."""

    train_images: int = 1000
    val_images: int = 60
    open_vocabulary_images: int = 60
    youtube_vis_train: int = 60
    youtube_vis_valid: int = 15
    vipseg_train: int = 60
    vipseg_val: int = 15
    davis_val: int = 8
    min_length: int = 6
    max_length: int = 8


TINY = Sizes(
    train_images=6,
    val_images=4,
    open_vocabulary_images=6,
    youtube_vis_train=2,
    youtube_vis_valid=2,
    vipseg_train=2,
    vipseg_val=2,
    davis_val=2,
    min_length=4,
    max_length=5,
)
"""Enough for tests: every part is there."""


def generate(
    root: str | Path, seed: int = 0, sizes: Sizes | None = None, report: Callable[[str], None] | None = None
) -> Path:
    """Write the toy data, unless the folder already holds exactly these.

    The folders are ``coco``, ``coco_open_vocabulary`` (images with novel things; its categories list all things),
    ``youtube_vis_2019``, ``VIPSeg`` and ``DAVIS``. Every other part holds base categories only. The data appear at
    once, by a rename.

    Args:
        root: the data root; created, or replaced when it holds other toy data.
        seed: equal seeds and sizes give equal files.
        sizes: defaults to ``Sizes()``, about 2200 frames.
        report: called with a line about each part.

    Raises:
        FileExistsError: the folder exists and was not made by this function.
    """
    root, sizes = Path(root), sizes or Sizes()
    report = report or (lambda line: None)
    manifest = {"world_version": WORLD_VERSION, "seed": seed, "sizes": asdict(sizes)}
    if root.exists() and any(root.iterdir()):
        if not (root / MANIFEST).is_file():
            raise FileExistsError(f"{root} exists and is not toy data (no {MANIFEST}); choose another folder")
        if json.loads((root / MANIFEST).read_text()) == manifest:
            report(f"{root} is up to date")
            return root
    temporary = root.with_name(root.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    _write_parts(temporary, seed, sizes, report)
    (temporary / MANIFEST).write_text(json.dumps(manifest))
    shutil.rmtree(root, ignore_errors=True)
    temporary.rename(root)
    return root


def _write_parts(root: Path, seed: int, sizes: Sizes, report: Callable[[str], None]) -> None:
    def world(part: int, novel: bool = False) -> World:
        # A generator a part: the size of one does not change another.
        return World(np.random.default_rng((seed, part)), range(NUM_THINGS) if novel else _BASE_CLASSES)

    report(f"coco: {sizes.train_images} + {sizes.val_images} images")
    _write_images(root / "coco", "train", world(0), sizes.train_images, first_id=1)
    _write_images(root / "coco", "val", world(1), sizes.val_images, first_id=100_001)
    report(f"coco_open_vocabulary: {sizes.open_vocabulary_images} images")
    open_world = world(2, novel=True)
    novel = (open_world.image_scene(_novel_pair(index)) for index in range(sizes.open_vocabulary_images))
    write_coco(root / "coco_open_vocabulary", "val", novel, 200_001, include_novel=True, instances=True)
    permuted_vocabulary().save(root / "coco_open_vocabulary" / "annotations" / "permuted_vocabulary.json")

    report(f"youtube_vis_2019: {sizes.youtube_vis_train} + {sizes.youtube_vis_valid} videos")
    for part, split, count in ((3, "train", sizes.youtube_vis_train), (4, "valid", sizes.youtube_vis_valid)):
        write_youtube_vis(root / "youtube_vis_2019", split, _videos(world(part), count, sizes, seed + part))
    report(f"VIPSeg: {sizes.vipseg_train} + {sizes.vipseg_val} videos")
    write_vipseg_categories(root / "VIPSeg")
    for part, split, count in ((5, "train", sizes.vipseg_train), (6, "val", sizes.vipseg_val)):
        write_vipseg(root / "VIPSeg", split, _videos(world(part), count, sizes, seed + part))
    report(f"DAVIS: {sizes.davis_val} videos")
    write_davis(root / "DAVIS", "val", _videos(world(7), sizes.davis_val, sizes, seed + 7))


def _write_images(root: Path, split: str, world: World, count: int, first_id: int) -> None:
    scenes = (world.image_scene() for _ in range(count))
    write_coco(root, split, scenes, first_id, include_novel=False, instances=split == "val")


def _novel_pair(index: int) -> list[int]:
    """Two novel classes for an image, so that all of them are equally frequent."""
    count = len(_NOVEL_CLASSES)
    return [_NOVEL_CLASSES[index % count], _NOVEL_CLASSES[(index + 1 + index // count) % count]]


def _videos(world: World, count: int, sizes: Sizes, seed: int) -> list[Video]:
    """Scenes with a length; the first frame of each shows at least two things."""
    rng = np.random.default_rng((seed, count))
    videos: list[Video] = []
    while len(videos) < count:
        length = int(rng.integers(sizes.min_length, sizes.max_length + 1))
        scene = world.video_scene(length)
        if len(first_objects(annotate(scene, render(scene)))) >= 2:
            videos.append((scene, length))
    return videos
