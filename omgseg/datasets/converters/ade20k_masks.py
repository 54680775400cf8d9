"""What ADE20K's distributed masks say about an image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from omgseg.structures import Vocabulary
from omgseg.structures.label_png import image_size, load_image, read_index_png

INSTANCE_STEP = 256
"""A segment's id is INSTANCE_STEP * instance + value: in the panoptic PNG, red is the value and green the instance."""
MAX_VALUE = 255


class Masks(NamedTuple):
    """The distributed masks of an image.

    Attributes:
        semantic: uint8 (H, W), category id + 1; 0 is unlabelled.
        categories: uint8 (H, W), instance category: things alone are counted, from 1.
        instances: uint8 (H, W), number of the instance; 0 is no instance.
    """

    semantic: np.ndarray
    categories: np.ndarray
    instances: np.ndarray


@dataclass(frozen=True)
class Values:
    """What the values of the masks stand for.

    The instance categories 1..100 are the things in the order of their category ids (the column ``Instance100`` of
    the challenge's table of categories).

    Attributes:
        is_known: bool (256,), whether a semantic value is a category, or 0.
        is_stuff: bool (256,), whether it is a stuff category.
        things: uint8 (1 + things,), the semantic value of each instance category; 0 for 0.
    """

    is_known: np.ndarray
    is_stuff: np.ndarray
    things: np.ndarray

    @classmethod
    def of(cls, vocabulary: Vocabulary) -> Values:
        """Raises a ValueError where a category id is not in 0..254."""
        is_known, is_stuff = np.zeros(MAX_VALUE + 1, bool), np.zeros(MAX_VALUE + 1, bool)
        is_known[0] = True
        for category in vocabulary:
            if category.id is None or not 0 <= category.id < MAX_VALUE:
                raise ValueError(f"category {category.name!r} has id {category.id}; ADE20K's are 0 to 149")
            is_known[category.id + 1] = True
            is_stuff[category.id + 1] = not category.is_thing
        things = np.flatnonzero(is_known & ~is_stuff)  # 0 comes first
        return cls(is_known, is_stuff, things.astype(np.uint8))


class Segment(NamedTuple):
    """One entity: its id in the panoptic PNG, its category id, pixel count, and COCO box [x, y, width, height]."""

    id: int
    category_id: int
    area: int
    bbox: list[int]

    def to_dict(self) -> dict[str, Any]:
        """An entry of ``segments_info``."""
        return {**self._asdict(), "iscrowd": 0}


def read_masks(image: Path, semantic: Path, instance: Path) -> Masks:
    """Read the masks of an image, of which only the size is read.

    Raises:
        FileNotFoundError, OSError: a file is missing or truncated.
        ValueError: a mask has another size than the image, or not its number of channels.
    """
    classes = read_index_png(semantic).astype(np.uint8)
    channels = np.asarray(load_image(instance))
    if channels.ndim != 3 or channels.dtype != np.uint8:
        raise ValueError(f"{instance}: expected 8-bit RGB, got {channels.dtype} {channels.shape}")
    width, height = image_size(image)
    for path, mask in ((semantic, classes), (instance, channels)):
        if mask.shape[:2] != (height, width):
            raise ValueError(
                f"{path}: the mask is {mask.shape[1]}x{mask.shape[0]}, its image {image} is {width}x{height} "
                "(width x height)"
            )
    return Masks(classes, channels[..., 0], channels[..., 1])


def join_masks(masks: Masks, values: Values) -> tuple[np.ndarray, list[Segment], list[Segment]]:
    """Panoptic segments: stuff from the semantic mask, things pasted over it.

    Pixels that the semantic mask gives to a thing, but that no instance covers, are void. A stuff segment keeps the
    area and the box that it has without the things: so it is in the files that published numbers are measured on.

    Returns:
        Segment ids int32 (H, W), 0 is void; the stuff segments and the thing segments, by ascending id.

    Raises:
        ValueError: a value is not a category, or the pixels of an instance have several categories.
    """
    unknown = np.flatnonzero(np.bincount(masks.semantic.ravel(), minlength=MAX_VALUE + 1) * ~values.is_known)
    if len(unknown):
        raise ValueError(f"the semantic mask holds {unknown[0]}, which is not a category")
    inside = masks.instances > 0
    categories, numbers = masks.categories[inside], masks.instances[inside].astype(np.int32)
    num_things = len(values.things) - 1
    wrong = categories[(categories == 0) | (categories > num_things)]
    if len(wrong):
        raise ValueError(f"the instance mask holds category {wrong[0]}; they are 1 to {num_things}")
    stuff_ids = np.where(values.is_stuff[masks.semantic], masks.semantic, 0).astype(np.int32)
    thing_ids = np.zeros_like(stuff_ids)
    thing_ids[inside] = INSTANCE_STEP * numbers + values.things[categories]
    things = _segments(thing_ids)
    owners = [segment.id // INSTANCE_STEP for segment in things]
    for first, second in zip(owners, owners[1:], strict=False):
        if first == second:
            raise ValueError(f"the pixels of instance {first} have several categories in the instance mask")
    return np.where(inside, thing_ids, stuff_ids), _segments(stuff_ids), things


def _segments(ids: np.ndarray) -> list[Segment]:
    areas = np.bincount(ids.ravel())
    areas[0] = 0
    known = np.flatnonzero(areas)
    index = np.zeros(len(areas), np.int32)
    index[known] = np.arange(1, len(known) + 1)
    boxes = ndimage.find_objects(index[ids])
    return [
        Segment(
            id=int(number),
            category_id=int(number) % INSTANCE_STEP - 1,
            area=int(areas[number]),
            bbox=[int(x.start), int(y.start), int(x.stop - x.start), int(y.stop - y.start)],
        )
        for number, (y, x) in zip(known, boxes, strict=True)
    ]
