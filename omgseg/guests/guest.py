"""What adapters share: the loaded network, preprocessing, and the words of its classes."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from omgseg.datasets.vocabularies import load_vocabulary
from omgseg.protocols import Abilities, Request
from omgseg.structures import NO_CLASS, Category, Segments, Vocabulary

KNOWN = (
    "coco_panoptic",
    "ade20k",
    "cityscapes",
    "vipseg",
    "youtube_vis_2019",
    "youtube_vis_2021",
    "ovis",
)
"""Vocabularies that tell things from stuff."""


@dataclass(frozen=True)
class Loaded:
    """What an adapter is made of.

    Attributes:
        network: of transformers, in eval mode, on the device.
        folder: with the files of its processor.
        name: of the folder, or the hub's.
        device: of the network.
        dtype: of the computation.
    """

    network: nn.Module
    folder: Path
    name: str
    device: torch.device
    dtype: torch.dtype

    def image_processor(self, **options: Any) -> Any:
        """The image processor of the folder, with `options` instead of its own.

        Raises:
            OSError: the folder has none.
        """
        from transformers import AutoImageProcessor

        return AutoImageProcessor.from_pretrained(
            self.folder, local_files_only=True, trust_remote_code=False, **options
        )

    def tokenizer(self) -> Any:
        """The tokenizer of the folder.

        Raises:
            OSError: the folder has none.
        """
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.folder, local_files_only=True, trust_remote_code=False)

    def video_processor(self) -> Any:
        """The video processor of the folder.

        Raises:
            OSError: the folder has none.
        """
        from transformers import AutoVideoProcessor

        return AutoVideoProcessor.from_pretrained(self.folder, local_files_only=True, trust_remote_code=False)


@dataclass(frozen=True)
class Found:
    """N segments of an image.

    Attributes:
        rles: run lengths of the original size.
        classes: int64 (N,), classes of the network.
        scores: float32 (N,).
        queries: int64 (N,), the query of each; of stuff that is fused one of them. None where nobody asks.
    """

    rles: list[dict[str, Any]]
    classes: np.ndarray
    scores: np.ndarray
    queries: np.ndarray | None = None


class ImageGuest:
    """A guest that segments images; adapters add ``abilities`` and ``predict``.

    Args:
        loaded: the network.
        processor: its image processor, which decides the size of the input, mean and deviation.
    """

    abilities: Abilities

    def __init__(self, loaded: Loaded, processor: Any) -> None:
        self.network = loaded.network
        self.processor = processor
        self.device = loaded.device
        self.dtype = loaded.dtype

    def group_key(self, size: tuple[int, int]) -> Hashable:
        """All images share a batch where the input has one size."""
        return None if self.processor.size.get("height") else size

    @property
    def test_size(self) -> tuple[int, int] | None:
        """(width, height) for :class:`Abilities`."""
        size = self.processor.size
        shortest = size.get("height") or size.get("shortest_edge")
        longest = size.get("width") or size.get("longest_edge") or shortest
        return (longest, shortest) if shortest else None

    def preprocess(self, images: Sequence[np.ndarray], **inputs: Any) -> dict[str, Any]:
        """The inputs of the network for RGB uint8 images (H, W, 3), on its device."""
        return self.processor(
            images=list(images), return_tensors="pt", input_data_format="channels_last", **inputs
        ).to(self.device)


class ClassWords:
    """The words of a network's classes.

    config.json names classes, but does not say which are things. Names and order tell the classes of the datasets in
    :data:`KNOWN`, which then have the kinds, synonyms, colors and ids of these. Of other label sets, classes whose name
    is stuff in the dataset that knows most of them are stuff, and all others are things.

    Args:
        names: by class, as in ``config.id2label``. Commas and semicolons separate synonyms.
        things: classes that are things, where the checkpoint says so.

    Attributes:
        vocabulary: things first, then stuff.
        is_thing: bool (C,), by class.
    """

    def __init__(self, names: Mapping[int, str], things: Iterable[int] | None = None) -> None:
        parts = [_parts(names[number], number) for number in range(len(names))]
        known = _known_categories(parts)
        kinds = [entry is None or entry.is_thing for entry in known]
        if things is not None:
            kinds = np.isin(np.arange(len(names)), list(things)).tolist()
        self._categories = _categories(parts, known, kinds)
        self.vocabulary = Vocabulary(self._categories)
        self.is_thing = np.array(kinds, bool)

    def places(self, words: Vocabulary | None) -> np.ndarray:
        """The label in `words` (None: in all) of each class, int64 (C,); ``NO_CLASS`` for classes that are not asked.

        Raises:
            ValueError: no class has a word.
        """
        words = self.vocabulary if words is None else words
        number_of = {category: number for number, category in enumerate(self._categories)}
        by_word: dict[str, int] = {}
        for category, number in reversed(number_of.items()):
            by_word |= dict.fromkeys(category.words, number)
        places = np.full(len(self._categories), NO_CLASS)
        for place, asked in enumerate(words):
            found = number_of.get(asked)
            if found is None:
                found = next((by_word[word] for word in asked.words if word in by_word), None)
            if found is None:
                raise ValueError(f"the model does not know the word {asked.name!r}")
            places[found] = place
        return places

    def segments(
        self,
        found: Found,
        request: Request,
        size: tuple[int, int],
        ids: np.ndarray | None = None,
        **place: Any,
    ) -> Segments:
        """The result of an image of this size: what was found of the words and at least the score of a request.

        Args:
            ids: int64 (N,), identities of what was found; None for images.
            place: further arguments of :class:`Segments`.
        """
        labels = self.places(request.words)[found.classes]
        kept = np.flatnonzero((labels != NO_CLASS) & (found.scores >= request.min_score))
        return Segments(
            request.task,
            size,
            [found.rles[row] for row in kept],
            labels[kept],
            found.scores[kept],
            None if ids is None else ids[kept],
            self.vocabulary if request.words is None else request.words,
            **place,
        )


def _parts(name: str, number: int) -> list[str]:
    """The synonyms in a name, at least one; first without the endings of COCO's stuff (``wall-other-merged``)."""
    parts = [part.strip() for part in re.split(r"[,;]", name)]
    plain = [re.sub(r"(-other)?-(merged|stuff)$", "", part) for part in parts]
    return [part for part in dict.fromkeys([*plain, *parts]) if part.strip("_/ ")] or [f"class {number}"]


