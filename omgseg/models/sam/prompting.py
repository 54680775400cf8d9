"""What models with SAM's prompts share behind the seam: clicks, boxes and masks to the best mask, and everything."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omgseg.models.geometry import MaskGeometry
from omgseg.models.precision import predicting
from omgseg.models.sam.everything import Candidates, Decode, Found, GridConfig, find_everything
from omgseg.models.sam.model import to_model_frame
from omgseg.models.sam.prompt_encoder import PADDING
from omgseg.protocols import Abilities, MaskSet, Prompts, Request
from omgseg.structures import NO_CLASS, Segments, Task, Vocabulary
from omgseg.structures.run_lengths import encode_masks

MASK_LOGIT = 8.0
"""A mask that comes without its logits is given to the prompt encoder as plus and minus this."""
PROMPTS_AT_ONCE = 64
"""Objects that are decoded together: the decoder makes 8 MB of features for each at the published size."""


@dataclass(frozen=True)
class EncodedImage:
    """What prompts need of an image.

    Attributes:
        embedding: of the model's own kind.
        geometry: its sizes.
        image: RGB uint8 (H, W, 3), which crops of everything mode are cut from.
    """

    embedding: Any
    geometry: MaskGeometry
    image: np.ndarray


@dataclass(frozen=True)
class _Answered:
    """:attr:`MaskSet.carry`: the logits (N, 1, m, m) of the masks, and the boxes (N, 4) that they answer, in pixels of
    the padded input."""

    logits: Tensor
    boxes: Tensor | None


def prompt_abilities(image_size: int, *tasks: Task) -> Abilities:
    """Those of a model that fits images into a square of `image_size` pixels; `tasks` are further ones."""
    return Abilities(
        tasks=frozenset({Task.INTERACTIVE, Task.EVERYTHING, *tasks}),
        prompts=frozenset({"points", "labels", "boxes", "masks"}),
        test_size=(image_size, image_size),
    )


class PromptSegmenter(ABC):
    """A model with SAM's prompts; see :class:`~omgseg.protocols.PromptableModel`, ``Proposer`` and ``Segmenter``.

    Attributes:
        abilities: see :func:`prompt_abilities`.
        device, dtype: of the computation.
        grid: how everything mode asks; what a call says goes first.
        single_mask: answer a single click, too, with the mask for unambiguous prompts.
        mask_size: side of a mask prompt.
    """

    abilities: Abilities
    device: torch.device
    dtype: torch.dtype
    grid: GridConfig
    single_mask: bool = False
    mask_size: int

    @abstractmethod
    def encode_image(self, image: np.ndarray) -> EncodedImage:
        """See :meth:`PromptableModel.encode_image`."""

    @abstractmethod
    def decode(
        self,
        state: EncodedImage,
        points: Tensor | None,
        labels: Tensor | None,
        boxes: Tensor | None,
        masks: Tensor | None,
        is_ambiguous: bool,
    ) -> Candidates:
        """The masks that the prompts of N objects may mean; of prompts that are not ambiguous one.

        Args:
            state: the encoded image.
            points: (N, K, 2), see :meth:`place`.
            labels: int64 (N, K): 1 on the object, 0 not on it.
            boxes: (N, 4).
            masks: (N, 1, :attr:`mask_size`, :attr:`mask_size`), logits.
            is_ambiguous: whether an object is given by a single click.
        """

    def place(self, coordinates: np.ndarray, state: EncodedImage) -> Tensor:
        """Points (..., 2) of the original image, in pixels of the padded input."""
        return torch.from_numpy(to_model_frame(coordinates, state.geometry)).to(self.device)

    def boxes_of_clicks(self, state: EncodedImage, points: Tensor, labels: Tensor) -> Tensor | None:
        """Boxes (N, 4) that a model gives to clicks (N, K, 2) without one, in pixels of the padded input; NaN: none."""
        return None

    def group_key(self, size: tuple[int, int]) -> Hashable:
        return size

    def predict(self, images: Sequence[np.ndarray], request: Request) -> list[Segments]:
        """See :meth:`Segmenter.predict`; the task is ``everything``, with the points and limits of :attr:`grid`.

        Raises:
            ValueError: another task.
        """
        if request.task is not Task.EVERYTHING:
            raise ValueError(
                f"SAM knows no classes: without prompts it does 'everything', not {request.task.value!r}"
            )
        grid = replace(self.grid, min_iou=max(self.grid.min_iou, request.min_score))
        results = []
        for image in images:
            found = self._find(image, grid)
            labels = [NO_CLASS] * len(found.rles)
            results.append(
                Segments(
                    request.task,
                    image.shape[:2],
                    found.rles,
                    labels,
                    _scores(found.iou),
                    vocabulary=Vocabulary() if request.words is None else request.words,
                )
            )
        return results

    def propose(
        self, state: EncodedImage, points_per_side: int, min_score: float, max_overlap: float
    ) -> MaskSet:
        """See :meth:`Proposer.propose`: a grid of points, with the other settings of :attr:`grid`; overlap is that of
        the masks' boxes."""
        grid = replace(self.grid, points_per_side=points_per_side, min_iou=min_score, max_overlap=max_overlap)
        found = self._find(state.image, grid, state)
        return MaskSet(found.rles, _scores(found.iou))

    def segment_prompts(self, state: EncodedImage, prompts: Prompts) -> MaskSet:
        """See :meth:`PromptableModel.segment_prompts`.

        An answer that is corrected goes in as its logits, with the box that it answered, as in the training; a mask
        from elsewhere as sure logits. Objects of as many clicks are decoded together, so that none gets padding, which
        would change its mask.
        """
        carry = prompts.carry if prompts.masks is not None else None
        points, labels, clicks = self._clicks(state, prompts)
        boxes = None
        if prompts.boxes is not None:
            boxes = self.place(prompts.boxes.reshape(-1, 2, 2), state).flatten(1).float()
        elif carry is not None:
            boxes = carry.boxes
        elif prompts.masks is None:
            boxes = self.boxes_of_clicks(state, points, labels)
        order, rles, logits, iou = [], [], [], []
        with predicting(self.device, self.dtype):
            for rows in _alike(clicks):
                count = clicks[rows[0]]
                masks = None
                if carry is not None:
                    masks = carry.logits[rows]
                elif prompts.masks is not None:
                    masks = self._mask_prompt(prompts.masks[rows], state.geometry)
                given = (points[rows, :count], labels[rows, :count]) if count else (None, None)
                of_rows = None if boxes is None else boxes[rows]
                is_ambiguous = of_rows is None and masks is None and count == 1 and not self.single_mask
                found = self.decode(state, *given, of_rows, masks, is_ambiguous)
                expected, best = found.iou.max(1)
                iou.append(expected.float())
                logits.append(found.logits[torch.arange(len(best), device=best.device), best].float())
                order += rows.tolist()
                for _, resized in state.geometry.resized_chunks(logits[-1]):
                    rles += encode_masks((resized > 0).cpu().numpy())
        back = np.argsort(order)
        carry = _Answered(torch.cat(logits)[back].unsqueeze(1), boxes)
        return MaskSet([rles[row] for row in back], _scores(torch.cat(iou)[back]), carry)

    def _clicks(
        self, state: EncodedImage, prompts: Prompts
    ) -> tuple[Tensor | None, Tensor | None, np.ndarray]:
        """Points (N, K, 2) and labels int64 (N, K), padding last, and the numbers (N,) of clicks without padding."""
        if prompts.points is None:
            return None, None, np.zeros(len(prompts), np.int64)
        points = prompts.points
        labels = np.ones(points.shape[:2], np.int64) if prompts.labels is None else prompts.labels
        is_padding = labels == PADDING
        last = np.argsort(is_padding, axis=1, kind="stable")
        points = np.take_along_axis(points, last[..., None], axis=1)
        labels = np.take_along_axis(labels, last, axis=1).astype(np.int64)
        placed = self.place(points, state).float()
        return placed, torch.from_numpy(labels).to(self.device), (~is_padding).sum(1)

    def _find(self, image: np.ndarray, grid: GridConfig, state: EncodedImage | None = None) -> Found:
        """All masks by falling score; `state` is the image, if it is encoded already."""

        def encode(pixels: np.ndarray) -> tuple[Decode, MaskGeometry]:
            is_whole = pixels.shape == image.shape
            crop = state if is_whole and state is not None else self.encode_image(pixels)

            def decode(points: np.ndarray) -> Candidates:
                ones = torch.ones(len(points), 1, dtype=torch.long, device=self.device)
                return self.decode(crop, self.place(points, crop).unsqueeze(1), ones, None, None, True)

            return decode, crop.geometry

        with predicting(self.device, self.dtype):
            found = find_everything(encode, image, grid)
        return found.select(found.iou.argsort(descending=True, stable=True))

    def _mask_prompt(self, masks: np.ndarray, geometry: MaskGeometry) -> Tensor:
        """Masks bool (N, H, W) as logits (N, 1, m, m); what is not image is not in the mask."""
        side, padded = self.mask_size, geometry.padded[0]
        size = tuple(max(round(length * side / padded), 1) for length in geometry.image)
        prompt = torch.full((len(masks), 1, side, side), -MASK_LOGIT)
        for row, mask in zip(prompt, masks, strict=True):
            small = torch.nn.functional.interpolate(
                torch.from_numpy(np.ascontiguousarray(mask))[None, None].float(), size, mode="area"
            )
            row[0, : size[0], : size[1]] = (2 * small[0, 0] - 1) * MASK_LOGIT
        return prompt.to(self.device)


def _alike(clicks: np.ndarray) -> Iterator[np.ndarray]:
    """Rows of objects with as many clicks, at most :data:`PROMPTS_AT_ONCE` at a time."""
    for count in np.unique(clicks):
        rows = np.flatnonzero(clicks == count)
        yield from np.split(rows, range(PROMPTS_AT_ONCE, len(rows), PROMPTS_AT_ONCE))


def _scores(iou: Tensor) -> np.ndarray:
    """The predicted IoU is not bounded; scores are."""
    return iou.float().clamp(0, 1).cpu().numpy()
