"""MaskCLIP+ behind the seam: a trained network and words make a segmenter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample

from omgseg.guests.readout import segments_of_map
from omgseg.models.checkpoints.loading import build_for_prediction, words_of
from omgseg.models.geometry import input_size_of
from omgseg.models.mask_queries.readout import geometry_of
from omgseg.models.precision import predicting
from omgseg.projects.mask_clip.adapter import most_probable
from omgseg.projects.mask_clip.plus import MaskClipPlus
from omgseg.protocols import Abilities, Request
from omgseg.registry import SEGMENTERS
from omgseg.structures import Segments, Task


@SEGMENTERS.register_module()
class MaskClipPlusSegmenter:
    """A loaded MaskCLIP+: semantic, any words, best those of its training.

    Args:
        config: with ``model``; images are resized as its test data.
        weights: a file or an ``hf://`` location. None: random weights, the same every time, with a warning.
        device: where to compute.
        dtype: of the computation; float32, or a shorter type through autocast.

    Raises:
        FileNotFoundError: the weights, or CLIP's, are missing.
        CheckpointError: the file is not a checkpoint, or one of another model.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        weights: str | None,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        without_teacher = dict(config["model"], clip_guided=None, self_training=None)
        self.model: MaskClipPlus
        self.model, checkpoint = build_for_prediction(without_teacher, weights)
        self.model.to(device)
        self.device, self.dtype = device, dtype
        self._input_size = input_size_of(config)
        self.abilities = Abilities(
            frozenset({Task.SEMANTIC}),
            vocabulary=words_of(checkpoint),
            open_vocabulary=True,
            test_size=self._input_size.scale,
        )

    def group_key(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) to which an image is resized."""
        return self._input_size.shape_of(size)

    def predict(self, images: Sequence[np.ndarray], request: Request) -> list[Segments]:
        """See :meth:`Segmenter.predict`. A segment's score is the mean probability of its word in it.

        Raises:
            ValueError: another task, or there are no words.
        """
        if request.task is not Task.SEMANTIC:
            raise ValueError(f"MaskCLIP+ offers the task 'semantic', not {request.task.value!r}")
        if not request.words:
            raise ValueError(
                "no words: give some, e.g. vocabulary=['dog', 'car'], or a checkpoint that holds them"
            )
        self.model.set_vocabulary(request.words)
        pixels = [torch.from_numpy(self._input_size.resize([image])) for image in images]
        samples = [
            DetDataSample(metainfo=dict(img_shape=tuple(clip.shape[-2:]), ori_shape=image.shape[:2]))
            for clip, image in zip(pixels, images, strict=True)
        ]
        with predicting(self.device, self.dtype):
            batch = self.model.data_preprocessor({"inputs": pixels, "data_samples": samples})
            logits = self.model(**batch, mode="tensor").float()
            return [
                self._segment(maps, sample, request)
                for maps, sample in zip(logits, batch["data_samples"], strict=True)
            ]

    @staticmethod
    def _segment(maps: torch.Tensor, sample: DetDataSample, request: Request) -> Segments:
        geometry = geometry_of(sample)
        best, labels = most_probable(lambda: (some for _, some in geometry.resized_chunks(maps)))
        return segments_of_map(best, labels, request)
