"""SegFormer, and networks like it: a map of logits for each class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from omgseg.guests.guest import ClassWords, ImageGuest, Loaded
from omgseg.guests.readout import read_semantic
from omgseg.models.precision import predicting
from omgseg.protocols import Abilities, Request
from omgseg.structures import Segments, Task


class ClassMapGuest(ImageGuest):
    """SegFormer (arXiv:2105.15203), read out as by its image processor."""

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded, loaded.image_processor())
        self.words = ClassWords(loaded.network.config.id2label)
        self.abilities = Abilities(
            frozenset({Task.SEMANTIC}), vocabulary=self.words.vocabulary, test_size=self.test_size
        )

    def predict(self, images: Sequence[np.ndarray], request: Request) -> list[Segments]:
        self.words.places(request.words)  # refuses a wrong word before the network runs
        with predicting(self.device, self.dtype):
            logits = self.network(**self.preprocess(images)).logits.float()
        sizes = [image.shape[:2] for image in images]
        return [
            self.words.segments(read_semantic(maps, size), request, size)
            for maps, size in zip(logits, sizes, strict=True)
        ]
