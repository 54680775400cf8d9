"""Label maps in image files: reading with errors that name the file, writing without loss.

COCO's panoptic PNG spreads one segment id per pixel over the colour channels: id = R + 256 G + 65536 B, and id 0 is
void (COCO panoptic format description, https://cocodataset.org/#format-data).

VIPSeg's panoptic PNG (``panomasks/``) holds one number per pixel: 0 is void, a number ``v`` up to 124 is category
number ``v`` without an instance (stuff), and a larger one is a thing, ``100 * category + instance`` with instances
0..99 (README and create_panoptic_video_labels.py of https://github.com/VIPSeg-Dataset/VIPSeg-Dataset). Category numbers
in the masks count from 1, the ids in ``panoVIPSeg_categories.json`` from 0: here a class is always that id, 0..123.
VSPW has the same classes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 120_000_000
"""Images with more are refused before they are decoded. Phones take 108 million."""


def load_image(path: str | Path) -> Image.Image:
    """Open an image file and decode it completely.

    Raises:
        FileNotFoundError: the file is missing.
        OSError: the file is truncated, not an image, or larger than :data:`MAX_PIXELS`.
    """
    path = require_regular(path)
    try:
        with Image.open(path) as image:
            _check_pixels(image, path)
            image.load()
            return image
    except Image.DecompressionBombError as error:
        raise OSError(f"{path}: {error}; make it smaller") from error
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path} not found; check the dataset's folders against data/README.md"
        ) from None
    except ImageTooLarge:
        raise
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        # Pillow reports a broken PNG chunk as SyntaxError.
        raise OSError(f"{path} is truncated or not an image ({error}); copy or download it again") from error


class ImageTooLarge(OSError):
    """An image of more than :data:`MAX_PIXELS`."""


def require_regular(path: str | Path) -> Path:
    """Return `path` unless something other than a regular file is there: a pipe would be waited for forever.

    Raises:
        OSError: it is a pipe, a socket, a device or a folder.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is not a regular file; remove it from the folder")
    return path


def _check_pixels(image: Image.Image, path: Path) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise ImageTooLarge(
            f"{path} has {image.width}x{image.height} pixels, more than {MAX_PIXELS}; make it smaller"
        )


def image_size(path: str | Path) -> tuple[int, int]:
    """(width, height) from an image file's header.

    Raises:
        FileNotFoundError: the file is missing.
        OSError: it is not an image, or larger than :data:`MAX_PIXELS`.
    """
    path = require_regular(path)
    try:
        with Image.open(path) as image:
            _check_pixels(image, path)
            return image.size
    except Image.DecompressionBombError as error:
        raise ImageTooLarge(f"{path}: {error}; make it smaller") from error
    except (FileNotFoundError, ImageTooLarge):
        raise
    except (OSError, SyntaxError, ValueError) as error:  # without the name where a file ends in its head
        raise OSError(f"{path} is truncated or not an image ({error}); copy or download it again") from error


def read_index_png(path: str | Path) -> np.ndarray:
    """Read a label map that holds one number per pixel: palette (DAVIS) or greyscale, 8 or 16 bits.

    Returns:
        int32 (H, W).

    Raises:
        FileNotFoundError, OSError: see :func:`load_image`.
        ValueError: the image has colour channels.
    """
    array = np.asarray(load_image(path))
    if array.ndim != 2:
        raise ValueError(f"{path}: expected one channel (palette or greyscale), got shape {array.shape}")
    return array.astype(np.int32)


