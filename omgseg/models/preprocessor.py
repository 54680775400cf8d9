"""Batches clips: pads to one size and normalises as the image encoder wants it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from omgseg.models.losses.targets import frames_of
from omgseg.registry import MODELS


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


def normalize(images: Tensor, image_shapes: list[tuple[int, int]], mean: Tensor, std: Tensor) -> Tensor:
    """uint8 (B, T, 3, H, W) -> float (B * T, 3, H, W), zero in the padding.

    Args:
        image_shapes: (height, width) of the image in each of the B padded clips.
        mean, std: (3,) of pixel values in 0..1.
    """
    mean, std = (
        torch.as_tensor(x, dtype=torch.float32, device=images.device).view(3, 1, 1) for x in (mean, std)
    )
    normalized = (images.float() / 255 - mean) / std
    for clip, (height, width) in zip(normalized, image_shapes, strict=True):
        clip[..., height:, :] = 0
        clip[..., width:] = 0
    return normalized.flatten(0, 1)
