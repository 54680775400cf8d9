"""Toy images in the layout of Cityscapes: leftImg8bit and gtFine, with official label ids."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np

from omgseg.datasets.converters.cityscapes import convert_cityscapes
from omgseg.structures import Vocabulary
from omgseg.structures.png import write_png
from omgseg.toy.annotation import VOID, annotate
from omgseg.toy.categories import BASE_THINGS, NUM_THINGS, STUFF, THINGS, vocabulary
from omgseg.toy.world import Scene, render

CITY = "toytown"
UNLABELED = 0
_THING_LABELS = (24, 25, 26, 27, 28, 31, 32, 33)  # person ... bicycle
_STUFF_LABELS = (7, 8, 11, 21, 23)  # road, sidewalk, building, vegetation, sky
LABEL_IDS: dict[int, int] = {
    **dict(zip((THINGS.index(name) for name in BASE_THINGS[::3]), _THING_LABELS, strict=True)),
    **dict(zip(range(NUM_THINGS, NUM_THINGS + len(STUFF)), _STUFF_LABELS, strict=True)),
}
"""World class -> label id, for the classes that occur: 8 base things, and all stuff."""
CITYSCAPES_THINGS: tuple[int, ...] = tuple(index for index in LABEL_IDS if index < NUM_THINGS)


def cityscapes_vocabulary() -> Vocabulary:
    """The toy words under the label ids for which they stand."""
    words = vocabulary()
    return Vocabulary(replace(words[index], id=label) for index, label in LABEL_IDS.items())


def write_cityscapes(root: Path, split: str, scenes: Iterable[Scene]) -> None:
    """Write ``leftImg8bit`` and ``gtFine`` of a split, and the official panoptic ground truth of ``val``.

    Args:
        root: the folder cityscapes.
        split: ``train`` or ``val``.
        scenes: of the things in ``CITYSCAPES_THINGS`` alone.
    """
    labels = np.full(VOID + 1, UNLABELED, np.uint16)
    labels[list(LABEL_IDS)] = list(LABEL_IDS.values())
    for number, scene in enumerate(scenes, 1):
        frame = render(scene)
        annotation = annotate(scene, frame)
        label_ids = labels[annotation.classes]
        numbers = annotation.instances.astype(np.uint16)  # official numbers start at 0
        instance_ids = np.where(numbers > 0, label_ids * 1000 + numbers - 1, label_ids).astype(np.uint16)
        name = f"{CITY}_{number:06d}_000019"
        write_png(root / "leftImg8bit" / split / CITY / f"{name}_leftImg8bit.png", frame.image)
        masks = root / "gtFine" / split / CITY
        write_png(masks / f"{name}_gtFine_instanceIds.png", instance_ids)
        write_png(masks / f"{name}_gtFine_labelIds.png", label_ids.astype(np.uint8))
    if split == "val":
        with redirect_stdout(StringIO()):
            convert_cityscapes(root, split)
