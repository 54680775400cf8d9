"""Resizing, cropping and flipping a clip, all its frames alike; making a clip of the views of one image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from omgseg.datasets.transforms.loading import MASK_KEYS, align_rows, select_objects
from omgseg.registry import TRANSFORMS
from omgseg.structures.images import scaled_shape


def resize_masks(
    masks: np.ndarray, shape: tuple[int, int], window: tuple[slice, slice] | None = None
) -> np.ndarray:
    """Nearest-neighbour resize of masks, of which only a window is computed.

    Args:
        masks: uint8 (N, T, H, W).
        shape: (H', W') of the whole resized masks.
        window: rows and columns of the resized masks to return. Default: all.

    Returns:
        uint8 (N, T, h, w).
    """
    rows, columns = (
        np.minimum(((np.arange(new_size)[part] + 0.5) * size / new_size).astype(np.int64), size - 1)
        for size, new_size, part in zip(
            masks.shape[2:], shape, window or (slice(None), slice(None)), strict=True
        )
    )
    # Copying rows is cheap, gathering columns is not: gather from as few rows as possible.
    if len(rows) < rows[-1] - rows[0] + 1:
        return masks[:, :, rows].take(columns, axis=3)
    needed = masks[:, :, rows[0] : rows[-1] + 1]
    return needed.take(columns, axis=3)[:, :, rows - rows[0]]


def drop_empty(results: dict[str, Any]) -> None:
    """Remove the objects that are visible in no frame of the clip."""
    masks = results["gt_masks"]
    keep = masks.reshape(len(masks), math.prod(masks.shape[1:])).any(1)
    if not keep.all():
        select_objects(results, keep)


def _masks_in(results: dict[str, Any]) -> list[str]:
    return [key for key in MASK_KEYS if key in results]


def _set_shape(results: dict[str, Any], resized: tuple[int, int]) -> None:
    """Note the resize from the present ``img_shape`` to `resized` (H, W)."""
    old, factor = results["img_shape"], results["scale_factor"]
    results["scale_factor"] = (factor[0] * resized[1] / old[1], factor[1] * resized[0] / old[0])
    results["img_shape"] = results["imgs"][0].shape[:2]


def _size_of(
    transform: BaseTransform, size: tuple[int, int] | None, results: dict[str, Any]
) -> tuple[int, int]:
    size = size or results.get("image_size")
    if size is None:
        raise ValueError(
            f"{type(transform).__name__} needs a size: an argument of the transform, or the dataset's image_size=(w, h)"
        )
    return tuple(size)


@TRANSFORMS.register_module()
class Resize(BaseTransform):
    """Resize a clip (bilinear).

    Args:
        scale: (width, height), see :func:`scaled_shape`. Default: the dataset's ``image_size``.
        keep_ratio: keep the aspect ratio.
        masks: also resize the masks (nearest); False keeps them at ``ori_shape``, where results are compared.
    """

    def __init__(
        self, scale: tuple[int, int] | None = None, keep_ratio: bool = True, masks: bool = False
    ) -> None:
        self.scale = scale
        self.keep_ratio = keep_ratio
        self.masks = masks

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        shape = scaled_shape(results["img_shape"], _size_of(self, self.scale, results), self.keep_ratio)
        results["imgs"] = [
            cv2.resize(img, shape[::-1], interpolation=cv2.INTER_LINEAR) for img in results["imgs"]
        ]
        for key in _masks_in(results) if self.masks else ():
            results[key] = resize_masks(results[key], shape)
        _set_shape(results, shape)
        return results


@TRANSFORMS.register_module()
class LargeScaleJitter(BaseTransform):
    """Resize by a random factor and crop a random window: LSJ of Ghiasi et al., "Simple Copy-Paste".

    The clip is resized to fit `image_size` times the factor; what exceeds `image_size` is cropped. A result
    smaller than `image_size` is not padded here: batching pads. Objects outside the crop in all frames are
    dropped.

    Args:
        image_size: (width, height) of the largest result. Default: the dataset's ``image_size``.
        ratio_range: bounds of the factor.
    """

    def __init__(
        self, image_size: tuple[int, int] | None = None, ratio_range: tuple[float, float] = (0.1, 2.0)
    ) -> None:
        if not 0 < ratio_range[0] <= ratio_range[1]:
            raise ValueError(f"LargeScaleJitter: ratio_range {ratio_range} must be positive and rising")
        self.image_size = image_size
        self.ratio_range = ratio_range

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        size = _size_of(self, self.image_size, results)
        factor = np.random.uniform(*self.ratio_range)
        shape = scaled_shape(results["img_shape"], (size[0] * factor, size[1] * factor))
        window = tuple(_random_window(full, part) for full, part in zip(shape, size[::-1], strict=True))
        results["imgs"] = [
            np.ascontiguousarray(cv2.resize(img, shape[::-1], interpolation=cv2.INTER_LINEAR)[window])
            for img in results["imgs"]
        ]
        for key in _masks_in(results):
            results[key] = resize_masks(results[key], shape, window)
        if "gt_masks" in results:
            drop_empty(results)
        _set_shape(results, shape)
        return results


def _random_window(full: int, part: int) -> slice:
    start = np.random.randint(max(full - part, 0) + 1)
    return slice(start, min(start + part, full))


@TRANSFORMS.register_module()
class RandomFlip(BaseTransform):
    """Mirror the whole clip left to right, with probability `prob`."""

    def __init__(self, prob: float = 0.5) -> None:
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        if np.random.random() < self.prob:
            results["imgs"] = [np.ascontiguousarray(img[:, ::-1]) for img in results["imgs"]]
            results["flip"] = not results["flip"]
            for key in _masks_in(results):
                results[key] = results[key][..., ::-1]
        return results


PAD_COLOR = (123, 117, 104)
"""CLIP's mean colour, RGB: zero after normalising, as is the padding of a batch."""


