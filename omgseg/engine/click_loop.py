"""Models behind the seam that are prompted: as they are used, by the protocol of the small SAMs, with the boxes of a
detector, with boxes and centres of what is to be named, or with nothing, for all masks of an image."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.runner import TestLoop
from mmengine.structures import InstanceData

from omgseg.datasets.transforms.loading import read_rgb
from omgseg.engine.config import ConfigError, UnsupportedBenchmark
from omgseg.engine.hooks import vocabulary_of
from omgseg.engine.runner import unwrap
from omgseg.engine.seam_model import SeamModel
from omgseg.evaluation.functional.inputs import load_detections
from omgseg.evaluation.functional.interactive import (
    REDUCTION,
    ModelFrame,
    centre_of,
    mask_overlaps,
    next_click,
)
from omgseg.protocols import ImageState, MaskNamer, MaskSet, PromptableModel, Prompts, Proposer
from omgseg.registry import LOOPS, SEGMENTERS
from omgseg.structures import NO_CLASS, Vocabulary
from omgseg.structures.prompts import draw_corrections, wrong_pixels
from omgseg.structures.run_lengths import decode_masks


class PromptLoop(TestLoop):
    """Puts the runner's model behind the seam and prompts it, image by image.

    Works with any :class:`~omgseg.protocols.PromptableModel`: the runner's model itself, that of a
    :class:`~omgseg.engine.seam_model.SeamModel`, or what the factory of its class makes of it,
    ``SEGMENTERS.get(model.segmenter).from_model(model, config, dtype)``. The model gets the image as its file has it,
    and resizes it itself.
    """

    NEEDS: frozenset[str] = frozenset({"points", "labels"})
    """Kinds of prompts that the model must take."""
    PROTOCOLS: tuple[type, ...] = (PromptableModel,)
    """What the model must implement."""
    LACKING = "does not take clicks on an object and beside it"
    """What is said of other models."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._model: PromptableModel | None = None

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: dict[str, Sequence[Any]]) -> None:
        self.runner.call_hook("before_test_iter", batch_idx=idx, data_batch=data_batch)
        if self._model is None:  # not earlier: hooks may have changed the model until now
            dtype = torch.float16 if self.fp16 else torch.float32
            model = unwrap(self.runner.model)
            self._model = behind_seam(model, self.runner.cfg, dtype, type(self).__name__)
            self._require(self._model)
        samples = list(data_batch["data_samples"])
        for sample in samples:
            self._prompt(self._model, sample)
        self.evaluator.process(data_samples=samples, data_batch=data_batch)
        self.runner.call_hook("after_test_iter", batch_idx=idx, data_batch=data_batch, outputs=samples)

    def _require(self, model: Any) -> None:
        """Raises UnsupportedBenchmark for a model that cannot be prompted in this way."""
        can = all(isinstance(model, protocol) for protocol in self.PROTOCOLS)
        if not can or not self.NEEDS <= model.abilities.prompts:
            raise UnsupportedBenchmark(f"{type(self).__name__}: {type(model).__name__} {self.LACKING}")

    @abstractmethod
    def _prompt(self, model: PromptableModel, sample: DetDataSample) -> None:
        """Set the predictions of one image."""


