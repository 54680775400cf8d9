"""The size of a model's input: what the test pipeline of a config says, without building a dataset.

A model behind the seam gets images as they are, and resizes them as its test pipeline does. The numbers equal those of
the transforms ``Resize`` and ``PackClip``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from mmcv.image import rescale_size

DEFAULT_SCALE = (1333, 800)
"""The usual test size for photos, where a config has no test data to say another."""


@dataclass(frozen=True)
class InputSize:
    """To what size images are resized.

    Attributes:
        scale: (width, height). With `keep_ratio` the longer number bounds an image's longer side, the shorter its
            shorter side, whichever way the image is turned.
        keep_ratio: keep the aspect ratio.
    """

    scale: tuple[int, int]
    keep_ratio: bool = True

    def shape_of(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) to which an image (height, width) is resized, at least 1."""
        width, height = self.scale
        if self.keep_ratio:
            width, height = rescale_size(size[::-1], self.scale)
        return max(int(height), 1), max(int(width), 1)

    def resize(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Resize (bilinear) frames of one size, RGB uint8 (H, W, 3) each, to uint8 (T, 3, h, w).

        Raises:
            ValueError: a frame has another size than the first one.
        """
        size = frames[0].shape[:2]
        shape = self.shape_of(size)
        pixels = np.empty((len(frames), 3, *shape), np.uint8)
        for number, frame in enumerate(frames):
            if frame.shape[:2] != size:
                raise ValueError(
                    f"frame {number} has the size {frame.shape[:2]}, the first one {size} (height, width)"
                )
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
