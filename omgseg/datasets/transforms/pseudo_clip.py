"""A clip made of one image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from omgseg.datasets.transforms.load_segments import align_rows
from omgseg.registry import TRANSFORMS

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
        labels = dict(zip(results["gt_instance_ids"].tolist(), results["gt_labels"], strict=True))
        frame = results["frames"][0]
        results.update(
            imgs=[_pad_image(view["imgs"][0], shape) for view in views],
            gt_masks=masks,
            gt_instance_ids=ids,
            gt_labels=np.array([labels[index] for index in ids.tolist()], np.int64),
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
