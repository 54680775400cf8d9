"""The naive combinations of SAM and CLIP that Open-Vocabulary SAM is compared with (arXiv:2401.02955, section 3.1).

Any promptable model makes the mask. CLIP, unchanged and by itself, names it: from a crop of the image, which takes a
pass of CLIP for every mask; or from a crop of its features, which takes a second backbone for every image.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from torch import Tensor

from omgseg.models.checkpoints.loading import random_weights
from omgseg.models.omgseg.clip_weights import clip_config, pixel_statistics
from omgseg.models.precision import predicting
from omgseg.projects.ov_sam.model import text_logits_of
from omgseg.projects.ov_sam.recognition import cut_regions
from omgseg.protocols import ImageState, MaskSet, Prompts, Request
from omgseg.registry import MODELS, SEGMENTERS
from omgseg.structures import Segments, Vocabulary

CROPS_AT_ONCE = 16
"""Masks that CLIP sees together."""


@dataclass(frozen=True)
class NamelessImage:
    """An encoded image.

    Attributes:
        masks: the mask maker's own state.
        pixels: RGB uint8 (H, W, 3).
        feature: CLIP's last feature (1, C, h, w), if names come from it.
    """

    masks: ImageState
    pixels: np.ndarray
    feature: Tensor | None


class CropNamer(ABC):
    """A promptable model and a separate CLIP behind the seam: a :class:`~omgseg.protocols.PromptableModel` and a
    :class:`~omgseg.protocols.MaskNamer`.

    Args:
        config: its ``model`` is the one that makes masks.
        weights: of that model. None: no file is read, not even the weights of CLIP.
        device, dtype: of both.
        clip: config of a trunk, ``ClipResNet`` or ``ClipConvNeXt``. Images are normalised as CLIP was trained.
        text_encoder: of the same CLIP.
        options: of the segmenter of `config`'s model.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        weights: str | None,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        *,
        clip: Mapping[str, Any],
        text_encoder: Mapping[str, Any],
        **options: Any,
    ) -> None:
        factory = SEGMENTERS.get(MODELS.get(config["model"]["type"]).segmenter)
        self.masks = factory(config=config, weights=weights, device=device, dtype=dtype, **options)
        self.device, self.dtype = device, dtype
        self.abilities = replace(self.masks.abilities, open_vocabulary=True)
        sources = {} if weights is not None else dict(pretrained=None)
        with nullcontext() if weights is not None else random_weights():
            self.clip = MODELS.build({**clip, **sources}).to(device).eval()
        self.text_encoder = MODELS.build({**text_encoder, **sources})
        statistics = pixel_statistics(clip["model_name"], clip.get("pretrained"))
        self.mean, self.std = (torch.tensor(values, device=device).view(3, 1, 1) for values in statistics)
        self.crop_size: int = clip_config(clip["model_name"])["vision_cfg"]["image_size"]
        self.cells = self.crop_size // self.clip.strides[-1]

    def group_key(self, size: tuple[int, int]) -> Hashable:
        return self.masks.group_key(size)

    def predict(self, images: Sequence[np.ndarray], request: Request) -> list[Segments]:
        """See :meth:`Segmenter.predict`: what the model of the masks does without prompts."""
        return self.masks.predict(images, request)

    def segment_prompts(self, state: NamelessImage, prompts: Prompts) -> MaskSet:
        return self.masks.segment_prompts(state.masks, prompts)

    def encode_image(self, image: np.ndarray) -> NamelessImage:
        with predicting(self.device, self.dtype):
            return NamelessImage(self.masks.encode_image(image), image, self.see(image))

    def name_masks(
        self, state: NamelessImage, rles: Sequence[dict[str, Any]], words: Vocabulary
    ) -> np.ndarray:
        """See :meth:`MaskNamer.name_masks`: by what CLIP sees in the box of a mask."""
        found = np.zeros((len(rles), len(words)), np.float32)
        boxes = coco_mask.toBbox(list(rles)).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        rows = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(1))
        if not len(rows) or not len(words):
            return found
        with predicting(self.device, self.dtype):
            texts = self.text_encoder(words).to(self.device)
            for start in range(0, len(rows), CROPS_AT_ONCE):
                some = rows[start : start + CROPS_AT_ONCE]
                embeddings = self.embed(self.cut(state, boxes[some]))
                scores = text_logits_of(embeddings, texts)[:, :-1].softmax(-1)
                found[some] = scores.cpu().numpy()
        return found

    def prepare(self, image: np.ndarray, size: tuple[int, int]) -> Tensor:
        """An image resized to (height, width), and normalised for CLIP: (1, 3, height, width)."""
        resized = Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC)  # antialiased
        pixels = torch.from_numpy(np.array(resized)).to(self.device).permute(2, 0, 1)
        return ((pixels / 255 - self.mean) / self.std).unsqueeze(0)

    def embed(self, features: Tensor) -> Tensor:
        """CLIP's embeddings (N, E) of its last features (N, C, `cells`, `cells`) of whole crops."""
        whole = features.new_tensor([[0, 0, self.crop_size, self.crop_size]])
        inside = features.new_ones(1, self.cells, self.cells)
        return torch.cat([self.clip.look_at(feature, whole, inside) for feature in features.split(1)])

    @abstractmethod
    def see(self, image: np.ndarray) -> Tensor | None:
        """What CLIP makes of an image once, for all its masks."""

    @abstractmethod
    def cut(self, state: NamelessImage, boxes: np.ndarray) -> Tensor:
        """CLIP's last features (N, C, `cells`, `cells`) of boxes (N, 4) in pixels of the image."""