def _known_categories(names: Sequence[Sequence[str]]) -> list[Category | None]:
    """The category of a known dataset that each class is; see :class:`ClassWords`."""
    words = [Category(parts[0], synonyms=tuple(parts[1:])).words for parts in names]
    best: list[Category | None] = [None] * len(names)
    for vocabulary in map(load_vocabulary, KNOWN):
        ordered = sorted(vocabulary, key=lambda category: category.id)
        if len(ordered) == len(names):
            agreeing = sum(
                bool({*some} & {*category.words}) for some, category in zip(words, ordered, strict=True)
            )
            if 2 * agreeing > len(names):
                return list(ordered)
        by_word = {word: category for category in reversed(ordered) for word in category.words}
        found = [next((by_word[word] for word in some if word in by_word), None) for some in words]
        if found.count(None) < best.count(None):
            best = found
    return [entry and Category(entry.name, entry.is_thing, entry.synonyms) for entry in best]


def _categories(
    names: Sequence[Sequence[str]], known: Sequence[Category | None], kinds: Sequence[bool]
) -> list[Category]:
    """The categories of the classes, each under a name of its own."""
    taken: set[str] = set()
    categories = []
    for number, (parts, entry, is_thing) in enumerate(zip(names, known, kinds, strict=True)):
        name = next(name for name in (*parts, f"{parts[0]} {number}") if name not in taken)
        taken.add(name)
        synonyms = [part for part in parts if part != name]
        if entry is None:
            categories.append(Category(name, is_thing, tuple(synonyms)))
        else:
            synonyms += [entry.name, *entry.synonyms]
            categories.append(Category(name, is_thing, tuple(synonyms), entry.id, entry.color))
    return categories
