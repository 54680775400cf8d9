"""Open-Vocabulary SAM: SAM's prompts on CLIP's features, and names for its masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from torch import Tensor

from omgseg.models.geometry import MaskGeometry
from omgseg.models.omgseg.classifier import ClassTexts
from omgseg.models.sam.model import SAM
from omgseg.models.sam.training import first_prompts
from omgseg.projects.ov_sam.published import reject_published
from omgseg.projects.ov_sam.recognition import boxes_of, fuse_views, shows_at
from omgseg.projects.ov_sam.training import (
    CoTrainingConfig,
    choose_prompts,
    co_training_losses,
    take_sam2clip,
)
from omgseg.registry import MODELS
from omgseg.structures import Vocabulary

SCALE = 100.0
"""Factor of cosines."""
NAMED_AT_ONCE = 16
"""Masks that CLIP looks at together: the attention pool makes 30 MB for each of these at the published size."""
SCORES_AT_ONCE = 2**23
"""Scores of masks and classes that exist at a time, 32 MB; there are a few of each."""


class Features(NamedTuple):
    """Of one image; of B while training.

    Attributes:
        embedding: (1, E, h, w), for the mask decoder.
        levels: (1, D, h_i, w_i), of the FPN.
        last: (1, C, h', w'), CLIP's last feature.
    """

    embedding: Tensor
    levels: tuple[Tensor, ...]
    last: Tensor

    def of(self, index: int) -> Features:
        """Those of one of B images."""
        row = slice(index, index + 1)
        return Features(self.embedding[row], tuple(level[row] for level in self.levels), self.last[row])


@MODELS.register_module()
class OpenVocabularySAM(SAM):
    """Open-Vocabulary SAM (arXiv:2401.02955).

    A training is stage 2, CLIP2SAM co-training, which learns the regions and the mask decoder.

    Args:
        image_encoder: with ``trunk`` and ``adapter``, see :class:`OVSamImageEncoder`.
        prompt_encoder: SAM's.
        mask_decoder: with ``embed_labels``, see :class:`LabelMaskDecoder`.
        regions: config of :class:`RegionEmbedder`; channels, strides and CLIP's size are those of the trunk.
        text_encoder: of the same CLIP as the trunk.
        base_words: classes of the training; other words are unseen. None: those that the checkpoint holds; all words
            are unseen if it holds none.
        alpha, beta: the frozen CLIP's share in the scores of seen and of unseen classes.
        published: compute as the published code, for its weights. The label token then does not count (the published
            code multiplies its embedding by 0, so its MLP is untrained), and a trunk that looks at boxes
            (:class:`ClipResNet`) gets them in pixels of the original image, although its features are those of the
            resized one.
        sam2clip: checkpoint of stage 1, see :class:`Sam2ClipDistillation`. Read when a training starts.
        train_adapter: learn the adapter, too, which stage 1 has trained else.
        train_cfg: see :class:`CoTrainingConfig`.
        data_preprocessor: see :class:`SAM`.
    """

    segmenter = "OVSamSegmenter"

    def __init__(
        self,
        image_encoder: dict[str, Any],
        prompt_encoder: dict[str, Any],
        mask_decoder: dict[str, Any],
        regions: dict[str, Any],
        text_encoder: dict[str, Any],
        base_words: Sequence[str] | None = None,
        alpha: float = 0.1,
        beta: float = 0.9,
        published: bool = False,
        sam2clip: str | None = None,
        train_adapter: bool = False,
        train_cfg: Mapping[str, Any] | None = None,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        image_encoder = MODELS.build(image_encoder)
        trunk = image_encoder.trunk
        super().__init__(
            image_encoder,
            prompt_encoder,
            mask_decoder,
            *(tuple(255 * value for value in values) for values in (trunk.mean, trunk.std)),
            freeze_image_encoder=not train_adapter,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        self.train_config = CoTrainingConfig(**(train_cfg or {}))
        self.prompt_encoder.requires_grad_(False)
        self.sam2clip = sam2clip
        of_trunk = dict(in_channels=trunk.channels, strides=trunk.strides, embed_dim=trunk.embed_dim)
        self.regions = MODELS.build({**of_trunk, **regions})
        self.text_encoder = MODELS.build(text_encoder)
        self._given_base = base_words is not None
        self.base_words = Vocabulary.from_names(base_words or ())
        self.vocabulary = Vocabulary()
        self.alpha, self.beta = alpha, beta
        self.published = published
        self._named: tuple[Vocabulary, Vocabulary, ClassTexts, Tensor] | None = None
        self.register_load_state_dict_pre_hook(reject_published)

    @property
    def train_vocabulary(self) -> Vocabulary | None:
        """The base words: a checkpoint brings them where the config names none."""
        return self.base_words or None

    @train_vocabulary.setter
    def train_vocabulary(self, vocabulary: Vocabulary | None) -> None:
        if vocabulary is not None and not self._given_base:
            self.base_words = vocabulary

    def set_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Choose the words that labels of a training mean."""
        self.vocabulary = vocabulary

    def init_weights(self) -> None:
        """Read stage 1's checkpoint: mmengine calls this when a training starts, before ``load_from`` and ``resume``.

        Raises:
            FileNotFoundError, CheckpointError: see :func:`take_sam2clip`.
        """
        super().init_weights()
        if self.sam2clip is not None:
            take_sam2clip(self, self.sam2clip)

    def forward(self, inputs: Tensor, data_samples: list[DetDataSample], mode: str = "tensor"):
        """mmengine's entry, see :meth:`SAM.forward`."""
        if mode != "loss":
            return super().forward(inputs, data_samples, mode)
        sizes = [tuple(sample.img_shape[:2]) for sample in data_samples]
        return self.loss(self.image_encoder.trunk(self.normalize(inputs[:, 0], sizes)), data_samples)

    def loss(self, taps: Sequence[Tensor], data_samples: list[DetDataSample]) -> dict[str, Tensor]:
        """Losses of stage 2, see :func:`co_training_losses`.

        The class embedding of a prompt is that of its object's box and that of the label token, as in predictions.

        Args:
            taps: the trunk's features (B, C_i, h_i, w_i).
            data_samples: see :func:`choose_prompts`; labels mean the words of :meth:`set_vocabulary`.
        """
        features = self.features_of(taps)
        positions, dense = self.prompt_encoder.dense_positions(), self.prompt_encoder.embed_masks(None)
        found = []
        for index, sample in enumerate(data_samples):
            prompts = choose_prompts(sample, self.image_size, self.train_config.num_prompts)
            if prompts is None:
                continue
            image = features.of(index)
            tokens = first_prompts(prompts.masks, prompts.boxes, prompts.is_point)
            sparse = self.prompt_encoder.embed_points(*tokens)
            prediction = self.mask_decoder(image.embedding, positions, sparse, dense)
            labels = None if self.published else self.mask_decoder.embed_labels(prediction.tokens)
            embeddings = self.embed_boxes(image, prompts.boxes, labels)
            found.append((embeddings, prompts.labels, prediction.logits[:, 0], prompts.masks))
        if not found:
            return self.no_losses("loss_cls", "loss_mask", "loss_dice")
        embeddings, labels, logits, masks = (torch.cat(parts) for parts in zip(*found, strict=True))
        class_logits = text_logits_of(embeddings, self.embed_words(self.vocabulary))
        return co_training_losses(class_logits, labels, logits, masks, self.train_config, self.published)

    def encode(self, images: Tensor) -> Features:
        """A normalised image (1, 3, S, S), for prompts and names."""
        return self.features_of(self.image_encoder.trunk(images))

    def features_of(self, taps: Sequence[Tensor]) -> Features:
        """The trunk's features (B, C_i, h_i, w_i) for prompts and names; these want those of one image."""
        return Features(self.image_encoder.adapter(taps), self.regions.fpn(taps), taps[-1])

    @torch.no_grad()
    def name_masks(
        self, features: Features, logits: Tensor, geometry: MaskGeometry, words: Vocabulary
    ) -> Tensor:
        """Probabilities float32 (N, C) of words; a row is zero where the mask is empty.

        Args:
            features: of the image.
            logits: (N, S / 4, S / 4) of masks in the padded input.
            geometry: sizes of the image.
            words: C classes.
        """
        embeddings, views, shown = [], [], []
        for some in logits.split(NAMED_AT_ONCE):
            boxes = boxes_of(some, self.image_size // self.prompt_encoder.mask_size)
            labels, looked_at = None, boxes
            if self.published:
                looked_at = boxes * self._to_original(geometry)
            else:
                labels = self.mask_decoder.embed_labels(self.decode(features.embedding, boxes=boxes).tokens)
            embeddings.append(self.embed_boxes(features, boxes, labels))
            views.append(self.look_at(features, looked_at, some))
            shown.append(shows_at(some, features.last.shape[-2:]))
        scores = self.score_words(torch.cat(embeddings), torch.cat(views), torch.cat(shown), words)
        return scores * (logits > 0).flatten(1).any(1, keepdim=True)

    def score_words(self, embeddings: Tensor, views: Tensor, shown: Tensor, words: Vocabulary) -> Tensor:
        """Probabilities float32 (N, C) of words, by both views of N > 0 objects; the background has the rest.

        Args:
            embeddings: (N, E), see :meth:`embed_boxes`.
            views: (N, E), see :meth:`look_at`.
            shown: bool (N,), see :func:`fuse_views`.
            words: C classes.
        """
        texts, seen = self.embed_words(words), self._seen_of(words)
        at_once = max(SCORES_AT_ONCE // max(len(words), 1), 1)
        found = []
        parts = (of_all.split(at_once) for of_all in (embeddings, views, shown))
        for embedding, view, is_shown in zip(*parts, strict=True):
            query_logits, clip_logits = (text_logits_of(some, texts) for some in (embedding, view))
            scores = fuse_views(query_logits, clip_logits, seen, is_shown, self.alpha, self.beta)
            found.append(scores.softmax(-1)[:, :-1])
        return torch.cat(found)

    def _to_original(self, geometry: MaskGeometry) -> Tensor:
        """Factors (4,) of boxes from the padded input to the original image."""
        y, x = (
            original / resized for original, resized in zip(geometry.original, geometry.image, strict=True)
        )
        return torch.tensor([x, y, x, y], device=self.pixel_mean.device)

    def embed_words(self, words: Vocabulary) -> ClassTexts:
        """Text embeddings on the model's device; those of the last call are kept."""
        return self._noted(words)[2]

    def _seen_of(self, words: Vocabulary) -> Tensor:
        """bool (C,): which of the words were seen in the training."""
        return self._noted(words)[3]

    def _noted(self, words: Vocabulary) -> tuple[Vocabulary, Vocabulary, ClassTexts, Tensor]:
        """What is kept of the last words: tens of thousands take seconds to read and to compare."""
        if self._named is None or self._named[:2] != (words, self.base_words):
            device = self.pixel_mean.device
            seen = torch.tensor(words.shares_word_with(self.base_words), dtype=torch.bool, device=device)
            self._named = words, self.base_words, self.text_encoder.class_texts(words).to(device), seen
        return self._named

    def embed_boxes(self, features: Features, boxes: Tensor, labels: Tensor | None) -> Tensor:
        """Learned class embeddings (N, E) of boxes (N, 4).

        Args:
            labels: (N, E), see :meth:`LabelMaskDecoder.embed_labels`; None: the region alone counts.
        """
        embeddings = self.regions(features.levels, boxes)
        return embeddings if labels is None else embeddings + labels

    def look_at(self, features: Features, boxes: Tensor, logits: Tensor) -> Tensor:
        """The frozen CLIP's embeddings (N, E) of objects with boxes (N, 4) and masks, logits (N, h, w)."""
        return self.image_encoder.trunk.look_at(features.last, boxes, logits)


def text_logits_of(embeddings: Tensor, texts: ClassTexts | Tensor) -> Tensor:
    """Logits float32 (N, C + 1), the background last, of class embeddings (N, E) for texts, also as (C, P, E)."""
    if isinstance(texts, Tensor):
        texts = ClassTexts.of_padded(texts)
    with torch.autocast(embeddings.device.type, enabled=False):
        return texts.logits(F.normalize(embeddings.float(), dim=-1), SCALE)
