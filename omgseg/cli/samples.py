"""Draw sample images and a video of the toy world, for the recipes of the documentation.

A clone has no photos of its own. The command draws files under the names that the recipes use: street.jpg, photos/,
film.mp4, frames/ (its first frames) and objects.png (the objects of its first frame). The model of `make demo` knows
what they show: things of a colour and a pattern ("red plain", "blue dotted") on grass, sand, water, brick and gravel.

examples:
  omgseg samples .                                   into the current folder
  omgseg predict street.jpg --run work_dirs/demo/train
  omgseg predict film.mp4 --run work_dirs/demo/train --task vos --first-mask objects.png

Without --overwrite the command does not start if one of the files exists."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from omgseg.cli.status import OK, UsageError

if TYPE_CHECKING:
    import numpy as np

    from omgseg.toy.world import Scene

SEED = 0
SCALE = 3
"""Times the toy world's 128 pixels a side."""
PHOTOS, FRAMES, FILM_FRAMES, FPS = 4, 5, 24, 12
LEAST_PIXELS = 200
"""A smaller part of a thing is no object to follow."""
STREET, FILM, OBJECTS = "street.jpg", "film.mp4", "objects.png"
NAMES = (STREET, "photos", FILM, "frames", OBJECTS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="where the files are written")
    parser.add_argument("--overwrite", action="store_true", help="replace files of these names")


def run(args: argparse.Namespace) -> int:
    if not args.overwrite:
        for name in NAMES:
            if (args.folder / name).exists():
                raise UsageError(f"{args.folder / name} exists; give another folder, or --overwrite")
    write_samples(args.folder)
    for name in NAMES:
        print(args.folder / name)
    return OK


def write_samples(folder: Path) -> None:
    """Write :data:`NAMES`, the same at each call.

    Raises:
        OSError: a file cannot be written.
    """
    import numpy as np

    from omgseg.files import whole_file
    from omgseg.structures.label_png import object_image
    from omgseg.toy.categories import NUM_THINGS, is_base
    from omgseg.toy.video_files import sample_videos
    from omgseg.toy.world import World, render
    from omgseg.toy.writers import write_image
    from omgseg.visualization import VideoWriter

    world = World(np.random.default_rng(SEED), [index for index in range(NUM_THINGS) if is_base(index)])
    write_image(folder / STREET, render(world.image_scene(), scale=SCALE).image)
    for number in range(PHOTOS):
        write_image(folder / "photos" / f"{number:05d}.jpg", render(world.image_scene(), scale=SCALE).image)
    ((scene, _),) = sample_videos(world, 1, (FILM_FRAMES, FILM_FRAMES), SEED)
    with VideoWriter(folder / FILM, FPS) as film:
        for number in range(FILM_FRAMES):
            image = render(scene, number, SCALE).image
            film.add(image)
            if number < FRAMES:
                write_image(folder / "frames" / f"{number:05d}.jpg", image)
    with whole_file(folder / OBJECTS) as temporary:
        object_image(_objects(scene)).save(temporary, format="PNG")


def _objects(scene: Scene) -> np.ndarray:
    """uint8 (H, W): ids of the things that the first frame shows, from 1; 0 is what is left."""
    import numpy as np

    from omgseg.toy.world import render

    things = render(scene, 0, SCALE).thing
    shown, counts = np.unique(things[things >= 0], return_counts=True)
    ids = np.zeros(things.shape, np.uint8)
    for number, thing in enumerate(shown[counts >= LEAST_PIXELS], start=1):
        ids[things == thing] = number
    return ids
