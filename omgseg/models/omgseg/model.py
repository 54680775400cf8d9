"""OMGSeg: encode, decode, then loss or read-out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.model import BaseModel
from torch import Tensor

from omgseg.models.checkpoints.published import published_to_ours_inplace
from omgseg.models.geometry import frames_of, normalize
from omgseg.models.mask_queries.losses import ClipTargets, clip_targets
from omgseg.models.mask_queries.output import DecoderOutput
from omgseg.models.mask_queries.readout import (
    ReadoutConfig,
    fuse_zero_shot,
    set_image_predictions,
    set_prompt_predictions,
)
from omgseg.models.mask_queries.video import TubeMemory, set_video_predictions, split_clips
from omgseg.models.omgseg.classifier import text_logits
from omgseg.models.omgseg.prompt_encoder import PromptGroups
from omgseg.models.omgseg.prompt_training import PromptTraining, add_corrections, first_prompts
from omgseg.models.omgseg.query_decoder import DecoderCache
from omgseg.registry import MODELS
from omgseg.structures import Task, Vocabulary

Sample = DetDataSample | TrackDataSample


@dataclass
class Features:
    """Features of B clips with T frames.

    Attributes:
        mask_features: (B * T, D, h, w).
        levels: (B * T, D, h_i, w_i), coarse to fine.
        last_feature: (B * T, C, h', w'), the image encoder's last feature.
        num_frames: T.
        image_size: (height, width) of the padded images.
        image_shapes: (height, width) of the image in each of the B padded clips.
        is_video: whether the clips are parts of videos; an image is a clip of one frame, but not a video.
        cache: keys and values that the decoder has computed, see :meth:`OMGSeg.with_cache`; None: each call computes
            them again.
    """

    mask_features: Tensor
    levels: list[Tensor]
    last_feature: Tensor
    num_frames: int
    image_size: tuple[int, int]
    image_shapes: list[tuple[int, int]] = field(default_factory=list)
    is_video: bool = False
    cache: DecoderCache | None = None


@MODELS.register_module()
class OMGSeg(BaseModel):
    """One model for all segmentation (arXiv:2401.10229).

    An image is a clip of one frame, every entity is a query, a task is a choice of queries, vocabulary and read-out.

    Args:
        image_encoder, text_encoder, pixel_decoder, query_decoder, prompt_encoder, classifier, criterion: the parts,
            or their configs. The pixel decoder's `in_channels` and `strides` and the classifier's `embed_dim` are
            those of the encoders where a config does not give them.
        video_query_decoder: a second decoder, for clips of videos (the decoupled design that the paper's Table 5
            compares with). None: one decoder for images and videos.
        prompt_training: see :class:`PromptTraining`; how prompts are trained where the prompt encoder has weights for
            corrections. Where it has none, they are single prompts, as the data give them.
        test_cfg: see :class:`ReadoutConfig`.
        vocabulary: words to start with; the dataset's vocabulary replaces them (:meth:`set_vocabulary`).
        data_preprocessor: config of :class:`ClipPreprocessor`.
    """

    segmenter = "OMGSegSegmenter"
    """How :func:`omgseg.load` brings a config of this model behind the seam: a name in the registry SEGMENTERS."""

    def __init__(
        self,
        image_encoder: dict[str, Any],
        text_encoder: dict[str, Any],
        pixel_decoder: dict[str, Any],
        query_decoder: dict[str, Any],
        prompt_encoder: dict[str, Any],
        classifier: dict[str, Any],
        criterion: dict[str, Any],
        video_query_decoder: dict[str, Any] | None = None,
        prompt_training: dict[str, Any] | None = None,
        test_cfg: dict[str, Any] | None = None,
        vocabulary: Vocabulary | list[str] | None = None,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(_build(data_preprocessor or dict(type="ClipPreprocessor")), init_cfg)
        self.image_encoder = _build(image_encoder)
        self.text_encoder = _build(text_encoder)
        self.pixel_decoder = _build(
            pixel_decoder, in_channels=self.image_encoder.channels, strides=self.image_encoder.strides
        )
        self.query_decoder = _build(query_decoder)
        self.video_query_decoder = None if video_query_decoder is None else _build(video_query_decoder)
        self.prompt_encoder = _build(prompt_encoder)
        self.classifier = _build(classifier, embed_dim=self.text_encoder.embed_dim)
        self.criterion = _build(criterion)
        self.prompt_training = PromptTraining(**(prompt_training or {}))
        self.test_config = ReadoutConfig.from_dict(test_cfg)
        self.vocabulary = Vocabulary()
        self._train_vocabulary: Vocabulary | None = None
        self.register_buffer("class_embeddings", torch.empty(0), persistent=False)
        self.register_buffer("_seen", torch.empty(0, dtype=torch.bool), persistent=False)
        if vocabulary is not None:
            self.set_vocabulary(vocabulary)
        self.register_load_state_dict_pre_hook(published_to_ours_inplace)

    def set_vocabulary(self, vocabulary: Vocabulary | list[str]) -> None:
        """Choose the words that predictions are made of. Weights do not change.

        Args:
            vocabulary: the categories; words of a list are things.
        """
        if not isinstance(vocabulary, Vocabulary):
            vocabulary = Vocabulary.from_names(vocabulary)
        if vocabulary == self.vocabulary:
            return
        embeddings = self.text_encoder(vocabulary) if len(vocabulary) else torch.empty(0)
        self.class_embeddings = embeddings.to(self.class_embeddings.device)
        self.vocabulary = vocabulary
        self._note_seen()

    @property
    def train_vocabulary(self) -> Vocabulary | None:
        """The words of the training; other words are unseen classes. None: all count as seen."""
        return self._train_vocabulary

    @train_vocabulary.setter
    def train_vocabulary(self, vocabulary: Vocabulary | None) -> None:
        self._train_vocabulary = vocabulary
        self._note_seen()

    def _note_seen(self) -> None:
        """Find the classes that the training has seen: once per vocabulary, as comparing words takes milliseconds."""
        seen = [True] * len(self.vocabulary)
        if self.train_vocabulary is not None:
            seen = self.vocabulary.shares_word_with(self.train_vocabulary)
        self._seen = torch.as_tensor(seen, dtype=torch.bool, device=self.class_embeddings.device)

    def forward(self, inputs: Tensor, data_samples: list[Sample], mode: str = "tensor"):
        """mmengine's entry.

        Args:
            inputs: uint8 (B, T, 3, H, W), of one source.
            data_samples: B samples.
            mode: ``loss``, ``predict`` or ``tensor`` (the decoder's last output).
        """
        if mode == "loss":
            return self.loss(inputs, data_samples)
        if mode == "predict":
            return self.predict(inputs, data_samples)
        if mode == "tensor":
            features = self.encode(inputs, data_samples)
            return self.decode(features, _prompts_of(data_samples), every_layer=False)[0]
        raise ValueError(f"mode is 'loss', 'predict' or 'tensor', not {mode!r}")

    def encode(self, inputs: Tensor, data_samples: list[Sample]) -> Features:
        """uint8 (B, T, 3, H, W) -> features."""
        shapes = [tuple(frames_of(sample)[0].img_shape[:2]) for sample in data_samples]
        images = normalize(inputs, shapes, self.image_encoder.mean, self.image_encoder.std)
        features = self.image_encoder(images)
        mask_features, levels = self.pixel_decoder(features)
        return Features(
            mask_features,
            levels,
            features[-1],
            num_frames=inputs.shape[1],
            image_size=tuple(inputs.shape[-2:]),
            image_shapes=shapes,
            is_video=isinstance(data_samples[0], TrackDataSample),
        )

    def with_cache(self, features: Features) -> Features:
        """The features of images that are to be decoded many times, as prompts are: each :meth:`decode` then costs
        little more than its queries. For the size of the cache see :meth:`SharedQueryDecoder.make_cache`."""
        given = (features.mask_features, features.levels, features.num_frames)
        return replace(features, cache=self.query_decoder.make_cache(*given))

    def decode(
        self,
        features: Features,
        prompts: Mapping[str, Tensor] | PromptGroups | None = None,
        every_layer: bool = True,
        with_classes: bool = True,
    ) -> list[DecoderOutput]:
        """Run the learned queries, or one query per prompted object.

        Args:
            features: of B clips.
            prompts: ``points`` (B, N, 2) or ``boxes`` (B, N, 4), in pixels of the padded images; or, of images and
                with a prompt encoder that has weights for corrections, groups. None: the learned queries.
            every_layer: see :meth:`SharedQueryDecoder.forward`.
            with_classes: give learned queries class logits; False needs no vocabulary. Prompts never have classes.

        Raises:
            ValueError: classes are wanted, and the model has no vocabulary.
        """
        queries = None
        if isinstance(prompts, PromptGroups):
            queries = self.prompt_encoder.encode_groups(features.image_size, prompts, features.mask_features)
        elif prompts is not None:
            queries = self.prompt_encoder(features.image_size, **prompts)
        decoder = (
            self.video_query_decoder if features.is_video and self.video_query_decoder else self.query_decoder
        )
        cache = features.cache if decoder is self.query_decoder else None
        given = (features.mask_features, features.levels, features.num_frames)
        outputs = decoder(*given, queries, every_layer, cache)
        if prompts is None and with_classes:
            if not len(self.vocabulary):
                raise ValueError("the model has no vocabulary: call set_vocabulary, or add VocabularyHook")
            for output in outputs:
                output.class_logits = self.classifier(
                    output.normed_queries, output.mask_embeddings, output.mask_features, self.class_embeddings
                )
        return outputs

    def decode_clip(
        self, inputs: Tensor, samples: list[DetDataSample], with_classes: bool = True
    ) -> tuple[list[DetDataSample], Features, DecoderOutput]:
        """Run the model on a clip, without reading it out.

        Args:
            inputs: uint8 (T, 3, h, w).
            samples: T frames, with the metainfo of ``PackClip``.
            with_classes: see :meth:`decode`.

        Returns:
            The frames with the metainfo that read-outs need, the features, and the decoder's output.
        """
        clip = TrackDataSample()
        clip.video_data_samples = samples
        batch = self.data_preprocessor({"inputs": [inputs], "data_samples": [clip]})
        features = self.encode(batch["inputs"], batch["data_samples"])
        (output,) = self.decode(features, every_layer=False, with_classes=with_classes)
        return list(batch["data_samples"][0].video_data_samples), features, output

    def loss(self, inputs: Tensor, data_samples: list[Sample]) -> dict[str, Tensor]:
        """Named losses of a batch of one source."""
        prompts = _prompts_of(data_samples)
        features = self.encode(inputs, data_samples)
        targets = [clip_targets(sample, inputs.shape[-2:]) for sample in data_samples]
        if prompts is None:
            return self.criterion.entity_losses(self.decode(features), targets)
        if self.prompt_encoder.corrections:
            return self._losses_in_the_loop(features, prompts, targets)
        return self.criterion.prompt_losses(self.decode(features, prompts), targets)

    def _losses_in_the_loop(
        self, features: Features, prompts: dict[str, Tensor], targets: list[ClipTargets]
    ) -> dict[str, Tensor]:
        """Losses of the prompts that the rounds of corrections end with."""
        prompts = first_prompts(prompts, targets, self.prompt_training.box_share)
        if self.prompt_training.max_corrections:
            with torch.no_grad():
                shared = self.with_cache(features)

                def answer(prompts: PromptGroups) -> Tensor:
                    (output,) = self.decode(shared, prompts, every_layer=False)
                    return output.mask_logits[:, :, 0] > 0

                given = (targets, features.image_shapes, self.prompt_training)
                prompts = add_corrections(prompts, answer(prompts), answer, *given)
            torch.clear_autocast_cache()  # older versions of torch keep weights there that were cast without gradient
        return self.criterion.prompt_losses(self.decode(features, prompts), targets)

    @torch.no_grad()
    def predict(self, inputs: Tensor, data_samples: list[Sample]) -> list[Sample]:
        """Set the predictions of each sample's tasks, and return the samples."""
        if isinstance(data_samples[0], TrackDataSample):
            for clip, sample in zip(inputs, data_samples, strict=True):
                self._predict_video(clip, sample)
            return data_samples
        features = self.encode(inputs, data_samples)
        prompts = _prompts_of(data_samples)
        (output,) = self.decode(features, prompts, every_layer=False)
        masks = output.mask_logits[:, :, 0].float()
        if prompts is not None:
            for sample, logits in zip(data_samples, masks, strict=True):
                count = len(next(iter(sample.prompts.values())))
                set_prompt_predictions(sample, logits[:count])
            return data_samples
        evidence = self.zero_shot_evidence(features, output)
        for index, sample in enumerate(data_samples):
            of_sample = {name: value[index] for name, value in evidence.items()}
            probs = self.class_probs(output.class_logits[index], **of_sample)
            set_image_predictions(sample, probs, masks[index], self.vocabulary, self.test_config)
        return data_samples

    def _predict_video(self, inputs: Tensor, sample: TrackDataSample) -> None:
        """Read a video (T, 3, H, W) clip by clip, then read it out; following given objects needs no classes."""
        frames = frames_of(sample)
        with_classes = any(Task(task) is not Task.VOS for task in frames[0].tasks)
        memory = TubeMemory(self.test_config.num_candidates)
        start = 0
        for end in split_clips(len(frames), self.test_config.clip_size_for(len(frames))):
            features = self.encode(inputs[None, start:end], [sample])
            (output,) = self.decode(features, every_layer=False, with_classes=with_classes)
            evidence = self.zero_shot_evidence(features, output) if with_classes else {}
            memory.add(output, **{name: value[0] for name, value in evidence.items()})
            start = end
        probs = None
        if with_classes:
            sums = {name: memory.sum(name) for name in evidence}
            probs = self.class_probs(memory.mean("class_logits"), **sums)
        set_video_predictions(frames, memory, probs, self.vocabulary, self.test_config)

    def zero_shot_evidence(self, features: Features, output: DecoderOutput) -> dict[str, Tensor]:
        """What CLIP itself sees under each tube's masks, in a form that may be summed over the clips of a video.

        Returns:
            ``pooled`` (B, Q, C), the sum of its last feature, and ``area`` (B, Q), the number of cells; empty where the
            test config turns the ensemble off.
        """
        if not self.test_config.ensemble:
            return {}
        masks = output.mask_features.transpose(1, 2)
        size = features.last_feature.shape[-2:]
        # masks are linear in the features, so the few channels are resized instead of the many masks
        small = F.interpolate(masks.flatten(0, 1), size, mode="bilinear", align_corners=False)
        small = small.unflatten(0, masks.shape[:2])
        logits = torch.einsum("bqd,btdhw->btqhw", output.mask_embeddings, small).flatten(0, 1)
        pooled, area = self.image_encoder.pool_masks(features.last_feature, logits)
        pooled, area = (x.unflatten(0, (-1, features.num_frames)).sum(1) for x in (pooled, area))
        return {"pooled": pooled, "area": area}

    def class_probs(
        self, class_logits: Tensor, pooled: Tensor | None = None, area: Tensor | None = None
    ) -> Tensor:
        """Class probabilities (Q, C + 1), fused with CLIP's own.

        Args:
            class_logits: (Q, C + 1), the background last.
            pooled, area: (Q, C) and (Q,), from :meth:`zero_shot_evidence`; None: the class logits count alone.
        """
        if pooled is None:
            return class_logits.softmax(-1)
        embeddings = self.image_encoder.embed_pooled(pooled, area)
        zero_shot = text_logits(embeddings, self.class_embeddings, self.image_encoder.logit_scale)[..., :-1]
        alpha, beta = self.test_config.alpha, self.test_config.beta
        return fuse_zero_shot(class_logits, zero_shot, self._seen, (area > 0).float(), alpha, beta).exp()


def _build(part: Any, **defaults: Any) -> Any:
    return MODELS.build({**defaults, **part}) if isinstance(part, dict) else part


def _prompts_of(samples: list[Sample]) -> dict[str, Tensor] | None:
    """Points (B, N, 2) or boxes (B, N, 4) of interactive samples, shorter lists padded with prompts at the origin; None
    where other tasks are wanted."""
    if Task.INTERACTIVE not in frames_of(samples[0])[0].tasks:
        return None
    kind = "boxes" if "boxes" in samples[0].prompts else "points"
    prompts = [sample.prompts[kind].float() for sample in samples]
    count = max(1, *(len(prompt) for prompt in prompts))
    return {kind: torch.stack([F.pad(prompt, (0, 0, 0, count - len(prompt))) for prompt in prompts])}
