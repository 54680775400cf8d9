"""EfficientSAM's ViT as an image classifier, by a linear probe or fine-tuned (arXiv:2312.00863, Table 1), and the share
of images that it is right about."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmengine.model import BaseModel
from torch import Tensor, nn

from omgseg.evaluation.metrics.base import SampleMetric, to_numpy
from omgseg.models.sam.model import PIXEL_MEAN, PIXEL_STD, fit_square
from omgseg.projects.efficient_sam.image_encoder import load_pretrained
from omgseg.registry import METRICS, MODELS
from omgseg.structures import Vocabulary

TOP = (1, 5)
"""How many classes an image may be given in the accuracies."""


@MODELS.register_module()
class VitClassifier(BaseModel):
    """The class of an image: a linear layer on the normed mean of its tokens.

    Args:
        image_encoder: config of :class:`~omgseg.projects.efficient_sam.EfficientSamImageEncoder`; its neck is left out.
        num_classes: of the data, whose classes are in the order of their folders.
        pretrained: see :func:`load_pretrained`. Read when a training starts; None: random weights.
        freeze_image_encoder: train the norm and the linear layer alone: a linear probe.
        data_preprocessor: config of :class:`ClipPreprocessor`.

    Attributes:
        train_vocabulary: the classes of the training; set by the package's ``VocabularyHook``.
    """

    def __init__(
        self,
        image_encoder: dict[str, Any],
        num_classes: int,
        pretrained: str | None = None,
        freeze_image_encoder: bool = False,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(MODELS.build(data_preprocessor or dict(type="ClipPreprocessor")), init_cfg)
        self.image_encoder = MODELS.build(image_encoder)
        self.image_encoder.neck = nn.Identity()
        self.norm = nn.LayerNorm(self.image_encoder.width, eps=1e-6)
        self.head = nn.Linear(self.image_encoder.width, num_classes)
        self.pretrained = pretrained
        self.freeze_image_encoder = freeze_image_encoder
        self.image_encoder.requires_grad_(not freeze_image_encoder)
        self.train_vocabulary: Vocabulary | None = None
        self.register_buffer("pixel_mean", torch.tensor(PIXEL_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(PIXEL_STD).view(3, 1, 1), persistent=False)

    def init_weights(self) -> None:
        """The runner calls it before a training.

        Raises:
            FileNotFoundError, CheckpointError: see :func:`load_pretrained`.
        """
        super().init_weights()
        if self.pretrained is not None:
            load_pretrained(self.image_encoder, self.pretrained)

    def train(self, mode: bool = True) -> VitClassifier:
        """A frozen image encoder stays in eval mode."""
        super().train(mode)
        if self.freeze_image_encoder:
            self.image_encoder.eval()
        return self

    def set_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Check the classes of a dataset.

        Raises:
            ValueError: there are more or fewer, or others than in the training.
        """
        classes = self.head.out_features
        if len(vocabulary) != classes:
            raise ValueError(
                f"the dataset has {len(vocabulary)} classes, the model has num_classes={classes}: give it as many, or "
                "another dataset"
            )
        trained = self.train_vocabulary.names if self.train_vocabulary else vocabulary.names
        for number, (name, known) in enumerate(zip(vocabulary.names, trained, strict=True)):
            if name != known:
                raise ValueError(
                    f"class {number} of the dataset is {name!r}, that of the training was {known!r}: its folders need "
                    "the names that those of the training had"
                )

    def forward(self, inputs: Tensor, data_samples: list[DetDataSample], mode: str = "tensor"):
        """mmengine's entry.

        Args:
            inputs: uint8 (B, 1, 3, h, w), not larger than the encoder's ``image_size``.
            data_samples: B images; for ``loss`` with the one label of each in ``gt_instances``.
            mode: ``loss``; ``predict``: sets ``class_scores`` (C,), probabilities; ``tensor``: logits (B, C).

        Raises:
            ValueError: an image is too large, or has not one label.
        """
        sizes = [tuple(sample.img_shape[:2]) for sample in data_samples]
        side = self.image_encoder.image_size
        images = fit_square(inputs[:, 0], sizes, side, self.pixel_mean, self.pixel_std)
        logits = self.head(self.norm(self.image_encoder.features(images).mean((2, 3))))
        if mode == "tensor":
            return logits
        if mode == "loss":
            labels = [_label_of(sample.gt_instances.labels, sample.img_path) for sample in data_samples]
            return {"loss_class": F.cross_entropy(logits.float(), torch.tensor(labels, device=logits.device))}
        if mode != "predict":
            raise ValueError(f"mode is 'loss', 'predict' or 'tensor', not {mode!r}")
        for sample, scores in zip(data_samples, logits.float().softmax(-1), strict=True):
            sample.set_field(scores, "class_scores", dtype=Tensor)
        return data_samples


@METRICS.register_module()
class AccuracyMetric(SampleMetric):
    """The share of images whose class is the likeliest one (``top1``), or among the five likeliest (``top5``); reads
    ``class_scores`` and the one label in ``gt_instances``.

    Equal scores count as a wrong answer: a model that says nothing is not right by chance.
    """

    default_prefix = "accuracy"

    def reduce(self, sample: dict[str, Any]) -> int:
        """How many other classes are as likely as the true one, or more."""
        scores = to_numpy(self.field(sample, "class_scores"))
        label = _label_of(to_numpy(self.field(sample, "gt_instances")["labels"]), sample.get("img_path"))
        return int((scores >= scores[label]).sum()) - 1

    def summarize(self, results: dict[Any, int]) -> dict[str, float]:
        ranks = np.array(list(results.values()))
        return {f"top{count}": 100 * float((ranks < count).mean()) for count in TOP}


def _label_of(labels: Any, where: Any) -> int:
    """The one label of an image.

    Raises:
        ValueError: it has none, or several.
    """
    if len(labels) != 1:
        raise ValueError(
            f"{where} has {len(labels)} labels: a classifier takes images of one class each, as ImageFolderDataset "
            "reads them, with LoadSegments in the pipeline"
        )
    return int(labels[0])