def write_png(path: str | Path, array: np.ndarray) -> None:
    """Write a uint8 (H, W), uint8 (H, W, 3) or uint16 (H, W) array as PNG; missing folders are created."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(array)).save(path, format="PNG")


def object_image(objects: np.ndarray) -> Image.Image:
    """A palette image of object numbers (H, W) in the colours of DAVIS.

    Raises:
        ValueError: a number is not in 0..255.
    """
    if objects.size and (objects.min() < 0 or objects.max() > 255):
        wrong = objects.min() if objects.min() < 0 else objects.max()
        raise ValueError(f"object number {wrong} does not fit into a palette PNG (0..255)")
    image = Image.fromarray(np.ascontiguousarray(objects, dtype=np.uint8), mode="P")
    image.putpalette(davis_palette().tobytes())
    return image


def davis_palette() -> np.ndarray:
    """The colours of DAVIS, which are PASCAL VOC's: uint8 (256, 3), RGB.

    Bit 3 k + c of an object's number is bit 7 - k of its colour's channel c, so that low numbers differ most.
    """
    bits = np.arange(256)[:, None] >> np.arange(9)[None] & 1
    weights = 1 << np.array([7, 6, 5])
    return (bits.reshape(256, 3, 3) * weights[None, :, None]).sum(axis=1).astype(np.uint8)


MAX_SEGMENT_ID = 256**3 - 1


def rgb_to_id(rgb: np.ndarray) -> np.ndarray:
    """Segment ids of an RGB image: uint8 (..., 3) -> int32 (...)."""
    rgb = np.asarray(rgb)
    if rgb.dtype != np.uint8 or rgb.shape[-1:] != (3,):
        raise ValueError(f"expected uint8 RGB of shape (..., 3), got {rgb.dtype} {rgb.shape}")
    ids = rgb[..., 2].astype(np.int32)
    for channel in (1, 0):
        ids <<= 8
        ids |= rgb[..., channel]
    return ids


def id_to_rgb(ids: np.ndarray) -> np.ndarray:
    """RGB image of segment ids: integers (...) in [0, 2^24) -> uint8 (..., 3)."""
    ids = np.asarray(ids)
    if ids.size and (ids.min() < 0 or ids.max() > MAX_SEGMENT_ID):
        raise ValueError(f"segment ids must lie in [0, {MAX_SEGMENT_ID}], got {ids.min()} to {ids.max()}")
    return np.stack([(ids >> shift) & 255 for shift in (0, 8, 16)], axis=-1).astype(np.uint8)


def encode_panoptic_png(ids: np.ndarray) -> np.ndarray:
    """Pixels of the panoptic PNG: integer segment ids (H, W) -> uint8 RGB (H, W, 3)."""
    if np.ndim(ids) != 2:
        raise ValueError(f"expected segment ids of shape (H, W), got {np.shape(ids)}")
    return id_to_rgb(ids)


def decode_panoptic_png(path: str | Path) -> np.ndarray:
    """Read a panoptic PNG.

    Returns:
        int32 (H, W) segment ids, 0 is void.

    Raises:
        FileNotFoundError, OSError: see :func:`omgseg.structures.label_png.load_image`.
        ValueError: the image has no colour channels.
    """
    image = load_image(path)
    if image.mode in ("P", "RGBA"):
        image = image.convert("RGB")
    if image.mode != "RGB":
        raise ValueError(f"{path}: expected an RGB panoptic PNG, got image mode {image.mode!r}")
    return rgb_to_id(np.asarray(image))


def write_panoptic_png(path: str | Path, ids: np.ndarray) -> None:
    """Write integer segment ids (H, W) as a panoptic PNG; missing folders are created."""
    write_png(path, encode_panoptic_png(ids))


VOID_CLASS = 255
NUM_CLASSES = 124
INSTANCES_PER_CLASS = 100


def decode_vipseg_panomask(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split mask values into classes and instances.

    Args:
        values: integers (...), as stored in the PNG.

    Returns:
        class_map: int32 (...), category ids 0..123, 255 is void.
        instance_map: int32 (...), 0 for stuff and void, 1..100 for things (the number in the file plus 1: it
            counts the instances of a category from 0).

    Raises:
        ValueError: a value names a category above 124.
    """
    values = np.asarray(values).astype(np.int32)
    is_thing = values > NUM_CLASSES
    class_map = np.where(is_thing, values // INSTANCES_PER_CLASS, values) - 1
    instance_map = np.where(is_thing, values % INSTANCES_PER_CLASS + 1, 0).astype(np.int32)
    class_map[values == 0] = VOID_CLASS
    wrong = (values < 0) | (is_thing & (class_map >= NUM_CLASSES))
    if wrong.any():
        raise ValueError(
            f"value {values[wrong].flat[0]} is not a VIPSeg mask value: 0, 1..{NUM_CLASSES}, or "
            f"100 * category + instance with a category up to {NUM_CLASSES}"
        )
    return class_map, instance_map


def encode_vipseg_panomask(class_map: np.ndarray, instance_map: np.ndarray) -> np.ndarray:
    """Inverse of :func:`decode_vipseg_panomask`.

    Args:
        class_map: integers (...), 0..123, 255 is void.
        instance_map: integers (...), 0 for stuff, 1..100 for things; ignored on void.

    Returns:
        uint16 (...).

    Raises:
        ValueError: a number is out of range, or an instance cannot be told from stuff (category id 0 is stuff
            in VIPSeg: its first 25 instances would have the numbers of stuff).
    """
    classes, instances = np.asarray(class_map).astype(np.int64), np.asarray(instance_map).astype(np.int64)
    if classes.shape != instances.shape:
        raise ValueError(f"class_map {classes.shape} and instance_map {instances.shape} differ in shape")
    void = classes == VOID_CLASS
    instances = np.where(void, 0, instances)
    if ((classes < 0) | (classes >= NUM_CLASSES))[~void].any():
        raise ValueError(f"class_map must hold 0..{NUM_CLASSES - 1} or {VOID_CLASS} (void)")
    if instances.size and (instances.min() < 0 or instances.max() > INSTANCES_PER_CLASS):
        raise ValueError(
            f"instance_map must hold 0 (stuff) or 1..{INSTANCES_PER_CLASS}, "
            f"got {instances.min()} to {instances.max()}"
        )
    is_thing = instances > 0
    values = np.where(is_thing, (classes + 1) * INSTANCES_PER_CLASS + instances - 1, classes + 1)
    values[void] = 0
    if (is_thing & (values <= NUM_CLASSES)).any():
        raise ValueError("category id 0 cannot have instances in VIPSeg masks; give id 0 to a stuff category")
    return values.astype(np.uint16)


def read_vipseg_panomask(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a mask file; returns (class_map, instance_map), see :func:`decode_vipseg_panomask`.

    Raises:
        FileNotFoundError, OSError, ValueError: the file is missing, truncated, or holds other values.
    """
    values = read_index_png(path)
    try:
        return decode_vipseg_panomask(values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def write_vipseg_panomask(path: str | Path, class_map: np.ndarray, instance_map: np.ndarray) -> None:
    """Write a 16 bit mask file from two (H, W) maps; missing folders are created."""
    write_png(path, encode_vipseg_panomask(class_map, instance_map))


def read_vspw_mask(path: str | Path) -> np.ndarray:
    """Read a mask of VSPW (https://www.vspwdataset.com).

    A pixel of the file holds 1 + its category, 0 ("others") or 255 ("void label"); the official evaluation
    leaves both out.

    Returns:
        int32 (H, W): category ids 0..123, ``VOID_CLASS`` where not labelled.

    Raises:
        FileNotFoundError, OSError: see :func:`omgseg.structures.label_png.load_image`.
        ValueError: the file holds another number, or colours.
    """
    numbers = read_index_png(path)
    labelled = (numbers > 0) & (numbers <= NUM_CLASSES)
    other = numbers[(numbers > NUM_CLASSES) & (numbers != VOID_CLASS)]
    if other.size:
        raise ValueError(
            f"{path}: {other[0]} is not a number of a VSPW mask (1 to {NUM_CLASSES}, 0 and 255 are void); see "
            "data/README.md#vspw"
        )
    return np.where(labelled, numbers - 1, VOID_CLASS).astype(np.int32)


def write_vspw_mask(path: str | Path, class_map: np.ndarray) -> None:
    """Write a mask: category ids 0..123 (H, W), ``VOID_CLASS`` where not labelled."""
    write_png(path, np.where(class_map == VOID_CLASS, VOID_CLASS, class_map + 1).astype(np.uint8))