@TRANSFORMS.register_module()
class PseudoClip(BaseTransform):
    """Augment one image several times, independently, and call the views a clip. Objects keep their ids.

    Views of different sizes are padded at the right and at the bottom to the largest.

    Args:
        num_frames: views of a clip.
        transforms: the pipeline that makes one view.
    """

    def __init__(self, num_frames: int, transforms: Sequence[dict[str, Any]]) -> None:
        self.num_frames = num_frames
        self.transforms = [TRANSFORMS.build(step) for step in transforms]

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        views = [self._view(results) for _ in range(self.num_frames)]
        shape = tuple(np.max([view["img_shape"] for view in views], axis=0).tolist())
        masks, ids = align_rows(
            [(_pad_masks(view["gt_masks"][:, 0], shape), view["gt_instance_ids"]) for view in views]
        )
        if "gt_ignored" in results:
            ignored = [_pad_masks(view["gt_ignored"][:, 0], shape) for view in views]
            results["gt_ignored"] = np.stack(ignored, axis=1)
        order = {index: row for row, index in enumerate(results["gt_instance_ids"].tolist())}
        rows = np.array([order[index] for index in ids.tolist()], np.int64)
        results.update({key: results[key][rows] for key in ("gt_labels", "gt_scores") if key in results})
        frame = results["frames"][0]
        results.update(
            imgs=[_pad_image(view["imgs"][0], shape) for view in views],
            gt_masks=masks,
            gt_instance_ids=ids,
            frames=[{**frame, "frame_id": t} for t in range(self.num_frames)],
            img_shape=shape,
            is_video=True,
            video_id=frame["img_id"],
            video_length=self.num_frames,
        )
        return results

    def _view(self, results: dict[str, Any]) -> dict[str, Any]:
        view = dict(results)
        for step in self.transforms:
            view = step(view)
        return view


def _pad_masks(masks: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.pad(masks, ((0, 0), (0, shape[0] - masks.shape[1]), (0, shape[1] - masks.shape[2])))


def _pad_image(img: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    padded = np.empty((*shape, 3), np.uint8)
    padded[:] = PAD_COLOR
    padded[: img.shape[0], : img.shape[1]] = img
    return padded
