"""Clicks and boxes: the image is encoded once, every prompt costs only the decoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor

from omgseg.apis.coordinates import Coordinates, check_labels, check_mask, check_prompts
from omgseg.apis.everything import all_masks
from omgseg.apis.gate import ModelGate, through_gate
from omgseg.apis.inputs import Clip, ImageInput, to_image
from omgseg.apis.mask_labels import label_masks
from omgseg.apis.packing import pack_clip
from omgseg.apis.results import SegmentationResult
from omgseg.apis.words import Words, to_vocabulary
from omgseg.datasets.transforms import Resize
from omgseg.models.readout.clicks import refine_mask
from omgseg.models.readout.results import geometry_of
from omgseg.models.segmentor import Features, OMGSeg
from omgseg.structures import NO_CLASS, Task, Vocabulary
from omgseg.structures.run_lengths import encode_masks


class InteractivePredictor:
    """Masks of prompts on one image at a time, in the manner of Segment Anything's predictor.

    ::

        predictor = OMGSegInferencer("work_dirs/main").interactive
        predictor.set_image("street.jpg")
        result = predictor.predict(points=[(320, 200)])
        result = predictor.predict(points=[(350, 260)], labels=[0], mask=result.masks[0])  # not this part
        everything = predictor.segment_everything()

    Args:
        model: in eval mode (``OMGSegInferencer(...).model``).
        resize: the test size (``OMGSegInferencer(...).resize``).
        vocabulary: see :attr:`vocabulary`.
        gate: shared with other users of the model; None: there are none, and the computation is in float32.
    """

    def __init__(
        self,
        model: OMGSeg,
        resize: Resize,
        vocabulary: Words | None = None,
        gate: ModelGate | None = None,
    ) -> None:
        self.model = model
        self.gate = ModelGate(model) if gate is None else gate
        self.resize = resize
        self.vocabulary = vocabulary
        self._image: np.ndarray | None = None
        self._path: Path | None = None
        self._sample = None
        self._features: Features | None = None

    @property
    def vocabulary(self) -> Vocabulary:
        """Words that masks are named with, by the frozen CLIP's own view of them; empty (the default): no names.

        May be set to anything that :func:`~omgseg.apis.words.to_vocabulary` takes, or None.
        """
        return self._vocabulary

    @vocabulary.setter
    def vocabulary(self, words: Words | None) -> None:
        self._vocabulary = to_vocabulary(words) or Vocabulary()

    @through_gate
    def set_image(self, image: ImageInput) -> None:
        """Encode an image; later prompts belong to it. All that they need of it is computed here, and kept until the
        next image (:meth:`~omgseg.models.decoder.SharedQueryDecoder.project_memory` says how large it is).

        Args:
            image: a file, RGB uint8 (H, W, 3), or a PIL image.

        Raises:
            FileNotFoundError, OSError, ValueError, TypeError: see :func:`omgseg.apis.inputs.to_image`.
        """
        pixels = to_image(image)
        packed = pack_clip(Clip([pixels], [], False, "image"), (Task.INTERACTIVE.value,), self.resize)
        batch = self.model.data_preprocessor({key: [value] for key, value in packed.items()})
        self._image = self._features = None  # two images' memories must not exist at once
        self._features = self.model.with_memory(self.model.encode(batch["inputs"], batch["data_samples"]))
        (self._sample,) = batch["data_samples"]
        self._image = pixels
        self._path = Path(image) if isinstance(image, (str, Path)) else None

    @property
    def image(self) -> np.ndarray | None:
        """RGB uint8 (H, W, 3), the image that prompts belong to; None before there is one."""
        return self._image

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) of the image.

        Raises:
            RuntimeError: no image is set.
        """
        if self._image is None:
            raise RuntimeError("no image: call set_image first")
        return self._image.shape[1], self._image.shape[0]

    @through_gate
    def predict(
        self,
        points: Coordinates | None = None,
        labels: Sequence[int] | np.ndarray | None = None,
        boxes: Coordinates | None = None,
        mask: np.ndarray | Tensor | None = None,
    ) -> SegmentationResult:
        """The mask of one object, from any number of clicks, a box, or both.

        The first positive click, the box or the mask shows the object; each further click corrects it nearby
        (:func:`~omgseg.models.readout.clicks.refine_mask`). Clicks may come one by one, with the mask that was the
        result before, or all at once.

        Args:
            points: (K, 2) or one (2,), x and y in pixels from the upper left corner of the first pixel.
            labels: (K,), 1 for a click on the object, 0 for one on what does not belong to it. Default: all 1.
            boxes: one box around the object, (4,) or (1, 4): x1, y1, x2, y2. Its mask does not reach beyond it.
            mask: bool (H, W), what the clicks correct: an earlier result, or drawn by hand.

        Returns:
            One mask. Its score is the mean probability of its pixels, each by the prompt that is surest of it; those
            of `mask` count as sure. An empty mask scores 0.

        Raises:
            RuntimeError: no image is set.
            ValueError: there is neither a point nor a box; nothing shows where the object is (only negative points);
                both a box and a mask; several boxes; or values out of place, see
                :func:`~omgseg.apis.coordinates.check_prompts`.
        """
        size = self.image_size
        if points is None and boxes is None:
            raise ValueError("give points=[(x, y), ...] or boxes=(x1, y1, x2, y2)")
        if boxes is not None and mask is not None:
            raise ValueError("give a box or a mask to begin with, not both")
        if points is None and labels is not None:
            raise ValueError("labels say what the points mean; give points=[(x, y), ...], too")
        clicks = torch.empty(0, 2) if points is None else check_prompts("points", points, size)
        positive = check_labels(labels, len(clicks))
        logits: np.ndarray | None = None
        state: np.ndarray | None = None
        if mask is not None:
            state = check_mask(mask, size)
            logits = np.where(state, np.float32(np.inf), np.float32(-np.inf))
        if boxes is not None:
            box = check_prompts("boxes", boxes, size)
            if len(box) > 1:
                raise ValueError(
                    "predict finds one object, in one box; for several objects call predict_many"
                )
            (logits,) = self._logits("boxes", box)
            logits[~_inside(box, size)[0]] = -np.inf
            state = logits > 0
        found = self._logits("points", clicks) if len(clicks) else []
        for index in _order(positive, state is not None):
            if positive[index]:
                logits = found[index] if logits is None else np.maximum(logits, found[index])
            own = found[index] > 0
            x, y = clicks[index].int().tolist()
            state = own if state is None else refine_mask(state, own, (x, y), positive[index])
        score = float(torch.from_numpy(logits[state]).sigmoid().mean()) if state.any() else 0.0
        return self._result(encode_masks([state]), [score])

    @through_gate
    def predict_many(
        self, points: Coordinates | None = None, boxes: Coordinates | None = None
    ) -> SegmentationResult:
        """The masks of many objects, one a prompt, in their order.

        Args:
            points: (N, 2), or
            boxes: (N, 4), as in :meth:`predict`.

        Returns:
            N masks; scores are the mean probability inside a mask.

        Raises:
            RuntimeError: no image is set.
            ValueError: not exactly one of `points` and `boxes`, or see :meth:`predict`.
        """
        if (points is None) == (boxes is None):
            raise ValueError("give either points=[(x, y), ...] or boxes=[(x1, y1, x2, y2), ...]")
        kind, given = ("points", points) if boxes is None else ("boxes", boxes)
        prompts = check_prompts(kind, given, self.image_size)
        sample = self._prompted(kind, prompts)
        self.model.predict_prompts(self._features, [sample])
        masks = sample.pred_instances.masks.cpu()
        if boxes is not None:
            masks &= torch.from_numpy(_inside(prompts, self.image_size))
        return self._result(encode_masks(masks.numpy()), sample.pred_instances.scores.tolist())

    @through_gate
    def segment_everything(
        self, points_per_side: int = 16, min_score: float = 0.8, max_overlap: float = 0.7
    ) -> SegmentationResult:
        """All masks of the image, without prompts: those of the learned queries and of a grid of points.

        Args:
            points_per_side: the grid has its square of points.
            min_score: masks below are left out; 0..1.
            max_overlap: of two masks with a higher IoU the one of the higher score stays.

        Returns:
            Masks by falling score. They may overlap: an object and its part are both masks.

        Raises:
            RuntimeError: no image is set.
            ValueError: `points_per_side` is less than 1.
        """
        width, height = self.image_size
        if points_per_side < 1:
            raise ValueError(f"points_per_side is {points_per_side}, at least 1 is needed")
        middles = (torch.arange(points_per_side) + 0.5) / points_per_side
        points = torch.cartesian_prod(middles * width, middles * height)
        sample = self._prompted("points", points)
        logits, scores = all_masks(self.model, self._features, sample, min_score, max_overlap)
        rles: list[dict] = []
        for _, resized in geometry_of(sample).resized_chunks(logits):
            rles += encode_masks((resized > 0).cpu().numpy())
        return self._result(rles, scores.tolist())

    def _prompted(self, kind: str, prompts: Tensor):
        """The image's sample with prompts in pixels of the image that the model sees."""
        sample = self._sample.clone()
        factors = prompts.new_tensor(list(sample.scale_factor) * (prompts.shape[1] // 2))
        sample.prompts = InstanceData(**{kind: (prompts * factors).to(self._features.clip_feature.device)})
        return sample

    def _logits(self, kind: str, prompts: Tensor) -> np.ndarray:
        """Mask logits float32 (N, H, W) of the original image."""
        sample = self._prompted(kind, prompts)
        (output,) = self.model.decode(self._features, [sample], every_layer=False)
        return geometry_of(sample).resize(output.mask_logits[0, :, 0].float()).cpu().numpy()

    def _result(self, rles: list[dict], scores: list[float]) -> SegmentationResult:
        labels = [NO_CLASS] * len(rles)
        if len(self.vocabulary):
            self.model.set_vocabulary(self.vocabulary)
            labels = label_masks(self.model, self._features, self._sample, rles)
        return SegmentationResult(
            Task.INTERACTIVE,
            self._image.shape[:2],
            rles,
            labels,
            scores,
            vocabulary=self.vocabulary,
            path=self._path,
            image=self._image,
        )


def _inside(boxes: Tensor, image_size: tuple[int, int]) -> np.ndarray:
    """Bool (N, H, W): the pixels that boxes (N, 4) touch."""
    width, height = image_size
    x1, y1, x2, y2 = (side.numpy()[:, None] for side in boxes.unbind(1))
    columns, rows = np.arange(width), np.arange(height)
    across, down = (columns + 1 > x1) & (columns < x2), (rows + 1 > y1) & (rows < y2)
    return down[:, :, None] & across[:, None, :]


def _order(positive: list[bool], begun: bool) -> list[int]:
    """The order in which clicks count: the first positive one shows the object, where nothing else does.

    Raises:
        ValueError: there is none.
    """
    order = list(range(len(positive)))
    if begun or not order:
        return order
    if True not in positive:
        raise ValueError(
            "negative points correct a mask: give a positive point (label 1), a box, or mask=... too"
        )
    order.remove(positive.index(True))
    return [positive.index(True), *order]