@LOOPS.register_module()
class ClickLoop(PromptLoop):
    """Prompts each object of an image with one point, with its box, and with further simulated clicks.

    Of the dataset's pipeline come the objects (``gt_instances``) and the first point on each (``SamplePrompts``). Every
    further click corrects the largest remaining error.

    Adds to a sample: ``pred_instances.masks`` bool (N, H, W) and ``scores`` (N,), after one point; ``pred_box.masks``
    bool (N, H, W), if the model takes boxes; and ``pred_clicks.masks`` bool (N, num_clicks, H, W), after
    1..num_clicks.

    Args:
        num_clicks: clicks on an object.
        kwargs: see mmengine's TestLoop.
    """

    def __init__(self, *args: Any, num_clicks: int = 5, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if num_clicks < 1:
            raise ValueError(f"ClickLoop: num_clicks is {num_clicks}, at least 1 is needed")
        self.num_clicks = num_clicks

    def _prompt(self, model: PromptableModel, sample: DetDataSample) -> None:
        truth = np.asarray(sample.gt_instances.masks, bool)
        factors = np.asarray(sample.scale_factor, np.float32)  # prompts lie in the resized image
        points = (sample.prompts.points.numpy() / factors)[:, None]
        labels = np.ones(points.shape[:2], np.int8)
        rounds = [np.zeros((0, *truth.shape[1:]), bool)] * self.num_clicks
        boxes, scores = rounds[0], np.zeros(0, np.float32)
        corrects = "masks" in model.abilities.prompts
        if len(truth):
            state = _encode(model, sample)
            if "boxes" in model.abilities.prompts:
                given = sample.gt_instances.bboxes.numpy().astype(np.float32)
                boxes = _masks(model.segment_prompts(state, Prompts(boxes=given)))
            found = model.segment_prompts(state, Prompts(points, labels))
            scores, rounds = found.scores, [_masks(found)]
            for _ in range(self.num_clicks - 1):
                points, labels = _click_again(points, labels, truth, rounds[-1])
                so_far = dict(masks=rounds[-1], carry=found.carry) if corrects else {}
                found = model.segment_prompts(state, Prompts(points, labels, **so_far))
                rounds.append(_masks(found))
        if "boxes" in model.abilities.prompts:
            sample.pred_box = InstanceData(masks=torch.from_numpy(boxes))
        sample.pred_instances = InstanceData(
            masks=torch.from_numpy(rounds[0]), scores=torch.from_numpy(np.asarray(scores, np.float32))
        )
        sample.pred_clicks = InstanceData(masks=torch.from_numpy(np.stack(rounds, axis=1)))


MAX_PROMPTS = 64
"""Objects of an image that are prompted at a time."""


@LOOPS.register_module()
class RefinementLoop(PromptLoop):
    """The protocol of the small SAMs (EdgeSAM, arXiv:2312.06660, Tables 2 and 3; its published script): prompts
    each object with its box and with its centre, and corrects each mask with further points.

    Of the dataset's pipeline come the objects (``gt_instances``, with the boxes of the annotations if
    ``LoadSegments`` has read them). A corrective point is drawn uniformly from all wrong pixels, with the sample's
    number as the seed, so that it depends on nothing else; it is given together with all earlier prompts, and
    without the mask so far. An object with fewer than ten wrong pixels gets a padding instead. All sizes are those
    of the published script, whatever the model's: what is right is the annotation after its way through a square of
    `frame` pixels, errors are looked for at a quarter of that
    (:class:`~omgseg.evaluation.functional.interactive.ModelFrame`). Two things differ from it, as the seam gives
    masks of the original size: an answer is reduced from there and not taken from the decoder, and padding is no
    click (the script sets the token of such a point to zero).

    Adds to a sample: ``pred_overlaps_box``, if the model takes boxes, and ``pred_overlaps_centre``, with
    ``intersection`` and ``union``, int64 (N, 1 + num_points), pixels.

    Args:
        num_points: corrective points on an object.
        frame: side of the square.
        kwargs: see mmengine's TestLoop.
    """

    def __init__(self, *args: Any, num_points: int = 2, frame: int = 1024, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if num_points < 0 or frame < 8:
            raise ValueError(
                f"RefinementLoop: num_points is {num_points} and frame {frame}; at least 0 and 8 are needed"
            )
        self.num_points = num_points
        self.frame = frame

    def _prompt(self, model: PromptableModel, sample: DetDataSample) -> None:
        masks = np.asarray(sample.gt_instances.masks, bool)
        boxes = _inside(sample.gt_instances.bboxes.numpy(), masks.shape[1:])
        frame = ModelFrame(masks.shape[1:], self.frame)
        kinds = ["box", "centre"] if "boxes" in model.abilities.prompts else ["centre"]
        found: dict[str, list[np.ndarray]] = {kind: [] for kind in kinds}
        seed = int(sample.get("sample_idx", 0))
        generators = {kind: torch.Generator().manual_seed(seed) for kind in kinds}
        state = _encode(model, sample) if len(masks) else None
        for start in range(0, len(masks), MAX_PROMPTS):
            rows = slice(start, start + MAX_PROMPTS)
            truth = _Truth(frame, masks[rows])
            for kind in kinds:
                first = (
                    Prompts(boxes=boxes[rows])
                    if kind == "box"
                    else Prompts(truth.centres, np.ones((len(truth.centres), 1), np.int8))
                )
                answers = self._refine(model, state, truth, first, generators[kind])
                found[kind].append(np.stack([mask_overlaps(truth.masks, mask) for mask in answers], axis=-1))
        for kind in kinds:
            empty = np.zeros((2, 0, 1 + self.num_points), np.int64)
            intersection, union = torch.from_numpy(np.concatenate([empty, *found[kind]], axis=1))
            overlaps = InstanceData(intersection=intersection, union=union)
            setattr(sample, f"pred_overlaps_{kind}", overlaps)

    def _refine(
        self,
        model: PromptableModel,
        state: ImageState,
        truth: _Truth,
        prompts: Prompts,
        generator: torch.Generator,
    ) -> Iterator[np.ndarray]:
        """The masks bool (N, H, W) after the first prompts and after each corrective point."""
        points, labels = prompts.points, prompts.labels
        for number in range(1 + self.num_points):
            masks = _masks(model.segment_prompts(state, Prompts(points, labels, prompts.boxes)))
            yield masks
            if number < self.num_points:
                more, meaning = truth.corrections(masks, generator)
                points = more if points is None else np.concatenate([points, more], axis=1)
                labels = meaning if labels is None else np.concatenate([labels, meaning], axis=1)


class _Truth:
    """What is right about some objects of an image, after the way through a model's frame.

    Attributes:
        masks: bool (N, H, W).
        centres: float32 (N, 1, 2), x and y in pixels of the image.
    """

    CHUNK = 8
    """Masks that exist in the frame's size at a time."""

    def __init__(self, frame: ModelFrame, annotated: np.ndarray) -> None:
        self.frame = frame
        masks, reduced, centres = [], [], []
        for start in range(0, len(annotated), self.CHUNK):
            placed = frame.place(annotated[start : start + self.CHUNK])
            masks.append(frame.give_back(placed))
            reduced.append(frame.reduce(placed))
            centres += [centre_of(mask) for mask in placed]
        self.masks, self._reduced = np.concatenate(masks), np.concatenate(reduced)
        self.centres = frame.to_image(np.array(centres)[:, None])

    def corrections(self, masks: np.ndarray, generator: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
        """One point for each of the masks, float32 (N, 1, 2) in pixels of the image, and its label int8 (N, 1)."""
        answers = self.frame.reduce_answer(masks), self._reduced, self.frame.valid
        wrong = wrong_pixels(*(torch.from_numpy(array) for array in answers))
        pixels, labels = (drawn.numpy() for drawn in draw_corrections(*wrong, generator=generator))
        return self.frame.to_image(pixels * REDUCTION), labels.astype(np.int8)


@LOOPS.register_module()
class DetectedBoxLoop(PromptLoop):
    """Masks for the boxes of a given detector, whose scores are kept: what a model adds to a detector.

    Adds to a sample: ``pred_instances`` with ``labels`` (N,), ``scores`` (N,) and ``masks`` bool (N, H, W). A box
    without area inside of the image gets an empty mask.

    Args:
        boxes: a COCO result file of boxes.
        labels: ``"detector"``: its categories are kept, too. ``"model"``: the model names its masks, and what it cannot
            name is left out (OV-SAM, arXiv:2401.02955, Tables 4 and 2).
        category_ids: of the names, see :class:`NamedPromptLoop`.
        kwargs: see mmengine's TestLoop.

    Raises:
        FileNotFoundError: the file is missing.
        ConfigError: it is not a COCO result file, or one of other images; names the file and the field.
        ValueError: `labels` is unknown.
    """

    NEEDS = frozenset({"boxes"})
    LACKING = "does not take boxes"

    def __init__(
        self,
        *args: Any,
        boxes: str,
        labels: str = "detector",
        category_ids: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if labels not in ("detector", "model"):
            raise ValueError(f"DetectedBoxLoop: labels is {labels!r}, not 'detector' or 'model'")
        self.renames = labels == "model"
        if self.renames:
            self.PROTOCOLS, self.LACKING = NamedPromptLoop.PROTOCOLS, NamedPromptLoop.LACKING
        self.category_ids = category_ids
        dataset = self.dataloader.dataset
        infos = (dataset.get_data_info(index) for index in range(len(dataset)))
        image_ids = {info["frames"][0]["img_id"] for info in infos}
        self._labels = vocabulary_of(dataset).id_to_label
        try:
            self._detections = load_detections(boxes, image_ids, self._labels.keys())
        except ValueError as error:
            raise ConfigError(f"DetectedBoxLoop: {error}") from error

    def _prompt(self, model: Any, sample: DetDataSample) -> None:
        size = tuple(sample.ori_shape)
        found = self._detections.get(sample.img_id, [])
        corners = np.array([entry["bbox"] for entry in found], np.float32).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        limits = np.array([size[1], size[0]] * 2, np.float32)
        boxes = corners.clip(0, limits)
        rows = np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(1))
        masks = torch.zeros(len(found), *size, dtype=torch.bool)
        own = torch.full((len(found),), NO_CLASS)
        state = _encode(model, sample) if len(rows) else None
        for start in range(0, len(rows), MAX_PROMPTS):
            batch = rows[start : start + MAX_PROMPTS]
            answer = model.segment_prompts(state, Prompts(boxes=boxes[batch]))
            masks[batch] = torch.from_numpy(_masks(answer))
            if self.renames:
                own[batch], _ = best_names(model, state, answer.rles, *self._words())
        given = torch.tensor([self._labels[entry["category_id"]] for entry in found], dtype=torch.long)
        scores = torch.tensor([entry["score"] for entry in found], dtype=torch.float32)
        kept = own != NO_CLASS if self.renames else slice(None)
        labels = own if self.renames else given
        sample.pred_instances = InstanceData(labels=labels[kept], scores=scores[kept], masks=masks[kept])

    def _words(self) -> tuple[Vocabulary, np.ndarray]:
        return names_of_things(vocabulary_of(self.dataloader.dataset), self.category_ids, type(self).__name__)


@LOOPS.register_module()
class NamedPromptLoop(PromptLoop):
    """Masks for the boxes and for the centres of annotated objects, and their names out of the things of the dataset,
    as the open-vocabulary SAMs are evaluated (OV-SAM, arXiv:2401.02955, Table 1, and its published code).

    Of the dataset's pipeline come the objects (``gt_instances``, with the boxes of the annotations if ``LoadSegments``
    has read them). An object's centre is that of its mask (:func:`centre_of`) after resizing to the square of `frame`
    pixels that the published model sees, whatever the model's own size.

    Adds to a sample: ``pred_instances`` for the boxes and, if the model takes points, ``pred_centres``; each has
    ``masks`` bool (N, H, W), ``labels`` (N,), ``NO_CLASS`` where the model cannot name the mask, and ``scores`` (N,),
    the probabilities of the names. Leaves only the objects in ``gt_instances`` that are prompted.

    Args:
        category_ids: only objects of these categories are prompted, and a mask gets the best name of these; the model
            scores all things of the dataset nevertheless. None: all things.
        frame: side of the square.
        kwargs: see mmengine's TestLoop.
    """

    NEEDS = frozenset({"boxes"})
    PROTOCOLS = (PromptableModel, MaskNamer)
    LACKING = "does not take boxes and name masks"

    def __init__(
        self, *args: Any, category_ids: Sequence[int] | None = None, frame: int = 1024, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.category_ids = category_ids
        self.frame = frame

    def _prompt(self, model: Any, sample: DetDataSample) -> None:
        vocabulary = vocabulary_of(self.dataloader.dataset)
        words, allowed = names_of_things(vocabulary, self.category_ids, type(self).__name__)
        is_asked = torch.from_numpy(np.isin(sample.gt_instances.labels.numpy(), np.flatnonzero(allowed)))
        objects = sample.gt_instances = sample.gt_instances[is_asked]
        kinds = {"pred_instances": self._boxes}
        if "points" in model.abilities.prompts:
            kinds["pred_centres"] = self._centres
        state = _encode(model, sample) if len(objects) else None
        for field, prompts_of in kinds.items():
            found = _no_names(sample.ori_shape, len(objects))
            for start in range(0, len(objects), MAX_PROMPTS):
                rows = slice(start, start + MAX_PROMPTS)
                answer = model.segment_prompts(state, prompts_of(objects[rows]))
                found.masks[rows] = torch.from_numpy(_masks(answer))
                found.labels[rows], found.scores[rows] = best_names(model, state, answer.rles, words, allowed)
            sample.set_field(found, field)

    def _boxes(self, objects: InstanceData) -> Prompts:
        boxes = objects.bboxes.numpy().astype(np.float32)
        return Prompts(boxes=_inside(boxes, tuple(objects.masks.shape[1:])))

    def _centres(self, objects: InstanceData) -> Prompts:
        frame = ModelFrame(tuple(objects.masks.shape[1:]), self.frame)
        centres = [centre_of(frame.place(mask[None])[0]) for mask in np.asarray(objects.masks, bool)]
        points = frame.to_image(np.array(centres).reshape(-1, 1, 2))
        return Prompts(points, np.ones(points.shape[:2], np.int8))


def names_of_things(
    vocabulary: Vocabulary, category_ids: Sequence[int] | None, loop: str
) -> tuple[Vocabulary, np.ndarray]:
    """The things of a dataset, which a model scores, and bool (C,): those that may be names.

    Raises:
        ConfigError: none of them has one of the `category_ids`.
    """
    words = vocabulary.things()
    allowed = np.array([category_ids is None or number in category_ids for number in words.label_to_id])
    if not allowed.any():
        raise ConfigError(f"{loop}: category_ids {category_ids} has no thing of the dataset")
    return words, allowed


def _no_names(size: Sequence[int], count: int) -> InstanceData:
    """Predictions of N objects, before the model is asked."""
    return InstanceData(
        masks=torch.zeros(count, *size, dtype=torch.bool),
        labels=torch.full((count,), NO_CLASS),
        scores=torch.zeros(count),
    )


def best_names(
    model: MaskNamer,
    state: ImageState,
    rles: Sequence[dict[str, Any]],
    words: Vocabulary,
    allowed: np.ndarray,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Names of N masks.

    Args:
        words: that the model scores.
        allowed: bool (C,), those of them that may be names.

    Returns:
        Labels int64 (N,), ``NO_CLASS`` where the model cannot name the mask, and their probabilities float32 (N,).
    """
    probabilities = np.where(allowed, model.name_masks(state, rles, words), 0.0)
    scores = probabilities.max(1)
    labels = np.where(scores > 0, probabilities.argmax(1), NO_CLASS)
    return torch.from_numpy(labels), torch.from_numpy(scores.astype(np.float32))


@LOOPS.register_module()
class ProposalLoop(PromptLoop):
    """Finds all masks of each image, without prompts and words.

    Adds to a sample: ``pred_proposals`` with ``masks``, N run lengths by falling score, and ``scores`` (N,).

    Args:
        points_per_side, min_score, max_overlap: see :meth:`~omgseg.protocols.Proposer.propose`. By default nothing is
            left out for its score: recall does not count what is found in vain.
        kwargs: see mmengine's TestLoop.
    """

    NEEDS = frozenset()
    PROTOCOLS = (Proposer,)
    LACKING = "does not find all masks of an image"

    def __init__(
        self,
        *args: Any,
        points_per_side: int = 32,
        min_score: float = 0.0,
        max_overlap: float = 0.9,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if points_per_side < 1:
            raise ValueError(f"ProposalLoop: points_per_side is {points_per_side}, at least 1 is needed")
        self.settings = (points_per_side, min_score, max_overlap)

    def _prompt(self, model: Any, sample: DetDataSample) -> None:
        found = model.propose(_encode(model, sample), *self.settings)
        scores = torch.from_numpy(np.asarray(found.scores, np.float32))
        sample.pred_proposals = InstanceData(masks=found.rles, scores=scores)


def _encode(model: PromptableModel, sample: DetDataSample) -> ImageState:
    return model.encode_image(read_rgb(sample.img_path, str(sample.get("source", ""))))


def _inside(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Boxes float32 (N, 4) cut to an image (height, width); what has no area there becomes a pixel wide or high."""
    limits = np.array([size[1], size[0]], np.float32)
    low = boxes[:, :2].clip(0, limits)
    high = boxes[:, 2:].clip(0, limits)
    flat = high <= low
    low = np.where(flat, np.minimum(low, limits - 1), low)
    return np.concatenate([low, np.where(flat, low + 1, high)], axis=1).astype(np.float32)


def behind_seam(model: Any, config: Any, dtype: torch.dtype, loop: str) -> Any:
    """The runner's model behind the seam.

    Raises:
        ConfigError: its class does not say how it gets there.
    """
    if isinstance(model, SeamModel):
        return model.segmenter
    if not isinstance(model, PromptableModel):
        factory = getattr(model, "segmenter", None)
        factory = SEGMENTERS.get(factory) if isinstance(factory, str) else factory
        if not hasattr(factory, "from_model"):
            raise ConfigError(
                f"{loop}: {type(model).__name__} is not a PromptableModel, and its class attribute 'segmenter' names "
                "no factory in SEGMENTERS with a class method from_model(model, config, dtype)"
            )
        return factory.from_model(model, config, dtype)
    return model


def _click_again(
    points: np.ndarray, labels: np.ndarray, truth: np.ndarray, masks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One more click on every object that has an error; the others get a padding.

    Args:
        points: (N, K, 2).
        labels: (N, K).
        truth, masks: bool (N, H, W).

    Returns:
        Points (N, K + 1, 2) and labels (N, K + 1).
    """
    clicks = [next_click(wanted, mask) for wanted, mask in zip(truth, masks, strict=True)]
    centres = [(click.x + 0.5, click.y + 0.5) if click else (0.0, 0.0) for click in clicks]
    meanings = [-1 if click is None else int(click.positive) for click in clicks]
    more, meaning = np.array(centres, np.float32), np.array(meanings, np.int8)
    return np.concatenate([points, more[:, None]], 1), np.concatenate([labels, meaning[:, None]], 1)


def _masks(found: MaskSet) -> np.ndarray:
    """bool (N, H, W)."""
    return decode_masks(found.rles, tuple(found.rles[0]["size"]))
