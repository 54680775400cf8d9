"""One model that labels images: what a process, or a worker on another machine, holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omgseg.apis import OMGSegInferencer, SegmentationResult
from omgseg.structures import Vocabulary

Record = dict[str, Any]
"""What :meth:`Journal.add` takes."""


@dataclass(frozen=True)
class Settings:
    """What labels depend on, besides the images; can be sent to other machines.

    Attributes:
        config, weights, device, dtype: see :class:`OMGSegInferencer`.
        task: ``instance``, ``panoptic`` (things that do not overlap) or ``semantic``.
        vocabulary: None: the words of the training.
        min_score: less certain objects are left out.
    """

    config: str
    weights: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    task: str = "instance"
    vocabulary: Vocabulary | None = None
    min_score: float = 0.5


class Labeller:
    """Builds the model; then each call labels images.

    Attributes:
        vocabulary: the words that are looked for.

    Raises:
        OSError, ValueError: see :class:`OMGSegInferencer`; or there are no words.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.seg = OMGSegInferencer(
            settings.config, settings.weights, device=settings.device, dtype=settings.dtype
        )
        words = settings.vocabulary or self.seg.vocabulary
        if words is None:
            raise ValueError("the weights hold no words of a training; give some with --vocabulary")
        self.vocabulary = words

    def __call__(self, images: Iterable[tuple[str, Path]]) -> Iterator[Record]:
        """Label images, given by name and path: a record for each of them, also for one that cannot be read."""
        for name, path in images:
            try:
                result = self.seg(
                    path,
                    task=self.settings.task,
                    vocabulary=self.vocabulary,
                    min_score=self.settings.min_score,
                )
            except (OSError, ValueError) as error:
                yield {"file": name, "error": str(error)}
            else:
                yield _record(name, result)


def _record(name: str, result: SegmentationResult) -> Record:
    annotations = result.to_coco()["annotations"]
    for annotation in annotations:  # which ids they get is known when all images are labelled
        for field in ("id", "image_id", "instance_id"):
            del annotation[field]
    height, width = result.size
    return {"file": name, "height": height, "width": width, "annotations": annotations}
