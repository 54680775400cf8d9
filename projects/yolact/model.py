"""YOLACT: the network with its training and its read-out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from torch import Tensor

from omgseg.datasets.vocabularies import load_vocabulary
from omgseg.models.checkpoints.published import published_to_ours_inplace
from omgseg.models.geometry import normalize
from omgseg.projects.yolact.detection import (
    DetectionConfig,
    Detections,
    decode_boxes,
    find_objects,
)
from omgseg.projects.yolact.losses import LossConfig, Truth, yolact_losses
from omgseg.projects.yolact.network import Outputs, YolactNetwork
from omgseg.registry import MODELS
from omgseg.structures import Vocabulary

MEAN = torch.tensor([123.68, 116.78, 103.94]) / 255
STD = torch.tensor([58.40, 57.12, 57.38]) / 255
SCALES = ((24,), (48,), (96,), (192,), (384,))
"""Published, for images of 550 pixels."""


@MODELS.register_module()
class Yolact(BaseModel):
    """YOLACT (arXiv:1904.02689) and, with deformable convolutions and re-scoring, YOLACT++ (arXiv:1912.06218).

    Args:
        backbone: config of mmdet's ResNet.
        num_classes: the things that it finds.
        image_size: side of the square that images are resized to, without their aspect ratio.
        scales: of the anchors of each of five levels, in pixels of that square.
        square_anchors: as the published COCO models of YOLACT, see :func:`make_anchors`.
        deform_interval: see :func:`deform`; 0: no deformable convolutions.
        rescoring: whether masks are re-scored.
        channels: of the pyramid.
        prototypes: how many.
        vocabulary: the words of the classes: the things of a shipped vocabulary or of a JSON file. None: those that a
            checkpoint of a training holds.
        train_cfg: see :class:`LossConfig`.
        test_cfg: see :class:`DetectionConfig`.
        data_preprocessor: config of :class:`ClipPreprocessor`.

    Attributes:
        words: of the classes; None where `vocabulary` is.
        train_vocabulary: that of the training data; set by the package's ``VocabularyHook``.
    """

    segmenter = "YolactSegmenter"

    published_prefixes = (
        *((f"backbone.layers.{stage}.", f"network.backbone.layer{stage + 1}.") for stage in range(4)),
        *(
            (f"{part}.", f"network.{part}.")
            for part in (
                "backbone",
                "fpn",
                "proto_net",
                "prediction_layers",
                "semantic_seg_conv",
                "maskiou_net",
            )
        ),
    )
    """See :func:`omgseg.models.checkpoints.published.to_names_of`."""

    def __init__(
        self,
        backbone: dict[str, Any],
        num_classes: int,
        image_size: int = 550,
        scales: Sequence[Sequence[float]] = SCALES,
        square_anchors: bool = True,
        deform_interval: int = 0,
        rescoring: bool = False,
        channels: int = 256,
        prototypes: int = 32,
        vocabulary: str | None = None,
        train_cfg: dict[str, Any] | None = None,
        test_cfg: dict[str, Any] | None = None,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(MODELS.build(data_preprocessor or dict(type="ClipPreprocessor")), init_cfg)
        self.network = YolactNetwork(
            backbone,
            num_classes,
            image_size,
            scales,
            square_anchors,
            deform_interval,
            rescoring,
            channels,
            prototypes,
        )
        self.num_classes, self.image_size = num_classes, image_size
        self.words: Vocabulary | None = None if vocabulary is None else load_vocabulary(vocabulary).things()
        self.train_vocabulary: Vocabulary | None = None
        self.train_config = LossConfig(**(train_cfg or {}))
        self.test_config = DetectionConfig(**(test_cfg or {}))
        self.register_load_state_dict_pre_hook(published_to_ours_inplace)

    def set_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Check the words of a dataset: its things are the classes. Its stuff is not learned.

        Raises:
            ValueError: it has another number of things.
        """
        if vocabulary.num_things != self.num_classes:
            raise ValueError(
                f"the dataset has {vocabulary.num_things} things, the model has num_classes={self.num_classes}: give "
                "it as many classes, or another dataset"
            )

    def forward(self, inputs: Tensor, data_samples: list[DetDataSample], mode: str = "tensor"):
        """mmengine's entry.

        Args:
            inputs: uint8 (B, 1, 3, h, w), not larger than :attr:`image_size`.
            data_samples: B images.
            mode: ``loss``; ``predict``: sets ``pred_instances``; ``tensor``: the network's outputs.
        """
        sizes = [tuple(sample.img_shape[:2]) for sample in data_samples]
        images = self.normalize(inputs, sizes)
        if mode == "tensor":
            return self.network(images, with_semantic=True)
        if mode == "loss":
            return self.loss(images, data_samples)
        if mode == "predict":
            return self.predict(images, data_samples)
        raise ValueError(f"mode is 'loss', 'predict' or 'tensor', not {mode!r}")

    def normalize(self, inputs: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
        """uint8 (B, 1, 3, h, w) to float (B, 3, S, S), zero beyond each image's (height, width).

        Raises:
            ValueError: an image is larger than :attr:`image_size`.
        """
        side = self.image_size
        if max(max(size) for size in sizes) > side:
            raise ValueError(
                f"images are larger than image_size={side}: resize with "
                f"dict(type='Resize', scale=({side}, {side}), keep_ratio=False)"
            )
        images = normalize(inputs[..., :side, :side], sizes, MEAN, STD)
        return F.pad(images, (0, side - images.shape[-1], 0, side - images.shape[-2]))

    def loss(self, images: Tensor, data_samples: list[DetDataSample]) -> dict[str, Tensor]:
        """See :func:`yolact_losses`; images without objects are allowed."""
        outputs = self.network(images, with_semantic=True)
        truths = [self.truth_of(sample) for sample in data_samples]
        with torch.autocast(images.device.type, enabled=False):
            outputs = Outputs(*(part.float() for part in outputs))
            return yolact_losses(outputs, truths, self.train_config, self.network.maskiou_net)

    def truth_of(self, sample: DetDataSample) -> Truth:
        """The things of an image; crowds are the boxes of ``ignored_instances``."""
        side = self.image_size
        given = sample.gt_instances
        boxes, labels = given.bboxes.float(), self.labels_of(given)
        rows = (labels < self.num_classes) & (boxes[:, 2:] > boxes[:, :2]).all(1)
        masks = given.masks[rows]
        masks = F.pad(masks, (0, side - masks.shape[-1], 0, side - masks.shape[-2]))
        ignored = sample.get("ignored_instances")
        crowds = boxes[:0] if ignored is None or "bboxes" not in ignored else ignored.bboxes.float()
        return Truth(boxes[rows] / side, labels[rows], masks, crowds / side)

    def labels_of(self, objects: InstanceData) -> Tensor:
        """Classes int64 (N,) of the objects of an image."""
        return objects.labels

    @torch.no_grad()
    def predict(self, images: Tensor, data_samples: list[DetDataSample]) -> list[DetDataSample]:
        """Set ``pred_instances`` of each sample.

        Raises:
            ValueError: an image does not fill the square, so that boxes in parts of it would be wrong.
        """
        for sample, found in zip(data_samples, self.detect(images), strict=True):
            if tuple(sample.img_shape[:2]) != (self.image_size,) * 2:
                raise ValueError(
                    f"an image of {sample.img_shape[1]}x{sample.img_shape[0]} is to be segmented: resize with "
                    f"dict(type='Resize', scale=({self.image_size}, {self.image_size}), keep_ratio=False)"
                )
            size = tuple(sample.ori_shape[:2])
            masks = [images.new_zeros((0, *size), dtype=torch.bool), *found.masks(size)]
            sample.pred_instances = InstanceData(
                labels=found.labels,
                scores=found.mask_scores,
                masks=torch.cat(masks),
                bboxes=found.pixel_boxes(size).float(),
            )
        return data_samples

    def detect(self, images: Tensor) -> list[Detections]:
        """The objects of normalised images (B, 3, S, S), by falling score of their masks."""
        outputs = self.network(images)
        scores = outputs.classes.float().softmax(-1)[..., 1:]
        boxes = decode_boxes(outputs.boxes.float(), outputs.anchors)
        detections = []
        for image in range(len(images)):
            rows, labels, found = find_objects(boxes[image], scores[image], self.test_config, self.image_size)
            objects = Detections(
                boxes[image, rows],
                labels,
                found,
                outputs.coefficients[image, rows].float(),
                outputs.prototypes[image].float(),
                found,
            )
            if self.network.maskiou_net is not None:
                objects = objects.rescored(self.network.maskiou_net)
                objects = objects.select(objects.mask_scores.argsort(descending=True, stable=True))
            detections.append(objects)
        return detections
