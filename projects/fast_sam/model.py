"""FastSAM's first stage: all instances of an image, whatever they are, by a YOLACT with one class."""

from __future__ import annotations

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from omgseg.projects.yolact.model import Yolact
from omgseg.registry import MODELS
from omgseg.structures import Vocabulary


@MODELS.register_module()
class FastSam(Yolact):
    """A class-agnostic YOLACT (arXiv:2306.12156, section 3.2, has a YOLOv8-seg): everything that is annotated is an
    object.

    Its arguments are those of :class:`Yolact`, with `num_classes` 1.
    """

    segmenter = "FastSamSegmenter"

    def set_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Words of datasets do not count."""

    def labels_of(self, objects: InstanceData) -> Tensor:
        """All are of the one class."""
        return torch.zeros_like(objects.labels)
