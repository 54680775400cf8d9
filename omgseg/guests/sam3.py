"""SAM 3: all instances of a phrase, and of what looks like exemplars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omgseg.guests.guest import Found, ImageGuest, Loaded
from omgseg.guests.readout import highest, segments_of_map, without_empty
from omgseg.models.geometry import MaskGeometry, interpolate
from omgseg.models.precision import predicting
from omgseg.protocols import Abilities, Exemplars, MaskSet, Request
from omgseg.structures import Segments, Task
from omgseg.structures.run_lengths import encode_masks

PHRASES_AT_ONCE = 4
"""Phrases that are decoded together for an image. At the published size four take 1.2 GB in float32."""
KEPT_PHRASES = 2000
"""Phrases whose embeddings are kept, 32 KB each at the published size."""
PHRASE_TOKENS = 32
"""Length to which the processor pads phrases."""
NO_WORD = "visual"
"""The processor's phrase for exemplars without a word."""
PRESENT = 0.5
"""Lowest presence probability of a phrase that has pixels in a semantic map."""


@dataclass(frozen=True)
class Sam3Image:
    """An encoded image.

    Attributes:
        levels: features of the image encoder, (1, D, h, w) each, fine to coarse.
        positions: their position encodings.
        size: (height, width) of the original image.
    """

    levels: tuple[Tensor, ...]
    positions: tuple[Tensor, ...]
    size: tuple[int, int]

    def repeated(self, count: int, dtype: torch.dtype | None = None) -> Any:
        """The image as the network takes it, for `count` phrases; in `dtype`, or as it is."""
        levels, positions = (
            tuple(level.to(dtype or level.dtype).expand(count, -1, -1, -1) for level in one)
            for one in (self.levels, self.positions)
        )
        return SimpleNamespace(
            fpn_hidden_states=levels, fpn_position_encoding=positions, hidden_states=None, attentions=None
        )


