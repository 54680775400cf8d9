"""Sizes on the way from an image to a model and back: resizing as the test pipeline does, batching, and masks at the
original size.

A model behind the seam gets images as they are, and resizes them as its test pipeline does. The numbers equal those of
the transforms ``Resize`` and ``PackClip``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from omgseg.registry import MODELS
from omgseg.structures.images import check_frame_size, scaled_shape

DEFAULT_SCALE = (1333, 800)
"""The usual test size for photos, where a config has no test data to say another."""


@dataclass(frozen=True)
class InputSize:
    """To what size images are resized.

    Attributes:
        scale: (width, height), see :func:`~omgseg.structures.images.scaled_shape`.
        keep_ratio: keep the aspect ratio.
    """

    scale: tuple[int, int]
    keep_ratio: bool = True

    def shape_of(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) to which an image (height, width) is resized, at least 1."""
        return scaled_shape(size, self.scale, self.keep_ratio)

    def resize(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Resize (bilinear) frames of one size, RGB uint8 (H, W, 3) each, to uint8 (T, 3, h, w).

        Raises:
            ValueError: a frame has another size than the first one.
        """
        size = frames[0].shape[:2]
        shape = self.shape_of(size)
        pixels = np.empty((len(frames), 3, *shape), np.uint8)
        for number, frame in enumerate(frames):
            check_frame_size(number, frame, size)
            resized = cv2.resize(frame, shape[::-1], interpolation=cv2.INTER_LINEAR)
            pixels[number] = resized.transpose(2, 0, 1)
        return pixels


def input_size_of(config: Mapping[str, Any]) -> InputSize:
    """The size of the first test (else validation) dataset of a config whose pipeline resizes."""
    for loader in ("test_dataloader", "val_dataloader"):
        for dataset in _datasets((config.get(loader) or {}).get("dataset")):
            for step in dataset["pipeline"]:
                if str(step.get("type")).rpartition(".")[2] != "Resize":
                    continue
                scale = step.get("scale") or dataset.get("image_size")
                if scale is not None:
                    return InputSize(tuple(scale), step.get("keep_ratio", True))
    return InputSize(DEFAULT_SCALE)


def _datasets(node: Any) -> Iterator[Mapping[str, Any]]:
    """The configs of datasets with a pipeline, inside wrappers too."""
    if isinstance(node, Mapping):
        if node.get("pipeline"):
            yield node
        else:
            for value in node.values():
                yield from _datasets(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _datasets(value)


def frames_of(sample: DetDataSample | TrackDataSample) -> list[DetDataSample]:
    """The frames of a sample: an image is a clip of one frame."""
    return list(sample.video_data_samples) if isinstance(sample, TrackDataSample) else [sample]


def masks_of(sample: DetDataSample) -> Tensor:
    """The true masks (N, H, W) of an image.

    Raises:
        ValueError: its source has boxes only.
    """
    if "masks" not in sample.gt_instances:
        raise ValueError(
            f"{sample.img_path}: its source {sample.get('source')!r} has boxes without masks, from which this model "
            "does not learn; leave the source out of the training"
        )
    return sample.gt_instances.masks


@MODELS.register_module()
class ClipPreprocessor(BaseDataPreprocessor):
    """Stacks uint8 clips (T, 3, h, w) into (B, T, 3, H, W), padded at the right and the bottom.

    The pixels stay uint8, a quarter of the memory, until :func:`normalize` sees the clip that is being encoded.

    Args:
        size_divisor: H and W are multiples of it; the coarsest stride must divide it.
    """

    def __init__(self, size_divisor: int = 32, non_blocking: bool = True) -> None:
        super().__init__(non_blocking=non_blocking)
        self.size_divisor = size_divisor

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Move to the model's device, pad and stack; adds ``batch_input_shape`` to every frame's metainfo.

        Raises:
            ValueError: clips of one batch have different numbers of frames.
        """
        data = self.cast_data(data)
        clips, samples = data["inputs"], data["data_samples"]
        lengths = {len(clip) for clip in clips}
        if len(lengths) > 1:
            raise ValueError(f"clips of one batch must have one length, got {sorted(lengths)} frames")
        height, width = (self._padded(max(clip.shape[axis] for clip in clips)) for axis in (-2, -1))
        batch = torch.stack(
            [F.pad(clip, (0, width - clip.shape[-1], 0, height - clip.shape[-2])) for clip in clips]
        )
        for sample in samples:
            for frame in frames_of(sample):
                frame.set_metainfo({"batch_input_shape": (height, width)})
        return {"inputs": batch, "data_samples": samples}

    def _padded(self, size: int) -> int:
        return -(-size // self.size_divisor) * self.size_divisor


def normalize(
    images: Tensor, image_shapes: list[tuple[int, int]], mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """uint8 (B, T, 3, H, W) -> float (B * T, 3, H, W), zero in the padding.

    Args:
        image_shapes: (height, width) of the image in each of the B padded clips.
        mean, std: (3,) of pixel values in 0..1.
    """
    mean, std = (  # written by the device: the host would wait for a copy
        torch.cat([torch.full((1, 1, 1), number, device=images.device) for number in numbers])
        for numbers in (mean, std)
    )
    normalized = (images.float() / 255 - mean) / std
    for clip, (height, width) in zip(normalized, image_shapes, strict=True):
        clip[..., height:, :].zero_()
        clip[..., width:].zero_()
    return normalized.flatten(0, 1)


CHUNK = 8
"""Masks that exist at full resolution at a time: small enough for caches, large enough to keep kernels busy."""
PIXELS_AT_ONCE = 2**25
"""Fewer than :data:`CHUNK`, but at least one, where images are so large that these would have more pixels."""


@dataclass(frozen=True)
class MaskGeometry:
    """Sizes (height, width) on the way from the input to the result.

    Attributes:
        padded: the batch that the model saw.
        image: the part of it that is image.
        original: the image as it lies on disk, where results live.
    """

    padded: tuple[int, int]
    image: tuple[int, int]
    original: tuple[int, int]

    def resize(self, logits: Tensor) -> Tensor:
        """Masks (K, h, w) -> (K, H, W) at the original size, bilinear."""
        resized = interpolate(logits, self.padded)[:, : self.image[0], : self.image[1]]
        return interpolate(resized, self.original)

    def resized_chunks(self, logits: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Full-size masks a few at a time: pairs of rows of `logits` and (k, H, W)."""
        chunk = min(CHUNK, max(PIXELS_AT_ONCE // (self.original[0] * self.original[1]), 1))
        for start in range(0, len(logits), chunk):
            rows = slice(start, min(start + chunk, len(logits)))
            yield rows, self.resize(logits[rows])


def interpolate(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps (K, h, w) -> (K, *size), bilinear."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    if not len(maps):
        return maps.new_empty(0, *size)
    return F.interpolate(maps.unsqueeze(0), size, mode="bilinear", align_corners=False).squeeze(0)


def mask_boxes(masks: Tensor) -> Tensor:
    """int64 (N, 4): first and last column and row of bool masks (N, H, W); zeros for an empty one."""
    boxes = []
    for inside in (masks.any(1), masks.any(2)):  # columns, rows
        inside = inside.byte()
        boxes.append((inside.argmax(1), inside.shape[1] - 1 - inside.flip(1).argmax(1)))
    (x1, x2), (y1, y2) = boxes
    return torch.stack([x1, y1, x2, y2], dim=1) * masks.flatten(1).any(1).unsqueeze(1)
