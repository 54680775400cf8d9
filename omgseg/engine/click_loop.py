"""Interactive segmentation as it is used: one click, a box, or one click after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.runner import TestLoop, autocast
from mmengine.structures import InstanceData
from torch import Tensor

from omgseg.engine.runner import unwrap
from omgseg.evaluation.functional.interactive import next_click
from omgseg.models.readout.clicks import refine_mask
from omgseg.models.segmentor import Features, OMGSeg
from omgseg.registry import LOOPS


@LOOPS.register_module()
class ClickLoop(TestLoop):
    """Prompts each object of an image with one point, with its box, and with further simulated clicks.

    The image is encoded once. The first point is the one that the dataset's pipeline chose (``SamplePrompts``); every
    further click corrects the largest remaining error. Adds to a sample, beside ``pred_instances`` (one point):
    ``pred_box.masks`` bool (N, H, W), and ``pred_clicks.masks`` bool (N, num_clicks, H, W), after 1..num_clicks.

    Args:
        num_clicks: clicks on an object.
        kwargs: see mmengine's TestLoop.
    """

    def __init__(self, *args: Any, num_clicks: int = 5, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if num_clicks < 1:
            raise ValueError(f"ClickLoop: num_clicks is {num_clicks}, at least 1 is needed")
        self.num_clicks = num_clicks

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: Sequence[dict]) -> None:
        self.runner.call_hook("before_test_iter", batch_idx=idx, data_batch=data_batch)
        model = unwrap(self.runner.model)
        with autocast(enabled=self.fp16):
            batch = model.data_preprocessor(data_batch, False)
            samples = self._interact(model, batch["inputs"], batch["data_samples"])
        self.evaluator.process(data_samples=samples, data_batch=data_batch)
        self.runner.call_hook("after_test_iter", batch_idx=idx, data_batch=data_batch, outputs=samples)

    def _interact(self, model: OMGSeg, inputs: Tensor, samples: list[DetDataSample]) -> list[DetDataSample]:
        features = model.with_memory(model.encode(inputs, samples))
        points = [sample.prompts.points for sample in samples]
        boxes = [sample.gt_instances.bboxes * _factors(sample).repeat(2) for sample in samples]
        for sample, masks in zip(samples, _prompt(model, features, samples, "boxes", boxes), strict=True):
            sample.pred_box = InstanceData(masks=masks)
        rounds = [_prompt(model, features, samples, "points", points)]  # last: it stays on the samples
        first = [(sample.prompts, sample.pred_instances) for sample in samples]
        state = [masks.cpu().numpy() for masks in rounds[0]]
        for _ in range(self.num_clicks - 1):
            state = self._click_again(model, features, samples, state)
            rounds.append([torch.from_numpy(masks) for masks in state])
        for sample, (prompts, predicted), *masks in zip(samples, first, *rounds, strict=True):
            sample.prompts, sample.pred_instances = prompts, predicted
            sample.pred_clicks = InstanceData(masks=torch.stack([mask.cpu() for mask in masks], dim=1))
        return samples

    @staticmethod
    def _click_again(
        model: OMGSeg, features: Features, samples: list[DetDataSample], state: list[np.ndarray]
    ) -> list[np.ndarray]:
        """The masks of all samples, bool (N, H, W) each, after one more click on every object that has an error."""
        clicks, points = [], []
        for sample, masks in zip(samples, state, strict=True):
            truth = sample.gt_instances.masks.cpu().numpy()
            own = [next_click(wanted, mask) for wanted, mask in zip(truth, masks, strict=True)]
            # a mask without an error is prompted anywhere, and not changed
            centres = [(click.x + 0.5, click.y + 0.5) if click else (0.0, 0.0) for click in own]
            factors = _factors(sample)
            points.append(factors.new_tensor(centres).reshape(-1, 2) * factors)
            clicks.append(own)
        found = _prompt(model, features, samples, "points", points)
        refined = [masks.copy() for masks in state]
        for masks, proposals, own in zip(refined, found, clicks, strict=True):
            proposals = proposals.cpu().numpy()
            for row, click in enumerate(own):
                if click:
                    masks[row] = refine_mask(masks[row], proposals[row], click[:2], click.positive)
        return refined


def _prompt(
    model: OMGSeg, features: Features, samples: list[DetDataSample], kind: str, prompts: list[Tensor]
) -> list[Tensor]:
    """Masks bool (N, H, W) of the prompts of each sample, at its original size."""
    for sample, own in zip(samples, prompts, strict=True):
        sample.prompts = InstanceData(**{kind: own.to(features.mask_features.device)})
    model.predict_prompts(features, samples)
    return [sample.pred_instances.masks for sample in samples]


def _factors(sample: DetDataSample) -> Tensor:
    """(2,): from pixels of the original image to those of the model's, x and y."""
    return torch.tensor(sample.scale_factor, device=sample.gt_instances.bboxes.device)
