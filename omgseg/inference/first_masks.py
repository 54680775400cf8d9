"""What users show by masks: the objects to follow, in the first frame of a video, and the regions of an example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from omgseg.inference.abilities import UnsupportedRequest
from omgseg.inference.pixels import ImageInput, to_image
from omgseg.inference.results import SegmentationResult
from omgseg.inference.words import Words, to_vocabulary
from omgseg.protocols import Example
from omgseg.structures import NO_CLASS, Vocabulary
from omgseg.structures.label_png import read_index_png

Mask = np.ndarray | Tensor | str | Path
ExampleInput = tuple[ImageInput, Mask]
ObjectInput = Mask | Sequence[Mask] | Mapping[int, Mask] | SegmentationResult
MAX_ID = np.iinfo(np.int32).max
"""The largest id that maps and PNGs of ids can hold."""


@dataclass(frozen=True)
class GivenObjects:
    """Masks bool (N, H, W) of the first frame, and their ids int64 (N,), above 0 and different."""

    masks: np.ndarray
    ids: np.ndarray

    def check_size(self, shape: tuple[int, int]) -> None:
        """Raises ValueError if the frames are not of the masks' size (H, W)."""
        if self.masks.shape[1:] != shape:
            raise ValueError(
                f"the first frame's masks are {self.masks.shape[2]}x{self.masks.shape[1]}, the video's frames "
                f"{shape[1]}x{shape[0]} (width x height)"
            )


def given_objects(objects: ObjectInput) -> GivenObjects:
    """Read the objects in any form that users have them.

    Args:
        objects: a PNG of object ids (palette or greyscale, 0 is background), or an integer array (H, W) of them; one
            bool mask (H, W); several masks, as a list or (N, H, W), which get the ids 1 to N; a dictionary of ids and
            masks; or a result for the first frame, with its ids.

    Raises:
        FileNotFoundError, OSError: a PNG is missing or broken.
        ValueError: a mask is empty, has another size than the first one or another number of dimensions, there are no
            masks, or an id is not from 1 to :data:`MAX_ID`.
        TypeError: the objects have another type.
    """
    if isinstance(objects, SegmentationResult):
        return _checked(list(objects.masks), objects.ids.tolist())
    if isinstance(objects, Mapping):
        return _checked([_mask(mask) for mask in objects.values()], list(objects))
    if isinstance(objects, (str, Path, np.ndarray, Tensor)):
        array = _array(objects)
        if array.ndim == 2 and array.dtype != bool:
            numbers = [number for number in np.unique(array).tolist() if number != 0]
            return _checked([array == number for number in numbers], numbers)
        if array.ndim not in (2, 3):
            raise ValueError(f"masks must have the shape (H, W) or (N, H, W), got {array.shape}")
        objects = [array] if array.ndim == 2 else list(array)
    if not isinstance(objects, Sequence):
        raise TypeError(
            "the objects of the first frame must be a PNG or array of object ids, masks, a dictionary of ids and "
            f"masks, or a result, not {type(objects).__name__}"
        )
    masks = [_mask(mask) for mask in objects]
    return _checked(masks, list(range(1, len(masks) + 1)))


def _array(mask: Mask) -> np.ndarray:
    if isinstance(mask, (str, Path)):
        return read_index_png(mask)
    return mask.cpu().numpy() if isinstance(mask, Tensor) else np.asarray(mask)


def _mask(mask: Mask) -> np.ndarray:
    array = _array(mask)
    if array.ndim != 2:
        raise ValueError(f"a mask must have the shape (H, W), got {array.shape}")
    return array != 0


def check_id(number: object) -> int:
    """An object id as int.

    Raises:
        ValueError: the id is not an integer from 1 to :data:`MAX_ID`.
    """
    try:
        valid = int(number) == number and 1 <= number <= MAX_ID
    except (TypeError, ValueError, OverflowError):
        valid = False
    if not valid:
        raise ValueError(f"object {number!r}: ids are integers from 1 (0 is the background) up to {MAX_ID}")
    return int(number)


def _checked(masks: list[np.ndarray], ids: list[int]) -> GivenObjects:
    if not masks:
        raise ValueError("the first frame's mask is empty: give at least one object with an id above 0")
    for number, mask in zip(ids, masks, strict=True):
        check_id(number)
        if mask.shape != masks[0].shape:
            raise ValueError(
                f"the mask of object {number} has the shape {mask.shape}, that of the first one {masks[0].shape}"
            )
        if not mask.any():
            raise ValueError(f"the mask of object {number} is empty; leave the object out")
    return GivenObjects(np.stack(masks), np.asarray(ids, np.int64))


def given_example(
    model: Any, example: ExampleInput | None, words: Words | None
) -> tuple[Example, Vocabulary]:
    """Read an example, and the words for what it shows.

    Args:
        model: a :class:`~omgseg.protocols.Segmenter`.
        example: an image, and its mask: a PNG (palette or greyscale) or an array (H, W), where 0 is background and each
            other value is one class.
        words: names of the classes by rising value. Default: ``region <value>``.

    Raises:
        UnsupportedRequest: the model takes no example.
        FileNotFoundError, OSError: a file is missing or broken.
        ValueError: there is no example, its mask is empty or has another size, or there is not one word a class.
        TypeError: the image has another type, or the example is not a pair.
    """
    if not model.abilities.needs_example:
        raise UnsupportedRequest("segmentation by an example", model)
    if example is None:
        raise ValueError(
            "the model segments what an example shows: give example=(image, mask), or --example IMAGE MASK in the shell"
        )
    if not isinstance(example, Sequence) or isinstance(example, str) or len(example) != 2:
        raise TypeError(f"an example is a pair (image, mask), not {example!r:.80}")
    image, values = to_image(example[0]), _array(example[1]).astype(np.int64)
    if values.shape != image.shape[:2]:
        raise ValueError(
            f"the example's mask has the shape {values.shape}, its image {image.shape[:2]} (height, width); "
            "give a mask of that size with one number per pixel"
        )
    if values.min() < 0:
        raise ValueError(f"the example's mask holds {values.min()}; 0 is background, and classes are above 0")
    present = np.unique(values[values > 0]).tolist()
    if not present:
        raise ValueError("the example's mask is empty: mark what to segment with a number above 0")
    names = to_vocabulary(words) or Vocabulary.from_names([f"region {value}" for value in present])
    if len(names) != len(present):
        shown = ", ".join(map(str, present[:5])) + (", ..." if len(present) > 5 else "")
        raise ValueError(
            f"the vocabulary has {len(names)} words, the example's mask {len(present)} classes ({shown}); give one "
            "word for each, or none"
        )
    labels = np.where(values > 0, np.searchsorted(present, values), NO_CLASS)
    return Example(image, labels), names
