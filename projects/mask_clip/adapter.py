"""MaskCLIP behind the seam: a CLIP and words make a segmenter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import open_clip
import torch
from torch import Tensor

from omgseg.guests.readout import highest, segments_of_map
from omgseg.models.checkpoints.hub import local_file
from omgseg.models.geometry import PIXELS_AT_ONCE, InputSize, interpolate, normalize
from omgseg.models.omgseg.text_encoder import TextEncoder
from omgseg.models.precision import predicting
from omgseg.projects.mask_clip.dense_clip import DenseClip, DenseFeatures
from omgseg.projects.mask_clip.refinement import TEMPERATURE, check_thresholds, refined_maps
from omgseg.protocols import Abilities, Request
from omgseg.registry import SEGMENTERS
from omgseg.structures import Segments, Task

TEMPLATES: tuple[str, ...] = (
    *(template("{}") for template in open_clip.OPENAI_IMAGENET_TEMPLATES),
    "there is a {} in the scene.",
    "there is the {} in the scene.",
    "this is a {} in the scene.",
    "this is the {} in the scene.",
    "this is one {} in the scene.",
)
"""The 85 published sentences: CLIP's for ImageNet and five of scenes."""


@SEGMENTERS.register_module()
class MaskClipSegmenter:
    """A frozen CLIP as a segmenter: semantic, any words, no training.

    Args:
        config: not read; the options of the config's ``segmenter`` are the arguments below.
        weights: a file of a whole CLIP model of open_clip, or an ``hf://`` location; None: as `pretrained` says.
        device: where to compute.
        dtype: of the computation; float32, or a shorter type through autocast.
        model_name: see :class:`DenseClip`.
        pretrained: open_clip's tag, which is downloaded unless the cache has it, or a file; None: random.
        templates: sentences around the words, see :class:`TextEncoder`; None: the 85 published ones.
        cache_dir: folder of cached text embeddings and of downloaded weights; None: those of :class:`TextEncoder`.
        denoising: threshold of :func:`denoise_prompts`; None: all words stay.
        smoothing: threshold of :func:`smooth_keys`; None: no smoothing.
        published: keys as in the published code; see :func:`dense_block` and :func:`smooth_keys`.
        scale: (width, height) to which images are resized, then to multiples of the stride.

    Raises:
        FileNotFoundError: missing weights; the message says how to give them.
        ValueError: unknown model, weights of another one, or a threshold that is no probability.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        weights: str | None,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        model_name: str = "ViT-B-16-quickgelu",
        pretrained: str | None = "openai",
        templates: str | Sequence[str] | None = None,
        cache_dir: str | None = None,
        denoising: float | None = None,
        smoothing: float | None = None,
        published: bool = False,
        scale: tuple[int, int] = (2048, 512),
    ) -> None:
        check_thresholds("segmenter", denoising=denoising, smoothing=smoothing)
        source = pretrained if weights is None else str(local_file(weights))
        self.device, self.dtype = device, dtype
        self.model = DenseClip(model_name, source, cache_dir, published).to(device)
        self.text_encoder = TextEncoder(model_name, source, templates or TEMPLATES, cache_dir)
        self.denoising, self.smoothing, self.published = denoising, smoothing, published
        self._input_size = InputSize(tuple(scale))
        self.abilities = Abilities(
            frozenset({Task.SEMANTIC}), open_vocabulary=True, test_size=self._input_size.scale
        )

    def group_key(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the input: the nearest multiples of the stride, so nothing is padded."""
        stride = self.model.stride
        return tuple(max(round(side / stride), 1) * stride for side in self._input_size.shape_of(size))

    def predict(self, images: Sequence[np.ndarray], request: Request) -> list[Segments]:
        """See :meth:`Segmenter.predict`. A segment's score is the mean probability of its word in it."""
        if request.task is not Task.SEMANTIC:
            raise ValueError(f"MaskCLIP offers the task 'semantic', not {request.task.value!r}")
        if not request.words:
            raise ValueError(
                "no words: MaskCLIP knows none of its own; give some, e.g. vocabulary=['dog', 'car']"
            )
        words = self.text_encoder(request.words).to(self.device)
        with predicting(self.device, self.dtype):
            features = self.model(self._pack(images))
            return [
                self._segment(
                    DenseFeatures(*(x[row : row + 1].float() for x in features)), words, image, request
                )
                for row, image in enumerate(images)
            ]

    def _pack(self, images: Sequence[np.ndarray]) -> Tensor:
        """Images resized to one shape and normalised: (B, 3, h, w)."""
        shape = self.group_key(images[0].shape[:2])
        size = InputSize(shape[::-1], keep_ratio=False)
        clips = torch.from_numpy(np.stack([size.resize([image]) for image in images])).to(self.device)
        return normalize(clips, [shape] * len(images), self.model.mean, self.model.std)

    def _segment(
        self, features: DenseFeatures, words: Tensor, image: np.ndarray, request: Request
    ) -> Segments:
        with torch.autocast(self.device.type, enabled=False):  # a cosine is multiplied by 100
            maps, present = refined_maps(features, words, self.denoising, self.smoothing, self.published)
            if not present.any():
                return Segments(request.task, image.shape[:2], [], [], [], vocabulary=request.words)
            size = image.shape[:2]
            if self.smoothing is None:
                best, labels = most_probable(lambda: _resized(TEMPERATURE * maps[0], size))
            else:
                best, labels = highest(_resized(maps[0], size))
        return segments_of_map(best.clamp(0, 1), labels, request)


def most_probable(chunks: Callable[[], Iterable[Tensor]]) -> tuple[Tensor, Tensor]:
    """The most probable class at each pixel: its probability and its label, (H, W) each.

    Args:
        chunks: gives logits (c, H, W) of the classes in their order, a few at a time; it is called twice.
    """
    best, labels = highest(chunks())
    return 1 / sum((some - best).exp().sum(0) for some in chunks()), labels


def _resized(maps: Tensor, size: tuple[int, int]) -> Iterator[Tensor]:
    """Maps (C, h, w) at the size (H, W), a few at a time."""
    for some in maps.split(max(PIXELS_AT_ONCE // (size[0] * size[1]), 1)):
        yield interpolate(some, size)