class Sam3Guest(ImageGuest):
    """SAM 3 (arXiv:2511.16719) on images, also with the small text encoder of SAM3-LiteText.

    A word is a phrase, which the network judges by itself: whether the image shows it (the presence probability), and
    where. Instances are those of ``post_process_instance_segmentation``; their score is the presence probability x
    that of the query. Stuff is no instance. Semantic maps are those of ``post_process_semantic_segmentation`` for the
    phrases that are present; a pixel of several goes to the highest presence probability x that of the pixel.

    Args:
        loaded: its network is a ``Sam3Model`` or ``Sam3LiteTextModel``.
    """

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded, loaded.image_processor())
        self.tokenizer = loaded.tokenizer()
        self._known: dict[str, tuple[Tensor, Tensor]] = {}
        self.abilities = Abilities(
            frozenset({Task.INSTANCE, Task.SEMANTIC}),
            frozenset({"exemplars"}),
            open_vocabulary=True,
            independent_words=True,
            test_size=self.test_size,
        )

    def predict(self, images: Sequence[np.ndarray], request: Request) -> list[Segments]:
        if not request.words:
            raise ValueError(
                "no words: SAM 3 knows none of its own; give some, e.g. vocabulary=['dog', 'car']"
            )
        read = self._instances if request.task is Task.INSTANCE else self._semantic
        with predicting(self.device, self.dtype):
            return [read(image, request) for image in self._encode(images)]

    def encode_image(self, image: np.ndarray) -> Sam3Image:
        with predicting(self.device, self.dtype):
            return self._encode([image])[0]

    def find_alike(self, state: Sam3Image, exemplars: Exemplars, min_score: float) -> MaskSet:
        height, width = state.size
        boxes = torch.from_numpy(exemplars.boxes) / torch.tensor([width, height, width, height])
        centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        with predicting(self.device, torch.float32):  # the network's roi_align takes no bfloat16 on CPUs
            texts, tokens = self._phrases([exemplars.word.words[0] if exemplars.word else NO_WORD])
            output = self.network(
                vision_embeds=state.repeated(1, torch.float32),
                text_embeds=texts,
                attention_mask=tokens,
                input_boxes=torch.cat([centres, sides], 1)[None].to(self.device),
                input_boxes_labels=torch.from_numpy(exemplars.labels)[None].long().to(self.device),
            )
        found = read_instances(output, 0, 0, state.size, min_score)
        return MaskSet(found.rles, found.scores)

    def _encode(self, images: Sequence[np.ndarray]) -> list[Sam3Image]:
        vision = self.network.get_vision_features(self.preprocess(images)["pixel_values"])
        return [
            Sam3Image(
                tuple(level[row : row + 1] for level in vision.fpn_hidden_states),
                tuple(level[row : row + 1] for level in vision.fpn_position_encoding),
                image.shape[:2],
            )
            for row, image in enumerate(images)
        ]

    def _phrases(self, phrases: Sequence[str]) -> tuple[Any, Tensor]:
        """Embeddings of phrases as the network takes them, (N, L, D), and which tokens are no padding, (N, L)."""
        if len(self._known) + len(phrases) > KEPT_PHRASES:
            self._known.clear()
        if missing := [phrase for phrase in dict.fromkeys(phrases) if phrase not in self._known]:
            length = {"padding": "max_length", "max_length": PHRASE_TOKENS, "truncation": True}
            tokens = self.tokenizer(missing, return_tensors="pt", **length).to(self.device)
            texts = self.network.get_text_features(tokens.input_ids, tokens.attention_mask).pooler_output
            self._known |= zip(missing, zip(texts.float(), tokens.attention_mask, strict=True), strict=True)
        texts, masks = zip(*(self._known[phrase] for phrase in phrases), strict=True)
        return SimpleNamespace(pooler_output=torch.stack(texts)), torch.stack(masks)

    def _outputs(self, image: Sam3Image, request: Request, labels: Sequence[int]) -> Iterator[tuple]:
        """Some words of a request at a time, and the network's output for them."""
        for start in range(0, len(labels), PHRASES_AT_ONCE):
            some = labels[start : start + PHRASES_AT_ONCE]
            texts, tokens = self._phrases([request.words[label].words[0] for label in some])
            vision = image.repeated(len(some))
            yield some, self.network(vision_embeds=vision, text_embeds=texts, attention_mask=tokens)

    def _instances(self, image: Sam3Image, request: Request) -> Segments:
        things = [label for label, category in enumerate(request.words) if category.is_thing]
        found = [
            read_instances(output, row, label, image.size, request.min_score)
            for labels, output in self._outputs(image, request, things)
            for row, label in enumerate(labels)
        ]
        scores = np.concatenate([np.zeros(0, np.float32), *(one.scores for one in found)])
        classes = np.concatenate([np.zeros(0, np.int64), *(one.classes for one in found)])
        rles = [rle for one in found for rle in one.rles]
        order = np.argsort(-scores, kind="stable")
        return Segments(
            request.task,
            image.size,
            [rles[row] for row in order],
            classes[order],
            scores[order],
            vocabulary=request.words,
        )

    def _semantic(self, image: Sam3Image, request: Request) -> Segments:
        outputs = self._outputs(image, request, range(len(request.words)))
        best, labels = highest(_present_pixels(output, image.size) for _, output in outputs)
        return segments_of_map(best, labels.where(best > 0, -1), request)


def read_instances(output: Any, row: int, label: int, size: tuple[int, int], min_score: float) -> Found:
    """Masks that may overlap, by falling score.

    Args:
        output: of the network: ``pred_logits`` (N, Q), ``presence_logits`` (N, 1) and ``pred_masks`` (N, Q, h, w),
            whose probabilities are resized to `size` and cut at one half.
        row: of N phrases.
        label: of the phrase.
        size: (height, width) of the original image.
        min_score: lower scores are left out.
    """
    scores = output.pred_logits[row].float().sigmoid() * output.presence_logits[row].float().sigmoid()
    order = scores.argsort(descending=True, stable=True)
    order = order[scores[order] >= min_score]
    probabilities = output.pred_masks[row][order].float().sigmoid()
    cells = tuple(probabilities.shape[-2:])
    rles = [
        rle
        for _, maps in MaskGeometry(cells, cells, size).resized_chunks(probabilities)
        for rle in encode_masks((maps > 0.5).cpu().numpy())
    ]
    return without_empty(rles, torch.full_like(order, label), scores[order])


def _present_pixels(output: Any, size: tuple[int, int]) -> Tensor:
    """Presence probability x probability of each pixel that belongs to a phrase, (N, H, W); 0 for all others."""
    probabilities = interpolate(output.semantic_seg[:, 0].float().sigmoid(), size)
    presence = output.presence_logits.float().sigmoid().unsqueeze(-1)
    return (probabilities * presence).where((probabilities > 0.5) & (presence >= PRESENT), 0)