@SEGMENTERS.register_module()
class ImageCropNamer(CropNamer):
    """CLIP sees the square around each mask, at the size of its training. See :class:`CropNamer`."""

    def see(self, image: np.ndarray) -> None:
        return None

    def cut(self, state: NamelessImage, boxes: np.ndarray) -> Tensor:
        size = (self.crop_size, self.crop_size)
        crops = [self.prepare(square_around(box, state.pixels), size) for box in boxes]
        return self.clip(torch.cat(crops))[-1]


@SEGMENTERS.register_module()
class FeatureCropNamer(CropNamer):
    """CLIP sees the image once; RoIAlign (arXiv:1703.06870) cuts each mask's box from its last feature.

    Args:
        image_size: length of the longer side of the images that CLIP sees, in pixels.
        args, kwargs: see :class:`CropNamer`.
    """

    def __init__(self, *args: Any, image_size: int = 1024, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.image_size = image_size

    def see(self, image: np.ndarray) -> Tensor:
        return self.clip(self.prepare(image, self._size_of(image)))[-1]

    def _size_of(self, image: np.ndarray) -> tuple[int, int]:
        """(height, width) that CLIP sees: whole cells of its last feature, so that nothing is padded."""
        stride = max(self.clip.strides)
        factor = self.image_size / max(image.shape[:2]) / stride
        return tuple(max(round(length * factor), 1) * stride for length in image.shape[:2])

    def cut(self, state: NamelessImage, boxes: np.ndarray) -> Tensor:
        height, width = self._size_of(state.pixels)
        factors = np.array([width / state.pixels.shape[1], height / state.pixels.shape[0]] * 2)
        scaled = torch.from_numpy((boxes * factors).astype(np.float32)).to(self.device)
        return cut_regions(state.feature, scaled, self.cells, self.clip.strides[-1])


def square_around(box: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The square part of an image (H, W, 3) around a box x1, y1, x2, y2, moved into the image; no square where the
    image is narrower or lower than the box is long."""
    side = max(box[2] - box[0], box[3] - box[1])
    spans = []
    for axis, length in ((1, image.shape[0]), (0, image.shape[1])):
        extent = int(min(np.ceil(side), length))
        start = int(round((box[axis] + box[axis + 2] - extent) / 2))
        start = min(max(start, 0), length - extent)
        spans.append(slice(start, start + extent))
    return image[spans[0], spans[1]]
