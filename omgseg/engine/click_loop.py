"""Interactive segmentation as it is used: one click, a box, or one click after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.runner import TestLoop
from mmengine.structures import InstanceData

from omgseg.datasets.transforms.loading import read_rgb
from omgseg.engine.config import ConfigError
from omgseg.engine.runner import unwrap
from omgseg.evaluation.functional.interactive import next_click
from omgseg.protocols import MaskSet, PromptableModel, Prompts
from omgseg.registry import LOOPS, SEGMENTERS
from omgseg.structures.run_lengths import decode_masks


@LOOPS.register_module()
class ClickLoop(TestLoop):
    """Prompts each object of an image with one point, with its box, and with further simulated clicks.

    Works with any :class:`~omgseg.protocols.PromptableModel` that takes negative clicks: the runner's model itself, or
    what the factory of its class makes of it, ``SEGMENTERS.get(model.segmenter).from_model(model, config, dtype)``.
    The model gets the image as its file has it, and resizes it itself; of the dataset's pipeline come the objects
    (``gt_instances``) and the first point on each (``SamplePrompts``). Every further click corrects the largest
    remaining error.

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
        self._model: PromptableModel | None = None

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: dict[str, Sequence[Any]]) -> None:
        self.runner.call_hook("before_test_iter", batch_idx=idx, data_batch=data_batch)
        if self._model is None:  # not earlier: hooks may have changed the model until now
            dtype = torch.float16 if self.fp16 else torch.float32
            self._model = _promptable(unwrap(self.runner.model), self.runner.cfg, dtype)
        samples = list(data_batch["data_samples"])
        for sample in samples:
            self._interact(self._model, sample)
        self.evaluator.process(data_samples=samples, data_batch=data_batch)
        self.runner.call_hook("after_test_iter", batch_idx=idx, data_batch=data_batch, outputs=samples)

    def _interact(self, model: PromptableModel, sample: DetDataSample) -> None:
        """Set the predictions of one image."""
        truth = np.asarray(sample.gt_instances.masks, bool)
        factors = np.asarray(sample.scale_factor, np.float32)  # prompts lie in the resized image
        points = (sample.prompts.points.numpy() / factors)[:, None]
        labels = np.ones(points.shape[:2], np.int8)
        rounds = [np.zeros((0, *truth.shape[1:]), bool)] * self.num_clicks
        boxes, scores = rounds[0], np.zeros(0, np.float32)
        corrects = "masks" in model.abilities.prompts
        if len(truth):
            state = model.encode_image(read_rgb(sample.img_path, str(sample.get("source", ""))))
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


def _promptable(model: Any, config: Any, dtype: torch.dtype) -> PromptableModel:
    """The runner's model behind the seam.

    Raises:
        ConfigError: it takes no clicks.
    """
    name = type(model).__name__
    if not isinstance(model, PromptableModel):
        factory = getattr(model, "segmenter", None)
        factory = SEGMENTERS.get(factory) if isinstance(factory, str) else factory
        if not hasattr(factory, "from_model"):
            raise ConfigError(
                f"ClickLoop: {name} is not a PromptableModel, and its class attribute 'segmenter' names no factory in "
                "SEGMENTERS with a class method from_model(model, config, dtype)"
            )
        model = factory.from_model(model, config, dtype)
    if not isinstance(model, PromptableModel) or not {"points", "labels"} <= model.abilities.prompts:
        raise ConfigError(f"ClickLoop: {name} does not take clicks on an object and beside it")
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
