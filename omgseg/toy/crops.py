"""Captioned crops of the toy world: what a contrastive image-text model is trained on."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from omgseg.toy.annotation import VOID, annotate
from omgseg.toy.categories import NAMES, NUM_THINGS
from omgseg.toy.world import SIZE, World, render

CROP_SIZE = 48
MARGIN = (0.7, 1.2)
"""Side of a crop relative to its thing's extent: some cut the thing, some show what is around it."""
SIDE = (24, 80)
STUFF_SIDE = (24, 60)
STUFF_TRIES = 3
STUFF_SHARE = 0.75
"""A place is captioned as stuff where at least this share of it is."""
TEMPLATES = (
    "{}",
    "a {}",
    "a photo of a {}.",
    "a photo of a {}",
    "a photo of a {} object",
    "This is a photo of a {}",
    "a picture of the {}",
    "There is a {} in the scene",
)


@dataclass(frozen=True)
class Crops:
    """Pictures and the crops of them that have a caption.

    Attributes:
        pictures: uint8 RGB (M, S, S, 3).
        images: uint8 RGB (N, CROP_SIZE, CROP_SIZE, 3), the crops.
        labels: int64 (N,), class indices into ``NAMES``.
        boxes: float32 (N, 4), where each crop lies in its picture: x0, y0, x1, y1 in pixels.
        picture_of: int64 (N,), rows of ``pictures``, ascending.
    """

    pictures: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    picture_of: np.ndarray


def _square(cx: float, cy: float, side: int) -> tuple[int, int, int, int]:
    """The square around a point, moved inside the picture: x0, y0, x1, y1."""
    x = int(np.clip(round(cx - side / 2), 0, SIZE - side))
    y = int(np.clip(round(cy - side / 2), 0, SIZE - side))
    return x, y, x + side, y + side


def _cut(picture: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    x0, y0, x1, y1 = box
    way = cv2.INTER_AREA if x1 - x0 > CROP_SIZE else cv2.INTER_LINEAR
    return cv2.resize(picture[y0:y1, x0:x1], (CROP_SIZE, CROP_SIZE), interpolation=way)


def sample_crops(seed: int, num_pictures: int) -> Crops:
    """Crops around every visible thing, and of places that are mostly stuff, of all classes, novel ones included.

    A crop is a square: it shows whatever else stands there, as captioned photos do.
    """
    rng = np.random.default_rng(seed)
    world = World(rng)
    pictures, images, labels, boxes, picture_of = [], [], [], [], []
    for number in range(num_pictures):
        scene = world.image_scene()
        frame = render(scene)
        annotation = annotate(scene, frame)
        found = []
        for instance, mask in annotation.things().items():
            ys, xs = np.nonzero(mask)
            extent = max(np.ptp(xs), np.ptp(ys)) + 1
            side = int(np.clip(extent * rng.uniform(*MARGIN), *SIDE))
            dx, dy = rng.uniform(-0.08, 0.08, 2) * side
            box = _square((xs.min() + xs.max()) / 2 + dx, (ys.min() + ys.max()) / 2 + dy, side)
            found.append((scene.things[instance - 1].category, box))
        found += _stuff_places(rng, annotation.classes)
        pictures.append(frame.image)
        for label, box in found:
            images.append(_cut(frame.image, box))
            labels.append(label)
            boxes.append(box)
            picture_of.append(number)
    return Crops(
        np.stack(pictures),
        np.stack(images),
        np.asarray(labels, dtype=np.int64),
        np.asarray(boxes, dtype=np.float32),
        np.asarray(picture_of, dtype=np.int64),
    )


def _stuff_places(
    rng: np.random.Generator, classes: np.ndarray
) -> list[tuple[int, tuple[int, int, int, int]]]:
    """Random squares that are mostly one kind of stuff, with that class."""
    places = []
    for _ in range(STUFF_TRIES):
        side = int(rng.integers(*STUFF_SIDE))
        x, y = (int(start) for start in rng.integers(0, SIZE - side, 2))
        counts = np.bincount(classes[y : y + side, x : x + side].ravel(), minlength=VOID + 1)
        stuff = counts[NUM_THINGS : len(NAMES)]
        if stuff.max() > STUFF_SHARE * side * side:
            places.append((int(stuff.argmax()) + NUM_THINGS, (x, y, x + side, y + side)))
    return places
