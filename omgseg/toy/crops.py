"""Captioned crops of the toy world: what a contrastive image-text model is trained on."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from omgseg.toy.annotation import annotate
from omgseg.toy.categories import NAMES, NUM_THINGS
from omgseg.toy.world import SIZE, World, render

CROP_SIZE = 48
MARGIN = (1.0, 1.45)
SIDE = (32, 80)
TEMPLATES = (
    "{}",
    "a {}",
    "a photo of a {}",
    "a photo of a {} object",
    "a photo of the {}",
    "a picture of a {}",
    "there is a {} in the scene",
    "a {} in the picture",
)


@dataclass(frozen=True)
class Crops:
    """images uint8 RGB (N, CROP_SIZE, CROP_SIZE, 3); labels int64 (N,), class indices into ``NAMES``."""

    images: np.ndarray
    labels: np.ndarray


def _window(image: np.ndarray, cx: float, cy: float, side: int) -> np.ndarray:
    """The square around a point, moved inside the image, resized to the crop size."""
    side = min(side, SIZE)
    x = int(np.clip(round(cx - side / 2), 0, SIZE - side))
    y = int(np.clip(round(cy - side / 2), 0, SIZE - side))
    crop = image[y : y + side, x : x + side]
    shrink = side > CROP_SIZE
    return cv2.resize(
        crop, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR
    )


def sample_crops(seed: int, num_images: int) -> Crops:
    """Crops around every visible thing, and of places that are mostly stuff, of all classes, novel ones included.

    A crop shows its object with a margin, the surroundings and whatever else stands there, as captioned photos do.
    """
    rng = np.random.default_rng(seed)
    world = World(rng)
    images: list[np.ndarray] = []
    labels: list[int] = []
    for _ in range(num_images):
        scene = world.image_scene()
        frame = render(scene)
        for instance, mask in annotate(scene, frame).things().items():
            ys, xs = np.nonzero(mask)
            extent = max(np.ptp(xs), np.ptp(ys)) + 1
            side = int(np.clip(extent * rng.uniform(*MARGIN), *SIDE))
            shift = rng.uniform(-0.08, 0.08, 2) * side
            cx, cy = (xs.min() + xs.max()) / 2 + shift[0], (ys.min() + ys.max()) / 2 + shift[1]
            images.append(_window(frame.image, cx, cy, side))
            labels.append(scene.things[instance - 1].category)
        for _ in range(3):
            side = int(rng.integers(24, 60))
            x, y = rng.integers(0, SIZE - side, 2)
            seen = np.where(frame.thing < 0, frame.stuff, 0)[y : y + side, x : x + side]
            counts = np.bincount(seen.ravel(), minlength=len(NAMES))
            counts[:NUM_THINGS] = 0
            if counts.max() > 0.75 * side * side:
                images.append(_window(frame.image, x + side / 2, y + side / 2, side))
                labels.append(int(counts.argmax()))
    return Crops(np.stack(images), np.asarray(labels, dtype=np.int64))
