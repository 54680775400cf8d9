"""Mask2Former, MaskFormer, OneFormer and EoMT: networks whose queries give a mask and a class each.

Tasks: a network whose classes are all things was trained for instances. For others the name counts, as config.json
does not say it and published names do: ``...-semantic``, ``...-instance``, ``...-panoptic``. What was trained for
panoptic segmentation, or has another name, offers all three tasks.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omgseg.guests.guest import ClassWords, Found, ImageGuest, Loaded
from omgseg.guests.readout import (
    confident_queries,
    found_labels,
    read_instances,
    read_panoptic,
    read_semantic,
    without_empty,
)
from omgseg.models.geometry import MaskGeometry, interpolate
from omgseg.models.mask_queries.readout import mask_confidence
from omgseg.models.precision import predicting
from omgseg.protocols import Abilities, Request
from omgseg.structures import Segments, Task
from omgseg.structures.run_lengths import encode_masks

ALL_TASKS = frozenset({Task.PANOPTIC, Task.INSTANCE, Task.SEMANTIC})


def tasks_of(name: str, words: ClassWords) -> frozenset[Task]:
    """The tasks of a network by its name and classes."""
    named = {task for task in ALL_TASKS if task.value in re.split(r"[-_.]", name.lower())}
    if Task.PANOPTIC in named:
        return ALL_TASKS
    if named:
        return frozenset(named)
    return frozenset({Task.INSTANCE}) if words.is_thing.all() else ALL_TASKS


class MaskFormerGuest(ImageGuest):
    """MaskFormer (arXiv:2107.06278), and the read-outs of its image processor."""

    mask_size: tuple[int, int] | None = None
    """(height, width) to which mask logits are resized first; None: they are taken as they are."""
    threshold = 0.5
    """Segments of panoptic maps have a higher class score."""

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded, self.load_processor(loaded))
        self.words = ClassWords(loaded.network.config.id2label, self.things())
        tasks = self.tasks(loaded.name)
        self.abilities = Abilities(tasks, vocabulary=self.words.vocabulary, test_size=self.test_size)

    def load_processor(self, loaded: Loaded) -> Any:
        return loaded.image_processor()

    def things(self) -> Sequence[int] | None:
        """Classes that are things, where the checkpoint says so."""
        return None

    def tasks(self, name: str) -> frozenset[Task]:
        return tasks_of(name, self.words)

    def predict(self, images: Sequence[np.ndarray], request: Request) -> list[Segments]:
        self.words.places(request.words)  # refuses a wrong word before the network runs
        sizes = [image.shape[:2] for image in images]
        with predicting(self.device, self.dtype):
            output = self.forward(images, request.task)
        found = self.read(output, sizes, request)
        return [self.words.segments(one, request, size) for one, size in zip(found, sizes, strict=True)]

    def read(self, output: Any, sizes: Sequence[tuple[int, int]], request: Request) -> list[Found]:
        """What the output of :meth:`forward` shows in images of these sizes."""
        classes, masks = output.class_queries_logits.float(), output.masks_queries_logits.float()
        if request.task is Task.SEMANTIC:
            return self.read_semantic(classes, masks, sizes, output)
        read = self.read_panoptic if request.task is Task.PANOPTIC else self.read_instances
        return [read(*one, request.min_score) for one in zip(classes, masks, sizes, strict=True)]

    def forward(self, images: Sequence[np.ndarray], task: Task) -> Any:
        """The network's output: ``class_queries_logits`` (B, Q, C + 1) and ``masks_queries_logits`` (B, Q, h, w)."""
        return self.network(**self.preprocess(images))

    def read_panoptic(
        self, class_logits: Tensor, mask_logits: Tensor, size: tuple[int, int], min_score: float
    ) -> Found:
        """``post_process_panoptic_segmentation``, which compares resized probabilities x scores, also with one half."""
        queries, scores, classes = confident_queries(class_logits, self.threshold)
        maps = self._resized(mask_logits[queries]).sigmoid_() * scores.view(-1, 1, 1)
        cells = tuple(maps.shape[-2:])
        geometry = MaskGeometry(cells, cells, size)
        ones, is_thing = torch.ones_like(scores), self.words.is_thing
        return read_panoptic(maps, queries, ones, scores, classes, is_thing, geometry, torch.positive, False)

    def read_instances(
        self, class_logits: Tensor, mask_logits: Tensor, size: tuple[int, int], min_score: float
    ) -> Found:
        """``post_process_instance_segmentation``: the best pairs of query and class, as many as there are queries."""
        scores, pairs = class_logits.softmax(-1)[:, :-1].flatten().topk(len(class_logits))
        pairs, scores = pairs[scores >= min_score], scores[scores >= min_score]
        classes = pairs % (class_logits.shape[-1] - 1)
        logits = self._resized(mask_logits[pairs // (class_logits.shape[-1] - 1)])
        things = torch.as_tensor(self.words.is_thing, device=classes.device)[classes]
        return read_instances(logits[things], scores[things], classes[things], size, min_score)

    def read_semantic(
        self, class_logits: Tensor, mask_logits: Tensor, sizes: Sequence[tuple[int, int]], output: Any
    ) -> list[Found]:
        """``post_process_semantic_segmentation``: class probabilities x mask probabilities, summed over the queries."""
        return [
            read_semantic(_votes(classes, self._resized(masks)), size)
            for classes, masks, size in zip(class_logits, mask_logits, sizes, strict=True)
        ]

    def _resized(self, mask_logits: Tensor) -> Tensor:
        return mask_logits if self.mask_size is None else interpolate(mask_logits, self.mask_size)


class Mask2FormerGuest(MaskFormerGuest):
    """Mask2Former (arXiv:2112.01527); its image processor reads all masks at one size."""

    mask_size = (384, 384)


class OneFormerGuest(MaskFormerGuest):
    """OneFormer (arXiv:2211.06220): one network for three tasks, told by a task token.

    Instances are those of the paper's evaluation, which are Mask2Former's and may overlap; the image processor instead
    compares logits of masks pixel by pixel, for drawings.
    """

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(loaded)
        from transformers import OneFormerProcessor

        self.reader = OneFormerProcessor(
            self.processor, loaded.tokenizer(), task_seq_length=loaded.network.config.task_seq_len
        )

    def load_processor(self, loaded: Loaded) -> Any:
        # the file of class names would be downloaded; its content is in `metadata` of published checkpoints
        return loaded.image_processor(class_info_file=None)

    def things(self) -> Sequence[int] | None:
        return (getattr(self.processor, "metadata", None) or {}).get("thing_ids")

    def tasks(self, name: str) -> frozenset[Task]:
        return ALL_TASKS

    def forward(self, images: Sequence[np.ndarray], task: Task) -> Any:
        tasks = [task.value] * len(images)
        inputs = self.reader(list(images), tasks, return_tensors="pt", input_data_format="channels_last")
        return self.network(**inputs.to(self.device))


class EomtGuest(MaskFormerGuest):
    """EoMT (arXiv:2503.19108), also on DINOv3: images are padded to one size, or cut into windows for semantic
    segmentation alone."""

    threshold = 0.8

    def tasks(self, name: str) -> frozenset[Task]:
        return frozenset({Task.SEMANTIC}) if self.processor.do_split_image else super().tasks(name)

    def group_key(self, size: tuple[int, int]) -> Hashable:
        """Windows and padded images have one size."""
        return None if self.processor.do_split_image or self.processor.do_pad else super().group_key(size)

    def read_panoptic(
        self, class_logits: Tensor, mask_logits: Tensor, size: tuple[int, int], min_score: float
    ) -> Found:
        """``post_process_panoptic_segmentation``, which resizes logits and ends segments at their masks."""
        queries, scores, classes = confident_queries(class_logits, self.threshold)
        return read_panoptic(
            mask_logits[queries],
            queries,
            scores,
            scores,
            classes,
            self.words.is_thing,
            self.geometry(size),
            torch.sigmoid,
            True,
        )

    def read_instances(
        self, class_logits: Tensor, mask_logits: Tensor, size: tuple[int, int], min_score: float
    ) -> Found:
        """``post_process_instance_segmentation``: the best class of each query; masks are resized as logits."""
        scores, classes = class_logits.softmax(-1)[:, :-1].max(-1)
        things = torch.as_tensor(self.words.is_thing, device=classes.device)[classes]
        kept = (things & (scores >= min_score)).nonzero().squeeze(1)
        inside, (masks,) = mask_confidence([mask_logits[kept]], self.geometry(size))
        scores = scores[kept] * inside
        order = scores.argsort(descending=True, stable=True)
        rles = encode_masks(masks[row].cpu().numpy() for row in order)
        return without_empty(rles, classes[kept][order], scores[order], kept[order])

    def read_semantic(
        self, class_logits: Tensor, mask_logits: Tensor, sizes: Sequence[tuple[int, int]], output: Any
    ) -> list[Found]:
        """``post_process_semantic_segmentation``; padding is cut off, which it would squeeze into the image."""
        side = self._input_size
        votes = [
            _votes(classes, interpolate(masks, side))
            for classes, masks in zip(class_logits, mask_logits, strict=True)
        ]
        if not output.patch_offsets:
            inside = [self.geometry(size).image for size in sizes]
            return [
                read_semantic(maps[:, :height, :width], size)
                for maps, (height, width), size in zip(votes, inside, sizes, strict=True)
            ]
        merged = self.processor.merge_image_patches(
            torch.stack(votes), output.patch_offsets, list(sizes), self.processor.size
        )
        return [found_labels(maps.argmax(0).cpu().numpy()) for maps in merged]

    @property
    def _input_size(self) -> tuple[int, int]:
        size = self.processor.size
        return size["shortest_edge"], size["longest_edge"] or size["shortest_edge"]

    def geometry(self, size: tuple[int, int]) -> MaskGeometry:
        """Sizes of the masks of an image."""
        from transformers.image_transforms import get_size_with_aspect_ratio

        edges = self.processor.size["shortest_edge"], self.processor.size["longest_edge"]
        return MaskGeometry(self._input_size, get_size_with_aspect_ratio(size, *edges), size)


def _votes(class_logits: Tensor, mask_logits: Tensor) -> Tensor:
    """Semantic maps (C, h, w) of queries (Q, C + 1) and (Q, h, w)."""
    return torch.einsum("qc,qhw->chw", class_logits.softmax(-1)[:, :-1], mask_logits.sigmoid())
