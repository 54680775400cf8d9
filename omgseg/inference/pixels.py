"""Pixels that a user hands over, as uint8 RGB.

Files and PIL images are read as they are meant to be seen. Arrays and tensors are read by one rule: uint8 as it is, and
floats from 0 to 1 times 255; one channel as grey, three as RGB, of four the last is left out, the transparency. Arrays
have their channels last, (H, W, 3), tensors first, (3, H, W), as torchvision's; (H, W) is grey. What can be meant in
two ways is refused with the conversion: other numbers, floats outside of 0 to 1, arrays with the channels first.
"""

from __future__ import annotations

import io
from collections.abc import Set
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from omgseg.structures.images import read_image, upright

ImageInput = str | Path | np.ndarray | torch.Tensor | Image.Image
"""An image file, an array or a tensor (see the module), or a PIL image."""
CHANNELS = (1, 3, 4)
"""Grey, RGB, and RGB with transparency."""
IMAGE, VIDEO = "an RGB image uint8 (H, W, 3)", "a video uint8 (T, H, W, 3)"


def to_image(image: ImageInput) -> np.ndarray:
    """Any image as uint8 RGB (H, W, 3), rotated as its metadata say.

    Raises:
        FileNotFoundError, OSError, ValueError: see :func:`~omgseg.structures.images.read_image`; or an array or tensor
            has another type or shape than the rule of this module reads.
        TypeError: the image is not an :data:`ImageInput`.
    """
    if isinstance(image, (str, Path)):
        return read_image(image)
    if isinstance(image, Image.Image):
        return upright(image, "the picture")
    if isinstance(image, torch.Tensor):
        image = _channels_last(image)
    if not isinstance(image, np.ndarray):
        raise TypeError(
            "an image is a file, an RGB array uint8 (H, W, 3), a tensor (3, H, W) or a PIL image, "
            f"not {described(image)}"
        )
    with_channels = image[..., None] if image.ndim == 2 else image
    if with_channels.ndim != 3 or with_channels.shape[-1] not in CHANNELS or 0 in image.shape:
        raise ValueError(f"expected {IMAGE}, got {image.dtype} {image.shape}{_conversion(image)}")
    return _three_channels(_levels(with_channels, IMAGE))


def to_video(frames: np.ndarray) -> np.ndarray:
    """An array of frames (T, H, W, 3), also with one or four channels, as uint8 RGB.

    Raises:
        ValueError: it has another type or shape than the rule of this module reads.
    """
    if frames.ndim != 4 or frames.shape[-1] not in CHANNELS or 0 in frames.shape:
        raise ValueError(f"expected {VIDEO}, got {frames.dtype} {frames.shape}")
    return _three_channels(_levels(frames, VIDEO))


def described(value: object) -> str:
    """The type of a value that is not an input, and what to give instead if that is known."""
    kind = type(value).__name__
    if isinstance(value, io.IOBase):
        return f"{kind}, an open file; give its path"
    return f"{kind}, which has no order; give a list" if isinstance(value, Set) else kind


def _channels_last(image: torch.Tensor) -> np.ndarray:
    """A tensor (H, W) or (C, H, W) as an array (H, W) or (H, W, C)."""
    shape = tuple(image.shape)
    if image.ndim == 4:
        raise ValueError(
            f"a tensor {shape} is a batch or a video; give list(tensor), with as_video=True for the frames of a video"
        )
    if image.ndim not in (2, 3) or (image.ndim == 3 and shape[0] not in CHANNELS):
        order = "; permute its axes with .permute(2, 0, 1)" if shape[-1:] in ((1,), (3,), (4,)) else ""
        raise ValueError(f"expected a tensor (3, H, W) of an RGB image, got {image.dtype} {shape}{order}")
    image = image.detach().cpu()
    if image.is_floating_point():
        image = image.float()  # NumPy has no bfloat16
    return (image if image.ndim == 2 else image.permute(1, 2, 0)).numpy()


def _levels(array: np.ndarray, expected: str) -> np.ndarray:
    """The values as uint8."""
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"expected {expected}, got {array.dtype} {array.shape}{_conversion(array)}")
    lowest, highest = float(array.min()), float(array.max())
    if not (lowest >= 0 and highest <= 1):  # also of NaN
        raise ValueError(
            f"expected {expected}; floats are read as 0 to 1, and these reach from {lowest:g} to {highest:g}: if they "
            "mean 0 to 255, convert them with image.round().astype(np.uint8)"
        )
    return (array * 255).round().astype(np.uint8)


def _three_channels(array: np.ndarray) -> np.ndarray:
    count = array.shape[-1]
    if count == 3:
        return array
    return np.repeat(array, 3, axis=-1) if count == 1 else np.ascontiguousarray(array[..., :3])


def _conversion(array: np.ndarray) -> str:
    """The end of the error: the expressions that convert an array to one that can be read."""
    steps = []
    if array.dtype == np.uint16:
        steps.append("(image >> 8).astype(np.uint8)")
    elif array.dtype != np.uint8 and not np.issubdtype(array.dtype, np.floating):
        steps.append("image.astype(np.uint8), if it holds 0 to 255")
    if array.ndim == 3 and array.shape[0] in CHANNELS and array.shape[-1] not in CHANNELS:
        steps.append("image.transpose(1, 2, 0), as the channels come first")
    return f"; convert it with {', then '.join(steps)}" if steps else ""
