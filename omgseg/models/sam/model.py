"""SAM: encode an image once, then decode prompts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmdet.structures.mask import mask2bbox
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from PIL import Image
from torch import Tensor

from omgseg.models.geometry import MaskGeometry, masks_of
from omgseg.models.sam.mask_decoder import MaskPrediction
from omgseg.models.sam.training import TrainConfig, prompt_losses
from omgseg.registry import MODELS
from omgseg.structures import Vocabulary

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
CELLS_AT_ONCE = 2**14
"""Prompts are decoded a few at a time, with so many cells of the embedding together, or one: their features then stay
small enough that the processor's caches help and that freed memory is used again, not asked from the system anew."""


@MODELS.register_module()
class SAM(BaseModel):
    """Segment Anything (arXiv:2304.02643), and every model that keeps its prompt encoder and mask decoder.

    Args:
        image_encoder: a module, or its config: normalised images (B, 3, S, S) to (B, E, S / stride, S / stride).
        prompt_encoder, mask_decoder: modules, or their configs.
        pixel_mean, pixel_std: of RGB values in 0..255.
        train_cfg: see :class:`TrainConfig`.
        freeze_image_encoder: train prompt encoder and mask decoder only.
        data_preprocessor: config of :class:`ClipPreprocessor`.
    """

    segmenter = "SamSegmenter"
    train_vocabulary: Vocabulary | None = None
    """The words of the training that the weights hold; SAM itself has no use for them."""

    def __init__(
        self,
        image_encoder: dict[str, Any],
        prompt_encoder: dict[str, Any],
        mask_decoder: dict[str, Any],
        pixel_mean: tuple[float, float, float] = PIXEL_MEAN,
        pixel_std: tuple[float, float, float] = PIXEL_STD,
        train_cfg: dict[str, Any] | None = None,
        freeze_image_encoder: bool = False,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(_build(data_preprocessor or dict(type="ClipPreprocessor")), init_cfg)
        self.train_config = TrainConfig(**(train_cfg or {}))
        self.image_encoder = _build(image_encoder)
        self.prompt_encoder = _build(prompt_encoder)
        self.mask_decoder = _build(mask_decoder)
        self.freeze_image_encoder = freeze_image_encoder
        if freeze_image_encoder:
            self.image_encoder.requires_grad_(False)
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std).view(3, 1, 1), persistent=False)

    @property
    def image_size(self) -> int:
        """Side of the square that images are fitted into, in pixels."""
        return self.prompt_encoder.image_size

    def preprocess(self, pixels: np.ndarray) -> tuple[Tensor, MaskGeometry]:
        """Fit an image into the model's square.

        Args:
            pixels: RGB uint8 (H, W, 3).

        Returns:
            (1, 3, S, S), normalised, then padded with zeros at the right and the bottom; and its sizes.
        """
        original = pixels.shape[:2]
        size = fitted_size(original, self.image_size)
        resized = Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR)  # antialiased
        image = torch.from_numpy(np.array(resized)).to(self.pixel_mean.device).permute(2, 0, 1)
        side = self.image_size
        return self.normalize(image.unsqueeze(0), [size]), MaskGeometry((side, side), size, original)

    def normalize(self, images: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
        """uint8 (B, 3, h, w) to float (B, 3, S, S), zero beyond each image's (height, width).

        Raises:
            ValueError: an image is larger than :attr:`image_size`.
        """
        return fit_square(images, sizes, self.image_size, self.pixel_mean, self.pixel_std)

    def train(self, mode: bool = True) -> SAM:
        """A frozen image encoder stays in eval mode."""
        super().train(mode)
        if self.freeze_image_encoder:
            self.image_encoder.eval()
        return self

    def forward(self, inputs: Tensor, data_samples: list[DetDataSample], mode: str = "tensor"):
        """mmengine's entry.

        Args:
            inputs: uint8 (B, 1, 3, h, w), whose longer side is :attr:`image_size` or shorter.
            data_samples: B images with ``gt_instances.masks`` (for ``loss``) or ``prompts`` (for ``predict``).
            mode: ``loss``; ``predict``: sets ``pred_instances``, one mask per prompt; ``tensor``: embeddings
                (B, E, S / stride, S / stride).
        """
        sizes = [tuple(sample.img_shape[:2]) for sample in data_samples]
        embeddings = self.image_encoder(self.normalize(inputs[:, 0], sizes))
        if mode == "tensor":
            return embeddings
        if mode == "loss":
            return self.loss(embeddings, data_samples)
        if mode == "predict":
            return self.predict(embeddings, data_samples)
        raise ValueError(f"mode is 'loss', 'predict' or 'tensor', not {mode!r}")

    def loss(self, embeddings: Tensor, data_samples: list[DetDataSample]) -> dict[str, Tensor]:
        """Mean losses of the objects of all images, see :func:`prompt_losses`."""
        images, masks = self.choose_objects(data_samples)
        if not images:
            return self.no_losses("loss_focal", "loss_dice", "loss_iou")
        return prompt_losses(self, embeddings[images], masks, self.train_config)

    def choose_objects(self, data_samples: list[DetDataSample]) -> tuple[list[int], Tensor]:
        """Objects to train with, at most ``train_config.max_objects`` of an image.

        Returns:
            For each of N objects the index of its sample, and its mask bool (N, S, S) in the padded input.
        """
        side = self.image_size
        images, masks = [], []
        for index, sample in enumerate(data_samples):
            targets = masks_of(sample).bool()
            targets = F.pad(targets, (0, side - targets.shape[-1], 0, side - targets.shape[-2]))
            rows = targets.flatten(1).any(1).nonzero()[:, 0]
            rows = rows[torch.randperm(len(rows), device=rows.device)[: self.train_config.max_objects]]
            masks.append(targets[rows])
            images += [index] * len(rows)
        return images, torch.cat(masks)

    def no_losses(self, *names: str) -> dict[str, Tensor]:
        """Zeros with a gradient of zero, for a batch without objects."""
        nothing = sum(parameter.sum() for parameter in self.parameters() if parameter.requires_grad) * 0.0
        return dict.fromkeys(names, nothing)

    @torch.no_grad()
    def predict(self, embeddings: Tensor, data_samples: list[DetDataSample]) -> list[DetDataSample]:
        """Set ``pred_instances`` of each sample from its ``prompts`` (points or boxes, one object each)."""
        for embedding, sample in zip(embeddings, data_samples, strict=True):
            points, boxes = (sample.prompts.get(kind) for kind in ("points", "boxes"))
            labels = None
            if points is not None:
                points = points.float().unsqueeze(1)
                labels = torch.ones(points.shape[:2], dtype=torch.long, device=points.device)
            prediction = self.decode(embedding.unsqueeze(0), points, labels, boxes)
            logits, iou = best_candidate(prediction, is_ambiguous=boxes is None)
            geometry = MaskGeometry((self.image_size,) * 2, sample.img_shape[:2], sample.ori_shape[:2])
            masks = geometry.resize(logits.float()) > 0
            sample.pred_instances = InstanceData(masks=masks, scores=iou, bboxes=mask2bbox(masks))
        return data_samples

    def decode(
        self,
        embedding: Tensor,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> MaskPrediction:
        """All masks of N prompts, see :class:`SamPromptEncoder` and :class:`SamMaskDecoder`.

        Args:
            embedding: (1, E, h, w), or one image's for each prompt (N, E, h, w).
            points, labels, boxes, masks: in pixels of the padded input.
        """
        positions = self.prompt_encoder.dense_positions()
        count = len(next(given for given in (points, boxes, masks) if given is not None))
        at_once = max(CELLS_AT_ONCE // positions[0, 0].numel(), 1)
        parts = []
        for start in range(0, max(count, 1), at_once):
            rows = slice(start, start + at_once)
            prompts = (None if given is None else given[rows] for given in (points, labels, boxes, masks))
            image = embedding if len(embedding) == 1 else embedding[rows]
            parts.append(self.mask_decoder(image, positions, *self.prompt_encoder(*prompts)))
        return MaskPrediction(*(torch.cat(fields) for fields in zip(*parts, strict=True)))


def fit_square(
    images: Tensor, sizes: list[tuple[int, int]], side: int, pixel_mean: Tensor, pixel_std: Tensor
) -> Tensor:
    """uint8 (B, 3, h, w) to float (B, 3, side, side), normalised, then zero beyond each image's (height, width).

    Raises:
        ValueError: an image is larger than `side`.
    """
    largest = max(max(size) for size in sizes)
    if largest > side:
        raise ValueError(
            f"an image of {largest} pixels does not fit into SAM's square of {side}: resize with "
            f"image_size=({side}, {side})"
        )
    normalized = (images - pixel_mean) / pixel_std
    # a batch may be padded beyond the square, where nothing is image
    normalized = F.pad(normalized, (0, side - images.shape[-1], 0, side - images.shape[-2]))
    for image, (height, width) in zip(normalized, sizes, strict=True):
        image[:, height:] = 0
        image[:, :, width:] = 0
    return normalized


def fitted_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """(height, width) of an image whose longer side becomes `side`; at least one pixel each."""
    scale = side / max(size)
    return max(int(size[0] * scale + 0.5), 1), max(int(size[1] * scale + 0.5), 1)


def to_model_frame(coordinates: np.ndarray, geometry: MaskGeometry) -> np.ndarray:
    """Points (..., 2), x and y in pixels of the original image, in pixels of the padded input."""
    height, width = geometry.original
    factors = np.array([geometry.image[1] / width, geometry.image[0] / height])
    return coordinates * factors


def best_candidate(prediction: MaskPrediction, is_ambiguous: bool) -> tuple[Tensor, Tensor]:
    """One mask per object: of a single click the candidate of the highest expected IoU, else the mask that the
    model was trained to give for unambiguous prompts.

    Returns:
        Logits (N, h, w) and IoU (N,).
    """
    if not is_ambiguous:
        return prediction.logits[:, 0], prediction.iou[:, 0]
    best = prediction.iou[:, 1:].argmax(1) + 1
    rows = torch.arange(len(best), device=best.device)
    return prediction.logits[rows, best], prediction.iou[rows, best]


def _build(part: Any) -> Any:
    return MODELS.build(part) if isinstance(part, dict) else part
