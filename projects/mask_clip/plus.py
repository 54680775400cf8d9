"""MaskCLIP+: a network that learns MaskCLIP's labels, then its own (arXiv:2112.01071, sections 3.3 and 3.4).

Pixels without a label get one while the network is trained: in the first stage MaskCLIP's, in the second that of the
network itself. Its classifier are CLIP's embeddings of the words, which stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import BaseTransform
from mmdet.structures import DetDataSample
from mmengine.model import BaseModel
from mmengine.structures import PixelData
from torch import Tensor, nn

from omgseg.guests.readout import highest
from omgseg.models.checkpoints.loading import leave_out_of_checkpoints
from omgseg.models.geometry import normalize
from omgseg.models.mask_queries.losses import clip_targets
from omgseg.models.mask_queries.readout import geometry_of
from omgseg.models.omgseg.text_encoder import TextEncoder
from omgseg.models.precision import full_precision
from omgseg.projects.mask_clip.adapter import TEMPLATES
from omgseg.projects.mask_clip.dense_clip import DenseClip, DenseFeatures
from omgseg.projects.mask_clip.refinement import check_thresholds, refined_maps, similarities
from omgseg.registry import MODELS, TRANSFORMS
from omgseg.structures import NO_CLASS, Vocabulary

UNLABELLED = NO_CLASS
"""A pixel that gets a pseudo label."""
IGNORED = -2
"""A pixel of which nothing is known: the padding of a batch, outlines, or where no segment is."""


@TRANSFORMS.register_module()
class HideClasses(BaseTransform):
    """Takes the labels of some classes away, after ``LoadSegments``: their pixels are unlabelled, not ignored.

    This is the transductive zero-shot protocol: the images of unseen classes stay in the training, and their words are
    known, but not where they are.

    Args:
        names: of the categories.

    Raises:
        ValueError: a name is not in the vocabulary of the dataset.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        hidden = results["vocabulary"].labels_of(self.names)
        labels = results["gt_labels"]
        results["gt_labels"] = np.where(np.isin(labels, hidden), NO_CLASS, labels)
        return results


@dataclass(frozen=True)
class Stages:
    """When pseudo labels come from where, as iterations (first, last), both inclusive, counted from 1.

    Attributes:
        clip_guided: from MaskCLIP. A last one of None: to the end. None: never.
        self_training: from the network itself.

    Raises:
        ValueError: a stage ends before it begins, or they overlap.
    """

    clip_guided: tuple[int, int | None] | None = None
    self_training: tuple[int, int | None] | None = None

    def __post_init__(self) -> None:
        for name in ("clip_guided", "self_training"):
            stage = getattr(self, name)
            if stage is not None and (stage[0] < 1 or (stage[1] is not None and stage[1] < stage[0])):
                raise ValueError(
                    f"model.{name} is {stage}: give (first, last) with 1 <= first <= last, or None as last"
                )
        if self.clip_guided and self.self_training:
            (start, end), (other, other_end) = self.clip_guided, self.self_training
            if (end is None or other <= end) and (other_end is None or start <= other_end):
                raise ValueError(
                    f"model.clip_guided {self.clip_guided} and model.self_training {self.self_training} overlap: "
                    "a pixel has one pseudo label"
                )

    def at(self, iteration: int) -> str | None:
        """The stage of an iteration: ``clip_guided``, ``self_training``, or None."""
        for name in ("clip_guided", "self_training"):
            stage = getattr(self, name)
            if stage is not None and stage[0] <= iteration and (stage[1] is None or iteration <= stage[1]):
                return name
        return None


def pseudo_labels(maps: Tensor, labels: Tensor, classes: Sequence[int]) -> Tensor:
    """Give unlabelled pixels the best of some classes.

    Args:
        maps: (B, K, h, w), logits or probabilities of these classes, which are resized (bilinear).
        labels: int64 (B, H, W).
        classes: the K labels that unlabelled pixels can have.

    Returns:
        int64 (B, H, W); pixels with a label, and ignored ones, as they were.
    """
    classes = torch.as_tensor(list(classes), device=labels.device)
    best = _resized(maps, labels.shape[-2:]).argmax(1)
    return torch.where(labels == UNLABELLED, classes[best], labels)


