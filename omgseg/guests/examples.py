"""SegGPT: what an example shows, in other images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from omgseg.guests.guest import ImageGuest, Loaded
from omgseg.guests.readout import found_labels, highest
from omgseg.models.precision import predicting
from omgseg.protocols import Abilities, Request
from omgseg.structures import Segments, Task


class SegGPTGuest(ImageGuest):
    """SegGPT (arXiv:2304.03284): paints an image as an example is painted, with a color for each class.

    The colors and the read-out are those of ``post_process_semantic_segmentation``: a pixel belongs to the class of
    the nearest color, or to none, which is black.
    """

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded, loaded.image_processor())
        self.abilities = Abilities(frozenset({Task.SEMANTIC}), test_size=self.test_size, needs_example=True)

    def predict(self, images: Sequence[np.ndarray], request: Request) -> list[Segments]:
        if request.example is None or not request.words:
            raise ValueError("SegGPT segments what an example shows; give one, with a word for each class")
        inputs = self.preprocess(
            images,
            prompt_images=[request.example.image],
            prompt_masks=[request.example.labels + 1],
            num_labels=len(request.words),
            do_convert_rgb=True,
        )
        for name in ("prompt_pixel_values", "prompt_masks"):
            inputs[name] = inputs[name].expand(len(images), -1, -1, -1)
        with predicting(self.device, self.dtype):
            output = self.network(**inputs)
        return [
            self._segments(painting.float(), image.shape[:2], request)
            for painting, image in zip(output.pred_masks, images, strict=True)
        ]

    def _segments(self, painting: Tensor, size: tuple[int, int], request: Request) -> Segments:
        """The segments in a painting (3, 2 h, w), whose upper half is the example."""
        mean, deviation = (
            painting.new_tensor(values).view(3, 1, 1)
            for values in (self.processor.image_mean, self.processor.image_std)
        )
        pixels = ((painting[:, painting.shape[1] // 2 :] * deviation + mean) * 255).clip(0, 255)
        palette = painting.new_tensor(self.processor.get_palette(len(request.words)))
        _, nearest = highest(
            (pixels - color.view(3, 1, 1)).square().sum(0, keepdim=True).neg() for color in palette
        )
        labels = F.interpolate(nearest[None, None].float(), size, mode="nearest")[0, 0].long() - 1
        found = found_labels(labels.cpu().numpy())
        return Segments(request.task, size, found.rles, found.classes, found.scores, vocabulary=request.words)
