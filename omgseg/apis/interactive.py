"""Clicks and boxes: the image is encoded once, every prompt costs only the decoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from omgseg.apis.inputs import Clip, read_input
from omgseg.apis.packing import pack_clip
from omgseg.datasets.transforms import Resize
from omgseg.models.segmentor import Features, OMGSeg
from omgseg.structures import Task

Coordinates = np.ndarray | Tensor | Sequence


class InteractivePredictor:
    """Masks of prompts on one image at a time, in the manner of Segment Anything's predictor.

    Args:
        model: in eval mode (``OMGSegInferencer(...).model``).
        resize: the test size (``OMGSegInferencer(...).resize``).
    """

    def __init__(self, model: OMGSeg, resize: Resize) -> None:
        self.model = model
        self.resize = resize
        self._sample: DetDataSample | None = None
        self._features: Features | None = None

    def set_image(self, image: str | Path | np.ndarray) -> None:
        """Encode an image; later prompts belong to it.

        Args:
            image: a file, or uint8 RGB (H, W, 3).

        Raises:
            FileNotFoundError, OSError, ValueError: see :func:`omgseg.apis.inputs.read_input`; or it is a video.
        """
        self.set_clip(read_input(image))

    @torch.no_grad()
    def set_clip(self, clip: Clip) -> None:
        """As :meth:`set_image`, of pixels that are already read."""
        if clip.is_video:
            raise ValueError(f"{clip.name} is a video; prompts are for images: give one of its frames")
        packed = pack_clip(clip, (Task.INTERACTIVE.value,), self.resize)
        batch = self.model.data_preprocessor({key: [value] for key, value in packed.items()})
        self._features = self.model.encode(batch["inputs"], batch["data_samples"])
        self._sample = batch["data_samples"][0]

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) of the image."""
        height, width = self._require_sample().ori_shape
        return width, height

    @torch.no_grad()
    def predict(self, points: Coordinates | None = None, boxes: Coordinates | None = None) -> DetDataSample:
        """The mask of every prompt.

        Args:
            points: (N, 2) or one (2,), x and y in pixels of the original image, from the upper left corner
                of the first pixel; or
            boxes: (N, 4) or one (4,), x1, y1, x2, y2.

        Returns:
            A sample on the CPU with ``pred_instances``: ``masks`` bool (N, H, W) of the original image, in
            the order of the prompts, ``scores`` (N,), ``bboxes`` (N, 4). Its ``prompts`` are, as everywhere
            in data samples, in pixels of the resized image.

        Raises:
            RuntimeError: no image is set.
            ValueError: not exactly one of `points` and `boxes`; none of them; a coordinate outside of the
                image; or a box without area.
        """
        sample = self._require_sample().clone()
        if (points is None) == (boxes is None):
            raise ValueError("give either points=[(x, y), ...] or boxes=[(x1, y1, x2, y2), ...]")
        kind, given = ("points", points) if boxes is None else ("boxes", boxes)
        prompts = check_prompts(kind, given, self.image_size)
        width_factor, height_factor = sample.scale_factor
        factors = prompts.new_tensor([width_factor, height_factor] * (prompts.shape[1] // 2))
        device = self._features.clip_feature.device
        sample.prompts = InstanceData(**{kind: (prompts * factors).to(device)})
        self.model.predict_prompts(self._features, [sample])
        return sample.cpu()

    def _require_sample(self) -> DetDataSample:
        if self._sample is None:
            raise RuntimeError("no image: call set_image first")
        return self._sample


def check_prompts(kind: str, prompts: Coordinates, image_size: tuple[int, int]) -> Tensor:
    """Prompts as float32 (N, 2) or (N, 4).

    Args:
        kind: "points" or "boxes".
        image_size: (width, height).

    Raises:
        ValueError: see :meth:`InteractivePredictor.predict`.
    """
    columns = 2 if kind == "points" else 4
    if not len(prompts):
        raise ValueError(f"there are no {kind}; give at least one")
    try:
        values = torch.from_numpy(np.atleast_2d(np.asarray(prompts, dtype=np.float32)))
    except (TypeError, ValueError):
        values = torch.empty(1, 0)
    if values.shape[1:] != (columns,):
        raise ValueError(f"{kind} are N rows of {columns} numbers, got {prompts!r}")
    limit = values.new_tensor(image_size)
    for row in values:
        corners = row.view(-1, 2)
        inside = (corners >= 0) & (corners < limit if kind == "points" else corners <= limit)
        if not inside.all():  # also where a coordinate is not a number
            raise ValueError(
                f"the {'point' if kind == 'points' else 'box'} ({', '.join(f'{value:g}' for value in row.tolist())}) "
                f"lies outside of the image of {image_size[0]}x{image_size[1]} pixels (width x height)"
            )
        if kind == "boxes" and not (corners[1] > corners[0]).all():
            raise ValueError(f"a box is x1, y1, x2, y2 with x1 < x2 and y1 < y2, got {row.tolist()}")
    return values
