"""Writes the whole toy world: one data root in the layouts of data/README.md."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from omgseg.toy.categories import (
    NOVEL_THINGS,
    NUM_THINGS,
    THINGS,
    is_base,
    permuted_vocabulary,
    vipseg_vocabulary,
    vocabulary,
)
from omgseg.toy.image_files import (
    CITYSCAPES_THINGS,
    ade20k_vocabulary,
    cityscapes_vocabulary,
    lvis_vocabulary,
    objects365_vocabulary,
    write_ade20k,
    write_cityscapes,
    write_coco,
    write_crowd_human,
    write_lvis,
    write_objects365,
    write_sa1b,
)
from omgseg.toy.video_files import (
    Video,
    an_object_enters_later,
    sample_videos,
    write_davis,
    write_ovis,
    write_vipseg,
    write_vipseg_categories,
    write_vspw,
    write_youtube_vis_2019,
    write_youtube_vis_2021,
    write_youtube_vos,
)
from omgseg.toy.world import World

VSPW_LENGTHS = (18, 20)
"""Frames of a VSPW video: more than the 16 whose consistency is measured."""
OVIS_THINGS = (5, 7)
"""Things of an OVIS video: enough to hide each other."""
CROWD_PARTS = 17
"""Number of the first split of the crowded images, behind those of the other parts."""
MANIFEST = "toy_manifest.json"
WORLD_VERSION = 3
"""Is raised when equal seeds draw other pictures, so that older data are replaced."""

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
    vspw_val: int = 3
    ovis_valid: int = 6
    youtube_vis_2021_valid: int = 6
    youtube_vos_valid: int = 6
    ade20k_val: int = 20
    cityscapes_train: int = 6
    cityscapes_val: int = 20
    lvis_val: int = 20
    objects365_train: int = 8
    sa1b_train: int = 8
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
    vspw_val=2,
    ovis_valid=2,
    youtube_vis_2021_valid=2,
    youtube_vos_valid=2,
    ade20k_val=3,
    cityscapes_train=2,
    cityscapes_val=2,
    lvis_val=3,
    objects365_train=2,
    sa1b_train=2,
    min_length=4,
    max_length=5,
)
"""Enough for tests: every part is there."""


def generate(
    root: str | Path, seed: int = 0, sizes: Sizes | None = None, report: Callable[[str], None] | None = None
) -> Path:
    """Write the toy data, unless the folder already holds exactly these.

    The folders are ``coco``, ``cityscapes``, ``objects365v2``, ``sa1b``, ``youtube_vis_2019``, ``VIPSeg``, ``VSPW``,
    ``DAVIS``, ``YouTubeVOS`` and ``ovis`` with base categories only, and ``coco_open_vocabulary``,
    ``ADEChallengeData2016`` and ``youtube_vis_2021`` with novel things, too, as in the LVIS file of ``coco`` (their
    categories list all things). ``vocabularies`` has the toy words for the ids of each. The data appear at once, by
    a rename.

    Args:
        root: the data root; created, or replaced when it holds other toy data.
        seed: equal seeds and sizes give equal files.
        sizes: defaults to ``Sizes()``, about 2200 frames.
        report: called with a line for each part.

    Raises:
        FileExistsError: the folder exists and was not made by this function.
    """
    root, sizes = Path(root), sizes or Sizes()
    report = report or (lambda line: None)
    manifest = {"world_version": WORLD_VERSION, "seed": seed, "sizes": asdict(sizes)}
    return _write_once(root, manifest, lambda folder: _write_parts(folder, seed, sizes, report), report)


def generate_crowd(
    root: str | Path,
    seed: int = 0,
    train_images: int = 1000,
    val_images: int = 100,
    report: Callable[[str], None] | None = None,
) -> Path:
    """Write crowded images in the layout of CrowdHuman, unless the folder already holds exactly these: ``Images``,
    ``annotation_train.odgt`` and ``annotation_val.odgt``.

    Args:
        root: created, or replaced when it holds other toy data.
        seed: equal seeds and sizes give equal files.
        report: called with a line for each part.

    Raises:
        FileExistsError: the folder exists and was not made by this module.
    """
    report = report or (lambda line: None)

    def write(folder: Path) -> None:
        for part, (split, count) in enumerate((("train", train_images), ("val", val_images))):
            report(f"CrowdHuman, {split}: {count} images")
            world = World(np.random.default_rng((seed, CROWD_PARTS + part)))
            write_crowd_human(folder, split, (world.crowd_scene() for _ in range(count)))

    manifest = dict(world_version=WORLD_VERSION, seed=seed, crowd=[train_images, val_images])
    return _write_once(Path(root), manifest, write, report)


def _write_once(
    root: Path, manifest: dict[str, Any], write: Callable[[Path], None], report: Callable[[str], None]
) -> Path:
    """Write a folder at once, unless its manifest says that it is the same."""
    if root.exists() and any(root.iterdir()):
        if not (root / MANIFEST).is_file():
            raise FileExistsError(f"{root} exists and is not toy data (no {MANIFEST}); choose another folder")
        if json.loads((root / MANIFEST).read_text()) == manifest:
            report(f"{root} is up to date")
            return root
    root.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as folder:
        new = Path(folder) / "data"
        new.mkdir()
        write(new)
        (new / MANIFEST).write_text(json.dumps(manifest))
        shutil.rmtree(root, ignore_errors=True)
        new.rename(root)
    return root


def _write_parts(root: Path, seed: int, sizes: Sizes, report: Callable[[str], None]) -> None:
    def world(part: int, novel: bool = False) -> World:
        # One generator per part: the size of one part does not change another.
        return World(np.random.default_rng((seed, part)), range(NUM_THINGS) if novel else _BASE_CLASSES)

    def videos(part: int, count: int, novel: bool = False, **choice: Any) -> list[Video]:
        choice.setdefault("lengths", (sizes.min_length, sizes.max_length))
        return sample_videos(world(part, novel), count, seed=seed + part, **choice)

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
        write_youtube_vis_2019(root / "youtube_vis_2019", split, videos(part, count))
    report(f"VIPSeg: {sizes.vipseg_train} + {sizes.vipseg_val} videos")
    write_vipseg_categories(root / "VIPSeg")
    for part, split, count in ((5, "train", sizes.vipseg_train), (6, "val", sizes.vipseg_val)):
        write_vipseg(root / "VIPSeg", split, videos(part, count))
    report(f"DAVIS: {sizes.davis_val} videos")
    write_davis(root / "DAVIS", "val", videos(7, sizes.davis_val))
    report(f"VSPW: {sizes.vspw_val} videos")
    write_vspw(root / "VSPW", "val", videos(11, sizes.vspw_val, lengths=VSPW_LENGTHS))
    report(f"ovis: {sizes.ovis_valid} videos")
    write_ovis(root / "ovis", "valid", videos(12, sizes.ovis_valid, things=OVIS_THINGS))
    report(f"youtube_vis_2021: {sizes.youtube_vis_2021_valid} videos")
    open_videos = videos(13, sizes.youtube_vis_2021_valid, novel=True)
    write_youtube_vis_2021(root / "youtube_vis_2021", "valid", open_videos)
    report(f"YouTubeVOS: {sizes.youtube_vos_valid} videos")
    late = videos(14, sizes.youtube_vos_valid, accept=an_object_enters_later)
    write_youtube_vos(root / "YouTubeVOS", "valid", late)

    report(f"ADE20K: {sizes.ade20k_val} images")
    open_world = world(9, novel=True)
    novel = (open_world.image_scene(_novel_pair(index)) for index in range(sizes.ade20k_val))
    write_ade20k(root / "ADEChallengeData2016", "val", novel)
    report(f"Cityscapes: {sizes.cityscapes_train} + {sizes.cityscapes_val} images")
    street = World(np.random.default_rng((seed, 10)), CITYSCAPES_THINGS)
    for split, count in (("val", sizes.cityscapes_val), ("train", sizes.cityscapes_train)):
        write_cityscapes(root / "cityscapes", split, (street.image_scene() for _ in range(count)))
    report(f"LVIS: {sizes.lvis_val} images")
    open_world = world(8, novel=True)
    novel = (open_world.image_scene(_novel_pair(index)) for index in range(sizes.lvis_val))
    write_lvis(root / "coco", novel, first_id=300_001)
    report(f"Objects365 and SA-1B: {sizes.objects365_train} + {sizes.sa1b_train} images")
    base = world(15)
    write_objects365(root / "objects365v2", (base.image_scene() for _ in range(sizes.objects365_train)))
    base = world(16)
    write_sa1b(root / "sa1b", (base.image_scene() for _ in range(sizes.sa1b_train)))
    _write_vocabularies(root / "vocabularies")


def _write_vocabularies(folder: Path) -> None:
    """The toy words under the names of the shipped vocabularies, for $OMGSEG_VOCABULARIES."""
    words = vocabulary(include_novel=False)
    vocabularies = {
        "ade20k": ade20k_vocabulary(),
        "cityscapes": cityscapes_vocabulary(),
        "coco_panoptic": words,
        "lvis_v1": lvis_vocabulary(),
        "objects365_v2": objects365_vocabulary(),
        "ovis": words.things(),
        "vipseg": vipseg_vocabulary(),
        "youtube_vis_2019": words.things(),
        "youtube_vis_2021": vocabulary().things(),
    }
    folder.mkdir(exist_ok=True)
    for name, words_of_dataset in vocabularies.items():
        words_of_dataset.save(folder / f"{name}.json")


def _write_images(root: Path, split: str, world: World, count: int, first_id: int) -> None:
    scenes = (world.image_scene() for _ in range(count))
    write_coco(root, split, scenes, first_id, include_novel=False, instances=split == "val")


def _novel_pair(index: int) -> list[int]:
    """Two novel classes for an image, so that all of them are equally frequent."""
    count = len(_NOVEL_CLASSES)
    return [_NOVEL_CLASSES[index % count], _NOVEL_CLASSES[(index + 1 + index // count) % count]]