def pixel_loss(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy, the mean over all pixels, of which those without a label count 0.

    Args:
        logits: (B, C, h, w), which are resized (bilinear).
        labels: int64 (B, H, W).
        weights: (B, H, W), factors of the pixels' losses.
    """
    labels = torch.where(labels < 0, IGNORED, labels)
    logits = _resized(logits, labels.shape[-2:]).float()
    loss = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="none")
    return (loss if weights is None else loss * weights).mean()


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size, mode="bilinear", align_corners=False)


@MODELS.register_module()
class MaskClipPlus(BaseModel):
    """A semantic segmenter with CLIP's words as its classifier, trained without labels or with some.

    A feature of OMG-Seg's pixel decoder at each position is compared (dot product) with CLIP's embedding of each word.

    Args:
        clip: the CLIP of the words and of the teacher: ``model_name``, ``pretrained``, and optionally ``cache_dir`` and
            ``templates``, see :class:`MaskClipSegmenter`.
        image_encoder: config of an image encoder.
        pixel_decoder: config of a pixel decoder. Its input is what the encoder has, its output is of CLIP's size.
        clip_guided, self_training: see :class:`Stages`. Both None: labels alone are learned.
        unlabelled: names of the categories that pseudo labels can be. None: all but `background`.
        background: name of a category that is no word: its embedding is learned.
        denoising, smoothing: the teacher's, see :class:`MaskClipSegmenter`.
        data_preprocessor: config of :class:`ClipPreprocessor`.

    Attributes:
        iteration: how many batches were learned; checkpoints hold it.

    Raises:
        FileNotFoundError: missing weights of CLIP.
        ValueError: stages that overlap, `unlabelled` is empty, or a threshold is no probability.
    """

    segmenter = "MaskClipPlusSegmenter"

    def __init__(
        self,
        clip: Mapping[str, Any],
        image_encoder: dict[str, Any],
        pixel_decoder: dict[str, Any],
        clip_guided: tuple[int, int | None] | None = None,
        self_training: tuple[int, int | None] | None = None,
        unlabelled: Sequence[str] | None = None,
        background: str | None = None,
        denoising: float | None = 0.5,
        smoothing: float | None = 1.0,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        if unlabelled is not None and not len(unlabelled):
            raise ValueError("model.unlabelled is empty: name the categories without labels, or None for all")
        check_thresholds("model", denoising=denoising, smoothing=smoothing)
        super().__init__(MODELS.build(data_preprocessor or dict(type="ClipPreprocessor")), init_cfg)
        clip = dict(clip)
        templates = clip.pop("templates", None) or TEMPLATES
        self.text_encoder = TextEncoder(**clip, templates=templates)
        self.stages = Stages(clip_guided, self_training)
        self.teacher = None if clip_guided is None else _Teacher(clip, denoising, smoothing)
        self.image_encoder = MODELS.build(image_encoder)
        given = dict(in_channels=self.image_encoder.channels, strides=self.image_encoder.strides)
        embed_dim = self.text_encoder.embed_dim
        self.pixel_decoder = MODELS.build({**pixel_decoder, **given, "out_channels": embed_dim})
        self.unlabelled, self.background = unlabelled, background
        self.background_embedding = None if background is None else nn.Parameter(torch.randn(embed_dim))
        self.register_buffer("iteration", torch.zeros((), dtype=torch.int64))
        self.vocabulary, self.train_vocabulary = Vocabulary(), None
        self.register_buffer("words", torch.empty(0), persistent=False)

    def set_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Choose the words; weights do not change."""
        if vocabulary != self.vocabulary:
            self.words = self.text_encoder(vocabulary).to(self.words.device)
            self.vocabulary = vocabulary

    def forward(self, inputs: Tensor, data_samples: list[DetDataSample], mode: str = "tensor"):
        """mmengine's entry.

        Args:
            inputs: uint8 (B, 1, 3, H, W).
            data_samples: B images; one without ``gt_instances`` is unlabelled.
            mode: ``loss``; ``predict``: sets ``pred_sem_seg``; ``tensor``: the logits (B, C, h, w).
        """
        shapes = [tuple(sample.img_shape[:2]) for sample in data_samples]
        if mode == "loss":
            return self.loss(inputs, shapes, data_samples)
        logits = self.logits(inputs, shapes)
        if mode == "tensor":
            return logits
        if mode != "predict":
            raise ValueError(f"mode is 'loss', 'predict' or 'tensor', not {mode!r}")
        for sample, maps in zip(data_samples, logits, strict=True):
            resized = (chunk for _, chunk in geometry_of(sample).resized_chunks(maps))
            sample.pred_sem_seg = PixelData(sem_seg=highest(resized)[1].unsqueeze(0))
        return data_samples

    def logits(self, inputs: Tensor, shapes: list[tuple[int, int]]) -> Tensor:
        """(B, C, h, w), stride 4, of images uint8 (B, 1, 3, H, W) with these heights and widths in their padding.

        Raises:
            ValueError: the model has no vocabulary.
        """
        if not len(self.vocabulary):
            raise ValueError("the model has no vocabulary: call set_vocabulary, or add VocabularyHook")
        images = normalize(inputs, shapes, self.image_encoder.mean, self.image_encoder.std)
        embeddings, _ = self.pixel_decoder(self.image_encoder(images))
        with full_precision(images.device):
            return similarities(embeddings.float(), self._classifier())

    def _classifier(self) -> Tensor:
        """(C, P, E): the words, and the learned embedding of the background."""
        names = self.vocabulary.names
        if self.background not in names:
            return self.words
        place = torch.tensor(names.index(self.background), device=self.words.device)
        return self.words.index_copy(0, place, _unit(self.background_embedding, self.words))

    def loss(
        self, inputs: Tensor, shapes: list[tuple[int, int]], data_samples: list[DetDataSample]
    ) -> dict[str, Tensor]:
        """Pseudo labels of the stage, and their cross-entropy.

        Raises:
            ValueError: an image has labels of a class that pseudo labels stand for, or a name of `unlabelled` is not in
                the vocabulary.
        """
        self.iteration += 1
        stage = self.stages.at(int(self.iteration))
        hidden = self._hidden_classes()
        found = [label_maps(sample, inputs.shape[-2:], self.vocabulary, hidden) for sample in data_samples]
        labels, weights = (torch.stack(maps).to(inputs.device) for maps in zip(*found, strict=True))
        logits = self.logits(inputs, shapes)
        if stage == "clip_guided":
            maps = self.teacher(inputs, shapes, self._classifier()[hidden])
            labels = pseudo_labels(maps, labels, hidden)
        elif stage == "self_training":
            labels = pseudo_labels(logits[:, hidden].detach(), labels, hidden)
        return {"loss_ce": pixel_loss(logits, labels, weights)}

    def _hidden_classes(self) -> list[int]:
        """Labels that unlabelled pixels can have."""
        if self.stages == Stages():
            return []
        if self.unlabelled is not None:
            return self.vocabulary.labels_of(self.unlabelled)
        return [label for label, name in enumerate(self.vocabulary.names) if name != self.background]


def _unit(embedding: Tensor, words: Tensor) -> Tensor:
    """An embedding (E,) of unit length in the place of a category's P words: (1, P, E)."""
    return F.normalize(embedding, dim=0).to(words.dtype).expand(1, *words.shape[1:])


def label_maps(
    sample: DetDataSample, size: tuple[int, int], vocabulary: Vocabulary, hidden: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Labels int64 and weights float (H, W) of an image, padded to `size`.

    A segment without a class is unlabelled, and what no segment covers is ignored. An image without ``gt_instances`` is
    unlabelled. Weights are the scores of labels that a model made before the training, else 1.

    Raises:
        ValueError: a segment has a class of `hidden`.
    """
    if "gt_instances" not in sample:
        labels = torch.full(size, IGNORED)
        labels[: sample.img_shape[0], : sample.img_shape[1]] = UNLABELLED
        return labels, torch.ones(size)
    target = clip_targets(sample, size)
    leaked = [label for label in target.labels.tolist() if label in hidden]
    if leaked:
        raise ValueError(
            f"{sample.img_path} has labels of {vocabulary.names[leaked[0]]!r}, which this training must not see: put "
            "dict(type='HideClasses', names=[...]) after LoadSegments, or leave LoadSegments out"
        )
    # one more row, for the pixels without a segment
    rows = F.pad(target.masks[:, 0].byte(), (0, 0, 0, 0, 0, 1), value=1).argmax(0)
    weights = target.labels.new_ones(len(target.labels)) if target.weights is None else target.weights
    return F.pad(target.labels, (0, 1), value=IGNORED)[rows], F.pad(weights.float(), (0, 1))[rows]


class _Teacher(nn.Module):
    """MaskCLIP as a part of a training; checkpoints do not hold it.

    Args:
        clip: ``model_name``, ``pretrained``, ``cache_dir``.
        denoising, smoothing: see :class:`MaskClipSegmenter`.
    """

    has_own_source = True

    def __init__(self, clip: Mapping[str, Any], denoising: float | None, smoothing: float | None) -> None:
        super().__init__()
        self.dense = DenseClip(**clip)
        self.denoising, self.smoothing = denoising, smoothing
        leave_out_of_checkpoints(self)

    @torch.no_grad()
    def forward(self, inputs: Tensor, shapes: list[tuple[int, int]], words: Tensor) -> Tensor:
        """Maps (B, C, h, w) of images uint8 (B, 1, 3, H, W), for class embeddings (C, P, E)."""
        images = normalize(inputs, shapes, self.dense.mean, self.dense.std)
        features = DenseFeatures(*(x.float() for x in self.dense(images)))
        with full_precision(images.device):  # a cosine is multiplied by 100
            return refined_maps(features, words, self.denoising, self.smoothing)[0]
