"""Toy images in the layout of ADEChallengeData2016, converted as the official data are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from omgseg.datasets.converters.ade20k import SPLITS, convert_ade20k
from omgseg.structures import Vocabulary
from omgseg.structures.png import write_png
from omgseg.toy.annotation import VOID, annotate
from omgseg.toy.categories import NAMES, NUM_THINGS, vocabulary
from omgseg.toy.world import Scene, render
from omgseg.toy.writers import write_image

ADE20K_IDS: tuple[int, ...] = tuple(
    4 * index + 1 if index < NUM_THINGS else 28 * (index - NUM_THINGS) + 2 for index in range(len(NAMES))
)
"""World class -> category id; things and stuff alternate, as in the official list."""


def ade20k_vocabulary() -> Vocabulary:
    """All toy words, the novel ones too, under the ids of the toy ADE20K."""
    return Vocabulary(
        replace(category, id=number) for category, number in zip(vocabulary(), ADE20K_IDS, strict=True)
    )


def write_ade20k(root: Path, split: str, scenes: Iterable[Scene]) -> None:
    """Write ``images``, ``annotations`` and ``annotations_instance`` of a split, and convert them.

    Args:
        root: the folder ADEChallengeData2016.
        split: ``train`` or ``val``.
    """
    folder = SPLITS[split]
    semantic_values = np.zeros(VOID + 1, np.uint8)
    semantic_values[: len(NAMES)] = np.array(ADE20K_IDS) + 1
    instance_categories = np.zeros(VOID + 1, np.uint8)
    instance_categories[:NUM_THINGS] = np.argsort(np.argsort(ADE20K_IDS[:NUM_THINGS])) + 1
    for number, scene in enumerate(scenes, 1):
        frame = render(scene)
        annotation = annotate(scene, frame)
        name = f"ADE_{split}_{number:08d}"
        write_image(root / "images" / folder / f"{name}.jpg", frame.image)
        write_png(root / "annotations" / folder / f"{name}.png", semantic_values[annotation.classes])
        instances = annotation.instances.astype(np.uint8)
        channels = [instance_categories[annotation.classes], instances, np.zeros_like(instances)]
        write_png(root / "annotations_instance" / folder / f"{name}.png", np.stack(channels, -1))
    convert_ade20k(root, split, ade20k_vocabulary())
