"""YOLACT behind the seam: images in, instances out."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from omgseg.models.checkpoints.loading import CheckpointError, build_for_prediction, words_of
from omgseg.models.geometry import InputSize
from omgseg.models.precision import predicting
from omgseg.projects.yolact.detection import Detections
from omgseg.projects.yolact.model import Yolact
from omgseg.protocols import Abilities, Request
from omgseg.registry import SEGMENTERS
from omgseg.structures import NO_CLASS, Segments, Task, Vocabulary
from omgseg.structures.run_lengths import encode_masks, mask_areas


@SEGMENTERS.register_module()
class YolactSegmenter:
    """A loaded YOLACT: instances of fixed classes. Videos are segmented frame by frame.

    Args:
        config: with ``model``.
        weights: a file or an ``hf://`` location, ours or as published. None: random weights, the same every time, with
            a warning.
        device: where to compute.
        dtype: of the computation; float32, or a shorter type through autocast.

    Raises:
        FileNotFoundError: the weights are missing.
        CheckpointError: the file is not a checkpoint, one of another model, or one of other classes.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        weights: str | None,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.model: Yolact
        self.model, checkpoint = build_for_prediction(config["model"], weights)
        self.model.to(device)
        self.device, self.dtype = device, dtype
        trained = words_of(checkpoint)
        words = self.model.words if trained is None else trained.things()
        if words is None:  # of neither the config nor a checkpoint: they have numbers
            words = Vocabulary.from_names(f"class {number + 1}" for number in range(self.model.num_classes))
        if len(words) != self.model.num_classes:
            raise CheckpointError(
                f"{weights} was trained with {len(words)} things, the config has num_classes={self.model.num_classes}"
            )
        self.words = words
        self._input_size = InputSize((self.model.image_size,) * 2, keep_ratio=False)
        self.abilities = Abilities(
            tasks=frozenset({Task.INSTANCE}), vocabulary=words, test_size=self._input_size.scale
        )

    def group_key(self, size: tuple[int, int]) -> Hashable:
        """All images may share a batch: they are resized to one size."""
        return None

    def predict(self, images: Sequence[np.ndarray], request: Request) -> list[Segments]:
        """See :meth:`Segmenter.predict`.

        Raises:
            ValueError: another task, or a word of the request is not among :attr:`words`.
        """
        if request.task is not Task.INSTANCE:
            raise ValueError(f"YOLACT segments instances, not {request.task.value!r}")
        wanted = self.words if request.words is None else request.words
        labels = self._labels_in(wanted)
        pixels = torch.from_numpy(np.stack([self._input_size.resize([image]) for image in images]))
        with predicting(self.device, self.dtype):
            sizes = [tuple(self._input_size.scale)] * len(images)
            found = self.model.detect(self.model.normalize(pixels.to(self.device), sizes))
            return [
                self._segments(objects, image.shape[:2], labels, wanted, request.min_score)
                for objects, image in zip(found, images, strict=True)
            ]

    def _labels_in(self, wanted: Vocabulary) -> torch.Tensor:
        """The label in `wanted` of each class, int64 (C,); ``NO_CLASS`` for classes that are not asked for."""
        places = {category.name: label for label, category in enumerate(wanted)}
        own = {category.name for category in self.words}
        if unknown := [name for name in places if name not in own]:
            raise ValueError(f"the model was not trained to find {', '.join(sorted(unknown))}")
        return torch.tensor(
            [places.get(category.name, NO_CLASS) for category in self.words], device=self.device
        )

    @staticmethod
    def _segments(
        found: Detections,
        size: tuple[int, int],
        labels: torch.Tensor,
        words: Vocabulary,
        min_score: float,
    ) -> Segments:
        asked = labels[found.labels] != NO_CLASS
        found = found.select((asked & (found.mask_scores >= min_score)).nonzero().squeeze(1))
        rles = [rle for masks in found.masks(size) for rle in encode_masks(masks.cpu().numpy())]
        shown = np.flatnonzero(mask_areas(rles))
        return Segments(
            Task.INSTANCE,
            size,
            [rles[row] for row in shown],
            labels[found.labels].cpu().numpy()[shown],
            found.mask_scores.cpu().numpy()[shown],
            vocabulary=words,
        )
